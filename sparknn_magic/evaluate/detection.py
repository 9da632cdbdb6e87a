"""COCO's figures of a detector's predictions. Spark reads the true boxes and brings both sides' boxes to the driver.

Average precision ranks the detections of all pictures, so it cannot be added up from parts of them. A box is 40 bytes
on the way, and no pixels come with it. The library then makes Python objects: about 1.6 KB for each box, true or found,
and 1.4 KB for each pair of a picture and a class (faster-coco-eval 1.8). A million boxes and a million pairs take 3 GB
of the driver's memory; a picture has at most 100 detections, or half as many again as a training picture has boxes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from sparknn_magic.data.boxes.average_precision import BoxTable, coco_figures
from sparknn_magic.data.boxes.job import BoxRules, columns_of, rules_of
from sparknn_magic.data.boxes.plan import truth
from sparknn_magic.data.boxes.truth import TRUTH, truth_of
from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.spark import whole_column


def detection_metrics(
    predictions: DataFrame, meta: Mapping[str, Any], *, prediction: str = "prediction"
) -> dict[str, Any]:
    """Return COCO's figures of scored rows, in the words of `coco_figures`, and how many rows they are of.

    `predictions` has the picture and its true boxes in the columns that the experiment's `data` names, read by the same
    rules as in training, and the model's answer in the column `prediction`: struct<objects, error>.

    `rows` counts those that have a prediction and usable boxes (none is usable: a background). Rows without a
    prediction are counted in `errors`; those whose boxes cannot be used in `unknown_labels`; neither enters any figure,
    nor do true boxes that are left out as in training, or whose label is none of the classes: `bad_boxes` (boxes that
    were cut among them) and `unknown_boxes`. Crowds of a COCO file are no true boxes: its reader leaves them out.

    Raises: DataError where a column is missing or of the wrong type, where no row counts, or where a box is bad and
    the experiment says `bad_boxes: fail`; MissingExtra where the library of the figures is not there.
    """
    table = with_truth(predictions, meta, prediction=prediction).toArrow()
    found = counted(table, meta)
    if not found.rows:
        raise _nothing_counts(found, table, meta)
    if found.bad and rules_of(meta["spec"]["data"]).bad == "fail":
        example = next(filter(None, pc.struct_field(_whole(table, "truth"), "example").to_pylist()))
        raise DataError(
            f"{found.bad:,} boxes are bad, one of them {example}.",
            hint="The experiment says `bad_boxes: fail`. Correct them in the query.",
        )
    return coco_figures(found.rows, found.true, found.found, meta["classes"]) | {
        "rows": found.rows,
        "errors": found.errors,
        "unknown_labels": found.unusable,
        "bad_boxes": found.bad,
        "unknown_boxes": found.unknown,
    }


@dataclass(frozen=True, slots=True)
class Counted:
    """The boxes of both sides, of the rows that count."""

    rows: int
    true: BoxTable
    found: BoxTable
    errors: int  # rows without a prediction
    unusable: int  # rows whose boxes cannot be used
    bad: int  # true boxes that were cut or left out
    unknown: int  # true boxes of another class


def with_truth(
    predictions: DataFrame, meta: Mapping[str, Any], *keep: Column, prediction: str = "prediction"
) -> DataFrame:
    """Return the columns `keep`, `truth` (of the type `TRUTH`), `objects` and `error` of scored rows."""
    data = meta["spec"]["data"]
    image, guess = whole_column(predictions, data["image"]), _prediction(predictions, prediction)
    for name in columns_of(data):
        whole_column(predictions, name)  # raises where there is none
    boxes, labels = truth(predictions, data)
    read = _truth_udf(rules_of(data), tuple(data["shape"]) if data.get("shape") else None)
    added = {
        "truth": read(image, boxes, labels),
        "objects": guess.getField("objects"),
        "error": guess.getField("error"),
    }
    return predictions.select(*keep, *(column.alias(name) for name, column in added.items()))


def _truth_udf(rules: BoxRules, shape: tuple[int, ...] | None) -> Any:
    def read(arrays: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        for image, boxes, labels in arrays:
            yield truth_of(image, boxes, labels, rules, shape)

    return F.arrow_udf(read, TRUTH)  # type: ignore[call-overload]  # its stubs know no struct as DDL


def counted(table: pa.Table, meta: Mapping[str, Any]) -> Counted:
    """Return the boxes of both sides of a table with the columns truth, objects and error."""
    true, objects = _whole(table, "truth"), _whole(table, "objects")
    scored = np.asarray(objects.is_valid())
    usable = np.asarray(pc.struct_field(true, "error").is_null())
    chosen = scored & usable
    true, objects = true.filter(pa.array(chosen)), objects.filter(pa.array(chosen))
    classes = pa.array(list(meta["classes"]), pa.string())
    truths, strange = _true_table(true, classes)
    bad = pc.sum(pc.struct_field(true, "bad")).as_py() or 0
    rows = int(chosen.sum())
    return Counted(
        rows, truths, found_table(objects, classes), int((~scored).sum()), int((scored & ~usable).sum()), bad, strange
    )


def _true_table(true: pa.StructArray, classes: pa.Array) -> tuple[BoxTable, int]:
    """Return the true boxes, and how many are of none of the classes."""
    boxes, labels = pc.struct_field(true, "boxes"), pc.struct_field(true, "labels")
    picture = np.repeat(np.arange(len(true)), np.asarray(pc.list_value_length(labels)))
    label = pc.index_in(labels.flatten(), classes)
    known = np.asarray(label.is_valid())
    corners = boxes.flatten().to_numpy(zero_copy_only=False).reshape(-1, 4)
    found = BoxTable(picture[known], label.drop_null().to_numpy().astype(np.int64), corners[known])
    return found, int((~known).sum())


def found_table(objects: pa.ListArray, classes: pa.Array) -> BoxTable:
    """Return the predicted boxes of rows, none of them null, in float64.

    Raises: DataError where one has a label that is none of the classes: another model's.
    """
    picture = np.repeat(np.arange(len(objects)), np.asarray(pc.list_value_length(objects)))
    flat = objects.flatten()
    names, score, box = (pc.struct_field(flat, name) for name in ("label", "score", "box"))
    label = pc.index_in(names, classes)
    if label.null_count:
        foreign = names.filter(label.is_null())
        raise DataError(
            f"{len(foreign):,} predictions, '{foreign[0].as_py()}' for one, are not among the {len(classes)} classes.",
            hint="Evaluate with the classes of the model that made the predictions.",
        )
    corners = [pc.struct_field(box, name).to_numpy(zero_copy_only=False) for name in ("x1", "y1", "x2", "y2")]
    return BoxTable(
        picture,
        label.to_numpy(zero_copy_only=False).astype(np.int64),
        np.stack(corners, axis=1).astype(np.float64),
        score.to_numpy(zero_copy_only=False).astype(np.float64),
    )


def _whole(table: pa.Table, name: str) -> Any:
    """Return a column as one array."""
    column = table.column(name)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _prediction(predictions: DataFrame, name: str) -> Column:
    """Return the prediction column after a look at its type."""
    column = whole_column(predictions, name)
    kind = predictions.select(column.alias("p")).schema["p"].dataType
    fields = kind.fieldNames() if isinstance(kind, StructType) else []
    if "objects" not in fields:
        raise DataError(
            f"column '{name}' is {kind.simpleString()[:80]}, not a prediction: it has no objects.",
            hint="A prediction is the whole struct that the model's SQL function returns: model(image) AS prediction.",
        )
    return column


def _nothing_counts(found: Counted, table: pa.Table, meta: Mapping[str, Any]) -> DataError:
    if not table.num_rows:
        return DataError("there are no rows to evaluate.", hint="Check the query or table that gives the rows.")
    parts = []
    if found.errors:
        reason = next(filter(None, table.column("error").to_pylist()), None)
        parts.append(f"{found.errors:,} have no prediction" + (f" ({reason})" if reason else ""))
    if found.unusable:
        reason = next(filter(None, pc.struct_field(_whole(table, "truth"), "error").to_pylist()))
        parts.append(f"the boxes of {found.unusable:,} cannot be used ({reason})")
    return DataError(
        f"none of the {table.num_rows:,} rows can be evaluated: {', and '.join(parts)}.",
        hint="Check that the columns are those the model was trained on.",
    )
