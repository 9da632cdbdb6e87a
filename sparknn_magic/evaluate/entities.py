"""Precision, recall and F1 of whole entities, by Spark: one pass over the predictions; a count for each label is left.

An entity is found where start, end and label are those of a true one. Source: Tjong Kim Sang and De Meulder 2003,
Introduction to the CoNLL-2003 Shared Task; the averages are those of seqeval in its default mode.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructType

from sparknn_magic.data.entities.plan import SHAPES, as_spans
from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.metrics import average, ratio
from sparknn_magic.evaluate.spark import whole_column

COUNTED, ERRORS, UNKNOWN, RIGHT = "counted", "errors", "unknown", "right"
ROW, TRUE, PREDICTED, HIT = range(4)  # what is counted


def entity_metrics(
    predictions: DataFrame, *, text: str = "text", label: str = "label", prediction: str = "prediction"
) -> dict[str, Any]:
    """Return precision, recall and F1 of entities, for each label and in the micro, macro and weighted average.

    `predictions` has the true entities in column `label`: spans of the column `text`, or a tag for each of its words;
    and the model's answer in column `prediction`: struct<entities: array<struct<start, end, label, ...>>, error>.

    `f1` is the micro average, `entities` how many there are, `predicted_entities` how many were found, `rows_right` the
    share of rows with all of them and no other. Labels are those that true or predicted entities have; a figure whose
    denominator is 0 is 0. Rows without a prediction are counted in `errors`; rows whose label is null or breaks the
    rules (a span outside the text, words and tags of different number) in `unknown_labels`; neither enters any figure.

    Raises: DataError where a column is missing or of the wrong type, or where no row counts.
    """
    rows = with_spans(predictions, text=text, label=label, prediction=prediction)
    counts = {(r.what, r.name): r.n for r in _counts(rows).collect()}
    counted = counts.get((ROW, COUNTED), 0)
    errors, unknown = (counts.get((ROW, name), 0) for name in (ERRORS, UNKNOWN))
    if not counted:
        raise _nothing_counts(errors, unknown, label)
    labels = sorted({name for what, name in counts if what != ROW})
    of = [np.array([counts.get((what, name), 0) for name in labels], float) for what in (TRUE, PREDICTED, HIT)]
    return from_counts(labels, *of) | {
        "rows": counted,
        "errors": errors,
        "unknown_labels": unknown,
        "rows_right": counts.get((ROW, RIGHT), 0) / counted,
    }


def from_counts(labels: Sequence[str], true: np.ndarray, predicted: np.ndarray, hits: np.ndarray) -> dict[str, Any]:
    """Return the figures of float64[labels] entities that there are, that were predicted, and that are both."""
    each = {"precision": ratio(hits, predicted), "recall": ratio(hits, true), "f1": ratio(2 * hits, true + predicted)}
    sums = [np.array([values.sum()]) for values in (true, predicted, hits)]
    micro = {
        "precision": float(ratio(sums[2], sums[1])[0]),
        "recall": float(ratio(sums[2], sums[0])[0]),
        "f1": float(ratio(2 * sums[2], sums[0] + sums[1])[0]),
    }
    return {
        "f1": micro["f1"],
        "entities": int(true.sum()),
        "predicted_entities": int(predicted.sum()),
        "micro": micro,
        "macro": {name: float(values.mean()) if len(values) else 0.0 for name, values in each.items()},
        "weighted": {name: average(values, true) for name, values in each.items()},
        "per_class": [
            {"label": name, **{key: float(values[i]) for key, values in each.items()}, "support": int(true[i])}
            for i, name in enumerate(labels)
        ],
    }


def with_spans(predictions: DataFrame, *, text: str, label: str, prediction: str = "prediction") -> DataFrame:
    """Return the rows with `true`, `predicted` and `hits`, arrays of spans, and `status`, one of the words above.

    A span is struct<start: bigint, end: bigint, label: string>; rows that do not count have none. The other columns
    stay. Raises: DataError as `entity_metrics` does.
    """
    texts, labels = whole_column(predictions, text), whole_column(predictions, label)
    guess = _prediction(predictions, prediction)
    types = predictions.select(texts.alias("t"), labels.alias("l")).schema
    given, learnt = types["t"].dataType, types["l"].dataType
    if isinstance(given, ArrayType) and isinstance(learnt, ArrayType) and isinstance(learnt.elementType, StringType):
        true, usable = spans_of_tags(labels), _all_tags(labels) & (F.size(labels) == F.size(texts))
    elif isinstance(given, StringType) and isinstance(learnt, ArrayType):
        true = _sorted_spans(predictions, labels, label)
        usable = _all_spans(true, F.length(texts))
    else:
        kinds = [kind.simpleString()[:60] for kind in (given, learnt)]
        raise DataError(f"column '{text}' is {kinds[0]} and '{label}' {kinds[1]}; {SHAPES}.")
    status = F.when(guess.isNull(), ERRORS).when(F.coalesce(usable, F.lit(False)), COUNTED).otherwise(UNKNOWN)
    none = F.array().cast("array<struct<start:bigint,end:bigint,label:string>>")
    rows = predictions.withColumn("status", status)
    rows = rows.withColumn("true", F.when(F.col("status") == COUNTED, true).otherwise(none))
    rows = rows.withColumn("predicted", F.when(F.col("status") == COUNTED, as_spans(guess)).otherwise(none))
    return rows.withColumn("hits", F.array_intersect("true", "predicted"))


def _counts(rows: DataFrame) -> DataFrame:
    """Return what, name and n: how many rows have each status, and of each label the entities of each kind."""

    def entries(name: str, what: int) -> Column:
        return F.transform(F.col(name), lambda span: _entry(what, span.getField("label")))

    size = F.size("hits")
    right = (F.col("status") == COUNTED) & (F.size("true") == size) & (F.size("predicted") == size)
    of_row = F.array(_entry(ROW, F.col("status")), F.when(right, _entry(ROW, F.lit(RIGHT))))
    found = F.concat(
        F.array_compact(of_row), entries("true", TRUE), entries("predicted", PREDICTED), entries("hits", HIT)
    )
    each = rows.select(F.explode(found).alias("entry")).select("entry.*")
    return each.groupBy("what", "name").agg(F.count(F.lit(1)).alias("n"))


def _entry(what: int, name: Column) -> Column:
    return F.struct(F.lit(what).alias("what"), name.alias("name"))


def spans_of_tags(tags: Column) -> Column:
    """Return the entities of array<string> of tags: array<struct<start: bigint, end: bigint, label: string>> of words.

    An I- that no tag of its label stands before begins one, as seqeval's default mode has it.
    """
    outside, n = F.array(F.lit("O")), F.size(tags)
    before, behind = F.slice(F.concat(outside, tags), 1, n), F.slice(F.concat(tags, outside), 2, n)
    first = F.zip_with(tags, before, lambda tag, last: (tag != "O") & ~_goes_on(last, tag))
    last = F.zip_with(tags, behind, lambda tag, following: (tag != "O") & ~_goes_on(tag, following))
    starts = F.array_compact(F.transform(first, lambda is_first, i: F.when(is_first, i.cast("bigint"))))
    ends = F.array_compact(F.transform(last, lambda is_last, i: F.when(is_last, i.cast("bigint") + 1)))
    labels = F.array_compact(F.zip_with(tags, first, lambda tag, is_first: F.when(is_first, _kind(tag))))
    places = F.zip_with(starts, ends, lambda a, b: F.struct(a.alias("start"), b.alias("end")))
    return F.zip_with(
        places,
        labels,
        lambda place, name: F.struct(
            place.getField("start").alias("start"), place.getField("end").alias("end"), name.alias("label")
        ),
    )


def _kind(tag: Column) -> Column:
    return F.substr(tag, F.lit(3))


def _goes_on(tag: Column, following: Column) -> Column:
    """Whether the entity of a tag goes on with the one behind it."""
    return (tag != "O") & following.startswith("I-") & (_kind(tag) == _kind(following))


def _all_tags(tags: Column) -> Column:
    return F.forall(tags, lambda tag: F.coalesce(tag.rlike("(?s)^(O|[BI]-.+)$"), F.lit(False)))


def _sorted_spans(rows: DataFrame, label: Column, name: str) -> Column:
    element = rows.select(label.alias("l")).schema["l"].dataType.elementType  # type: ignore[attr-defined]
    fields = {field.name.lower() for field in element} if isinstance(element, StructType) else set()
    if not {"start", "end", "label"} <= fields:
        raise DataError(f"column '{name}' is array<{element.simpleString()[:60]}>; {SHAPES}.")
    return F.array_sort(as_spans(label))


def _all_spans(spans: Column, length: Column) -> Column:
    """Whether sorted spans keep to the rules: complete, within the text, not empty, not overlapping."""
    whole = F.forall(
        spans,
        lambda s: F.coalesce(
            (s.getField("start") >= 0)
            & (s.getField("start") < s.getField("end"))
            & (s.getField("end") <= length)
            & s.getField("label").isNotNull(),
            F.lit(False),
        ),
    )
    most = F.greatest(F.size(spans) - 1, F.lit(0))
    pairs = F.zip_with(
        F.slice(spans, 1, most), F.slice(spans, 2, most), lambda a, b: a.getField("end") <= b.getField("start")
    )
    return whole & F.forall(pairs, lambda apart: F.coalesce(apart, F.lit(False)))


def _prediction(predictions: DataFrame, name: str) -> Column:
    """Return the entities of the prediction column after a look at its type."""
    column = whole_column(predictions, name)
    kind = predictions.select(column.alias("p")).schema["p"].dataType
    fields = kind.fieldNames() if isinstance(kind, StructType) else []
    if "entities" not in fields:
        raise DataError(
            f"column '{name}' is {kind.simpleString()[:80]}, not a prediction: it has no entities.",
            hint="A prediction is the whole struct that the model's SQL function returns: model(text) AS prediction.",
        )
    return column.getField("entities")


def _nothing_counts(errors: int, unknown: int, label: str) -> DataError:
    if not errors + unknown:
        return DataError("there are no rows to evaluate.", hint="Check the query or table that gives the rows.")
    parts = [f"{errors:,} have no prediction"] if errors else []
    if unknown:
        parts.append(f"{unknown:,} have in '{label}' null, or what are no spans of their text")
    return DataError(f"none of the {errors + unknown:,} rows can be evaluated: {', and '.join(parts)}.")
