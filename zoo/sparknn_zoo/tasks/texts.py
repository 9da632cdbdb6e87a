"""What the tasks on texts share: the rows, the tokenizer, and how a model's function reads its columns."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic.plugin import Part
from sparknn_magic.shipping import described_part
from sparknn_magic.task import Task

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparknn_magic.data.preview.findings import Findings
    from sparknn_magic.data.text.spark import Inspected, Prepared, TextPlan
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import Resolved
    from sparknn_magic.training.job import Field


class TextTask(Task):
    """One column of texts, or two that are read as a pair."""

    tokenizes = True

    def plan(
        self, spark: "SparkSession", experiment: "Experiment", resolved: "Resolved", names: Iterable[str]
    ) -> "TextPlan":
        """Open the sources, check the columns `data.text` and `data.label`; run no job over rows."""
        from sparknn_magic.data.text.spark import plan

        return plan(spark, experiment, resolved, names, given=given_tokenizer(experiment, resolved))

    def inspect(self, plan: "TextPlan") -> "Inspected":
        """Find the classes and train the tokenizer: a Spark job each."""
        from sparknn_magic.data.text.spark import inspect

        return inspect(plan)

    def details(self, plan: "TextPlan", found: "Inspected") -> list[tuple[str, str]]:
        """Return what a dry run says of the texts and the tokenizer."""
        from sparknn_magic.data.text.spark import details

        return details(plan, found)

    def preview(self, plan: "TextPlan", most: int | None, say: Callable[[str], None]) -> "Findings":
        """Look at labels, lengths, scripts, copies and texts that cannot be read, and bring a few texts."""
        from sparknn_magic.data.preview.texts import look

        return look(plan, most, self.inspect, self.details, say)

    def prepare(self, plan: "TextPlan", folder: str, *, fresh: bool) -> "Prepared":
        """Write token ids and labels as Parquet, or find them again."""
        from sparknn_magic.data.text.spark import prepare

        return prepare(plan, folder, fresh=fresh)

    def describe(self, prepared: "Prepared") -> dict[str, Any]:
        """Return the classes and what the network reads of a text."""
        from dataclasses import asdict

        return {
            "classes": list(prepared.classes),
            "input": asdict(prepared.inputs),
            "several": prepared.plan.multilabel,
            "lengths": list(prepared.quantiles),
            "cut": prepared.cut,
        }

    def columns(self, meta: Mapping[str, Any]) -> list[str]:
        """Return the column of texts, or the two of a pair."""
        return list(text_columns(meta))


def text_columns(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a model's columns of texts."""
    return tuple(meta["spec"]["data"].get("text") or ("text",))


def given_tokenizer(experiment: "Experiment", resolved: "Resolved") -> str:
    """Return the tokenizer.json of the pretrained network that the cell names; "" where it names none.

    Raises: SparkNNError with the place in the cell, where there are no such files.
    """
    from sparknn_magic.errors import SparkNNError

    pretrained = resolved.model.options.get("pretrained")
    if pretrained is None:
        return ""
    from sparknn_magic.bundle.folder import TOKENIZER
    from sparknn_magic.hub import folder_of

    try:
        return (folder_of(pretrained) / TOKENIZER).read_text(encoding="utf-8")
    except SparkNNError as error:
        place = ("model", resolved.model.item.name, "pretrained")
        raise experiment.error(place, error.message, hint=error.hint, kind=type(error)) from error


def token_field(prepared: "Prepared") -> "Field":
    """Return the field of token ids of the prepared rows."""
    from sparknn_magic.training.job import Field

    return Field("tokens", "int32", (-1,), pad=prepared.inputs.pad)


def reader(meta: Mapping[str, Any]) -> Part:
    """Return what reads a model's columns of texts; its option `tokenizer` is a file of the model folder."""
    steps = [described_part("preprocessor", step) for step in meta["preprocess"]]
    columns = len(text_columns(meta))
    options = {"steps": steps, "length": meta["input"]["length"], "columns": columns}
    return Part("sparknn_magic.data.text.worker:text_reader", options)


def write_tokenizer(prepared: "Prepared", folder: Path) -> None:
    """Write tokenizer.json into a model folder: the tokenizers library's own file, our text steps in front."""
    from sparknn_magic.bundle.folder import TOKENIZER

    (folder / TOKENIZER).write_text(prepared.tokenizer, encoding="utf-8")
