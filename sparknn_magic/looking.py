"""`look`: the first rows of a table with what a model says of them, as a person wants to see them.

Only these rows are scored: they are taken before the model runs. Pictures come to the driver as they are stored, those
of these rows alone, and are scaled down at once.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from sparknn_magic.model import Model
    from sparknn_magic.show.examples import Examples
    from sparknn_magic.show.predictions import Answer

MOST = 100  # rows: their pictures stand in the notebook's file
COLUMNS = 3  # of a row that are shown beside its picture or text: an id, say
TEXT, WORDS = 1000, 200  # characters and words of a text that come to the driver
PICTURE, SCENE = 264, 512  # pixels of the longer side of a picture without and with boxes
PLAIN_TYPES = ("string", "int", "bigint", "smallint", "tinyint", "double", "float", "boolean", "date", "timestamp")

# What a table shows of a prediction's fields; the main one stands under "prediction".
SHOWN_FIELDS = {
    "label": "prediction.label",
    "prediction": "prediction.prediction",
    "embedding": "concat(size(prediction.embedding), ' numbers: ', array_join(transform("
    "slice(prediction.embedding, 1, 2), x -> format_number(x, 4)), ', '), ', ...')",
    "entities": "array_join(transform(prediction.entities, e -> concat(e.text, ' (', e.label, ')')), ', ')",
    "objects": "array_join(transform(prediction.objects, o -> concat(o.label, ' ', format_number(o.score, 2))), ', ')",
    "score": "round(double(prediction.score), 4)",
    "error": "prediction.error",
}
MAIN_FIELDS = ("label", "prediction", "embedding", "entities", "objects")


def look(
    model: "Model",
    data: Any,
    *,
    count: int | str = 12,
    column: str | None = None,
    mode: str = "permissive",
    providers: tuple[str, ...] | list[str] = ("auto",),
    variables: Mapping[str, Any] | None = None,
    title: str | None = None,
) -> "Examples":
    """Return the first `count` rows of `data`, 0 to 100, with what the model says of them.

    Pictures have label and score, or the boxes that were found; texts their label and a bar of the score, or the
    entities marked in them; other rows are a table. A row that could not be scored has its reason in place. In a
    notebook it shows itself, `print` gives text, `page()` an HTML document. `title` stands above the rows; other
    arguments are as `Model.predict` has them.
    Raises: SpecError, DataError.
    """
    from sparknn_magic.rows import rows_of
    from sparknn_magic.show.predictions import table_answers

    wanted = read_count(count)
    rows = rows_of(model.spark, data, variables)
    if rows.isStreaming:
        raise SpecError("look: these rows keep arriving.", hint="Give rows that are all there.")
    if not wanted:
        return table_answers(title or f"no rows of {model.name}'s", [])
    # Limited before the model runs: after it, Spark would score a whole batch to show a few rows.
    scored = model.predict(rows.limit(wanted), column=column, mode=mode, providers=providers)
    return _looked(model, scored, column, title or f"rows scored by {model.name}")


def read_count(text: int | str) -> int:
    """Read a number of rows. Raises: SpecError."""
    if not re.fullmatch(r"\d{1,9}", str(text)) or int(text) > MOST:
        raise SpecError(f"show: '{text}' is no number of rows.", hint=f"Write a whole number from 0 to {MOST}.")
    return int(text)


def plain_rows(scored: "DataFrame") -> list[dict[str, Any]]:
    """Return scored rows without pictures: their plain columns and the prediction's main fields.

    Lists among these are shown by how many values they have, and the first of them.
    """
    plain = [f"`{name.replace('`', '``')}`" for name, kind in scored.dtypes if kind in PLAIN_TYPES]
    given: Any = scored.schema["prediction"].dataType
    fields = [name for name in given.names if name in SHOWN_FIELDS]
    shown = [f"{SHOWN_FIELDS[name]} AS {'prediction' if name in MAIN_FIELDS else name}" for name in fields]
    return [row.asDict() for row in scored.selectExpr(*plain, *shown).collect()]


def _looked(model: "Model", scored: "DataFrame", column: str | None, title: str) -> "Examples":
    """Choose by what the prediction has, and by what the model reads."""
    from sparknn_magic.show import predictions as show

    given: Any = scored.schema["prediction"].dataType
    fields, of_pictures = set(given.names), "height" in model.meta["input"]
    if "objects" in fields and of_pictures:
        return show.scene_answers(title, _of_pictures(model, scored, column, SCENE), model.classes)
    if "entities" in fields:
        return show.entity_answers(title, _of_texts(model, scored, column, tagged=True))
    if of_pictures:
        return show.picture_answers(title, _of_pictures(model, scored, column, PICTURE))
    if "label" in fields and model.task.tokenizes:
        return show.text_answers(title, _of_texts(model, scored, column))
    return show.table_answers(title, plain_rows(scored))


def _of_pictures(model: "Model", scored: "DataFrame", column: str | None, side: int) -> "list[Answer]":
    from sparknn_magic.show.predictions import Answer

    name = model.input_columns(scored, column)[0]
    table, others = _brought(scored, [name])
    if not table.num_rows:
        return []
    pictures = _pictures(table.column("x0").chunk(0), side, model.meta["spec"]["data"].get("shape"))
    rows = table.drop_columns("x0").to_pylist()
    return [
        Answer(
            **_said(model, row, others),
            picture=None if found is None else found[0],
            scale=1.0 if found is None else found[1],
        )
        for row, found in zip(rows, pictures, strict=True)
    ]


def _pictures(values: "pa.Array", side: int, shape: Any) -> "list[tuple[np.ndarray, float] | None]":
    """Return uint8[height, width, channels] of at most `side` pixels and its scale; None where there is none."""
    import numpy as np

    from sparknn_magic.data.worker import map_pictures

    def small(position: int, image: Any) -> "tuple[np.ndarray, float]":
        scale = min(1.0, side / max(image.size))
        size = tuple(max(1, round(length * scale)) for length in image.size)
        pixels = np.asarray(image if scale == 1.0 else image.resize(size))
        return pixels.reshape(*pixels.shape[:2], -1), scale

    return map_pictures(values, small, shape=shape)


def _of_texts(model: "Model", scored: "DataFrame", column: str | None, *, tagged: bool = False) -> "list[Answer]":
    from sparknn_magic.show.predictions import Answer

    names = model.input_columns(scored, column)
    table, others = _brought(scored, names)
    found = []
    for row in table.to_pylist():
        texts = [row.pop(f"x{n}") for n in range(len(names))]
        said = _said(model, row, others)
        if tagged:
            found.append(Answer(**said, tagged=_tagged(texts[0], row["said"])))
        else:
            found.append(Answer(**said, texts=["" if text is None else text for text in texts]))
    return found


def _tagged(text: Any, said: Mapping[str, Any] | None) -> Any:
    """Return a text, or words, with the entities that were found and their scores."""
    from sparknn_magic.show.entities import tagged_text, tagged_words
    from sparknn_magic.show.words import percent

    if text is None:
        return None
    entities = (said or {}).get("entities") or ()
    spans = [(e["start"], e["end"], f"{e['label']} {percent(e['score'], 0)}") for e in entities]
    return (tagged_text if isinstance(text, str) else tagged_words)(text, [], spans)


def _brought(scored: "DataFrame", inputs: Sequence[str]) -> "tuple[pa.Table, list[str]]":
    """Bring rows to the driver: inputs `x0`, ..., a few plain columns `c0`, ..., and the prediction, `said`.

    Texts are cut. Returns the names of the plain columns too.
    """
    from pyspark.sql import functions as F

    from sparknn_magic.data.columns import column

    types = dict(scored.dtypes)
    taken = {name.lower() for name in (*inputs, "prediction")}
    others = [n for n in scored.columns if types[n] in PLAIN_TYPES and n.lower() not in taken][:COLUMNS]
    shown = [column(n) if types[n] != "string" else F.substring(column(n), 1, TEXT) for n in others]

    def given(name: str) -> Any:
        if types[name] == "string":
            return F.substring(column(name), 1, TEXT)
        return F.slice(column(name), 1, WORDS) if types[name] == "array<string>" else column(name)

    chosen = [*(given(n).alias(f"x{i}") for i, n in enumerate(inputs)), column("prediction").alias("said")]
    chosen += [value.alias(f"c{i}") for i, value in enumerate(shown)]
    return scored.select(*chosen).toArrow().combine_chunks(), others


def _said(model: "Model", row: Mapping[str, Any], others: Sequence[str]) -> dict[str, Any]:
    """Return what `Answer` is told of a row's columns and prediction."""
    from sparknn_magic.show.boxes import Box
    from sparknn_magic.show.words import percent

    said = row["said"] or {}
    columns = {name: row[f"c{n}"] for n, name in enumerate(others)}
    label, score = said.get("label"), said.get("score")
    if said.get("labels") is not None:  # of several labels each has its own score
        scores = dict(zip(model.classes, said["probabilities"], strict=True))
        each = ", ".join(f"{name} {percent(scores[name], 0)}" for name in said["labels"])
        label = each or f"no label (the nearest: {label})"
    objects = [Box(o["label"], **o["box"], score=o["score"]) for o in said.get("objects") or ()]
    value = said.get("prediction")
    return {
        "columns": columns,
        "error": said.get("error"),
        "label": label,
        "score": score,
        "value": value,
        "objects": objects,
    }
