"""What the form of `%sparknn new` shows of rows: where they may come from, their columns, and a few of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import DataError, SparkNNError
from sparknn_magic.notebook.completion_rows import Catalog, source_offers
from sparknn_magic.notebook.form_cell import FIRST_LINE, Choices, body_of
from sparknn_magic.notebook.form_columns import Column
from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.preview import STYLE
from sparknn_magic.show.preview_grid import GRID, grid_html
from sparknn_magic.show.words import count, plain, shorten
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.values import frame_names, is_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SAMPLE = 24  # rows that are looked at to show a few of them
NOTHING = "None of these rows can be shown."


def sources(names: Mapping[str, Any], catalog: Catalog) -> list[tuple[str, str]]:
    """Return the notebook's DataFrames, then the tables and views: what each is in words, and as a cell writes it."""
    frames = {n: v for n, v in names.items() if is_frame(v) and type(v).__module__.startswith("pyspark.")}
    offers, _ = source_offers("", "", frames, catalog)
    # Of a DataFrame and a view of one name the cell means the DataFrame.
    kinds = {offer.text: offer.kind for offer in reversed(offers)}
    return [(f"{shorten(text, 60)} ({kinds[text]})", text) for text in dict.fromkeys(offer.text for offer in offers)]


def columns_of(spark: "SparkSession", source: str, names: Mapping[str, Any]) -> list[Column]:
    """Return the columns of a source's rows and their types; Spark analyses it, and of files reads what they say.

    Raises: SparkNNError where there is no such source.
    """
    asked = {"task": "any", "data": {"train": source}}
    experiment = Experiment.load(asked, variables=names, rows_only=True)
    return [Column(name, kind) for name, kind in _open(spark, experiment, names).dtypes]


def samples_html(spark: "SparkSession", choices: Choices, names: Mapping[str, Any]) -> str:
    """Return a few of the first rows, drawn as `preview` draws them: as they are, and after the cell's steps.

    Spark reads the first rows alone, a job or a few.
    Raises: SparkNNError where a column is missing or of the wrong type, or there are no rows.
    """
    from sparknn_magic.previewing import preview

    experiment = Experiment.parse(body_of(choices), first_line=FIRST_LINE, variables=names, rows_only=True)
    spec = experiment.to_dict()
    first = _open(spark, experiment, names).limit(SAMPLE)
    spec["data"] = {**spec["data"], "train": first, "validation": None, "test": None}
    found = preview(spec, spark=spark, rows=SAMPLE, variables=names).findings
    drawn = grid_html(found.grid, found.kind) if found.grid is not None else [el("div", NOTHING, cls="soft")]
    left_out = [el("li", f"{plain(each.reason)}: {count(each.rows)}") for each in found.broken]
    return scoped(
        el("style", Markup(STYLE + GRID)),
        el("div", f"of the first {count(found.total)} rows of {shorten(choices.source, 80)}", cls="soft"),
        *drawn,
        el("div", "Left out of these rows:", el("ul", *left_out)) if left_out else None,
    )


def _open(spark: "SparkSession", experiment: Experiment, names: Mapping[str, Any]) -> "DataFrame":
    from sparknn_magic.data.sources import open_source
    from sparknn_magic.sessions import adopt

    def fail(message: str, *, hint: str | None = None) -> SparkNNError:
        return DataError(message, hint=hint)

    return open_source(adopt(spark), experiment.data.train, fail, frame_names(names))
