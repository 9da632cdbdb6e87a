"""Metrics of rows that have any number of labels, as Spark expressions: one pass, and one row a class comes back.

Only what a Spark Connect client has too. Nothing here is a Python UDF, and the counting does not filter the rows: a
filter on the prediction can be pushed below it, and then the model runs twice on each row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructType

from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.metrics import average, ratio
from sparknn_magic.evaluate.spark import EPSILON, whole_column

# What stands in the place of a class's number, which counts from 0, in the one row for a whole set of labels.
COUNTED, NONE, UNKNOWN, FOREIGN, UNUSABLE = -1, -2, -3, -4, -5


def multilabel_metrics(
    predictions: DataFrame, classes: Sequence[str], *, label: str = "labels", prediction: str = "prediction"
) -> dict[str, Any]:
    """Return precision, recall and F1, over all and of each class, and how often a whole set of labels is right.

    `predictions` has the true labels in column `label`, array<string>, and the model's answer in column `prediction`:
    struct<labels: array<string>, probabilities: array<float>, error: string>. `classes` are the K classes in the order
    of the probabilities. The order of labels in a row, and how often one stands there, do not matter; no labels at all
    are a set too.

    A row counts when it has a prediction and each of its labels is one of the classes. Rows without a prediction are
    counted in `errors`, the others in `unknown_labels`, and neither enters any figure.

    `accuracy` is the share of rows whose set of labels is right as a whole, `baseline_accuracy` that of answering every
    row with the most frequent set. `hamming_loss` is the share of the decisions, K a row, that are wrong, `log_loss`
    the mean over them in nats. `micro` counts all decisions as one class's; `macro` is the mean over the classes,
    `weighted` that by their rows. A figure whose denominator is 0 is 0, as scikit-learn's `zero_division=0` has it.

    Raises: DataError where a column is missing or of the wrong type, where no row counts, or where the predictions
    are not of these classes.
    """
    rows = _judged(predictions, label, prediction, list(classes))
    table = _counts(rows, len(classes)).toArrow().to_pydict()
    of_rows = {kind: i for i, kind in enumerate(table["class"]) if kind < 0}
    n = {kind: int(table["n"][of_rows[kind]]) if kind in of_rows else 0 for kind in range(UNUSABLE, 0)}
    if n[FOREIGN] or n[UNUSABLE]:
        raise _other_classes(rows, len(classes), n)
    if not n[COUNTED]:
        raise _nothing_counts(rows, label, len(classes), n)
    whole = of_rows[COUNTED]
    place = {kind: i for i, kind in enumerate(table["class"]) if kind >= 0}
    counts = {
        name: np.array([table[name][place[k]] for k in range(len(classes))])
        for name in ("hits", "said", "true", "loss")
    }
    return {
        "rows": n[COUNTED],
        "errors": n[NONE],
        "unknown_labels": n[UNKNOWN],
        "accuracy": table["hits"][whole] / n[COUNTED],
        "baseline_accuracy": table["most"][whole] / n[COUNTED],
        **_figures(counts, classes, n[COUNTED]),
    }


def _figures(counts: dict[str, np.ndarray], classes: Sequence[str], rows: int) -> dict[str, Any]:
    """Return the figures that come from the counts of each class: int64[K] hits, said, true, float64[K] loss."""
    hits, said, true = counts["hits"].astype(np.float64), counts["said"], counts["true"]
    each = {"precision": ratio(hits, said), "recall": ratio(hits, true), "f1": ratio(2 * hits, said + true)}
    together = {name: counts[name].sum(keepdims=True) for name in ("hits", "said", "true")}
    return {
        "hamming_loss": float((said + true - 2 * hits).sum() / (rows * len(classes))),
        "log_loss": float(counts["loss"].sum() / (rows * len(classes))),
        "micro": {
            "precision": float(ratio(together["hits"], together["said"])[0]),
            "recall": float(ratio(together["hits"], together["true"])[0]),
            "f1": float(ratio(2 * together["hits"], together["said"] + together["true"])[0]),
        },
        "macro": {name: float(values.mean()) for name, values in each.items()},
        "weighted": {name: average(values, true) for name, values in each.items()},
        "per_class": [
            {"label": name, **{key: float(values[i]) for key, values in each.items()}, "support": int(true[i])}
            for i, name in enumerate(classes)
        ],
    }


def _judged(predictions: DataFrame, label: str, prediction: str, classes: list[str]) -> DataFrame:
    """Return of each row its kind, below 0, the true and the predicted labels, and the probabilities."""
    names = F.lit(classes)
    truth, guess = _labels(predictions, label), _prediction(predictions, prediction)
    said, probabilities = guess.getField("labels"), guess.getField("probabilities")
    within = (F.array_min(probabilities) >= 0) & (F.array_max(probabilities) <= 1.0001)
    usable = F.coalesce((F.size(probabilities) == len(classes)) & within, F.lit(False))
    kind = (
        F.when(said.isNull(), NONE)
        .when(F.size(F.array_except(said, names)) > 0, FOREIGN)
        .when(~usable, UNUSABLE)
        .when(truth.isNull() | (F.size(F.array_except(truth, names)) > 0), UNKNOWN)
        .otherwise(COUNTED)
    )
    return predictions.select(
        kind.alias("kind"),
        truth.alias("truth"),
        said.alias("said"),
        probabilities.alias("probabilities"),
        F.array_except(truth, names).alias("strange"),
        F.array_except(said, names).alias("foreign"),
        guess.getField("error").alias("error"),
    ).withColumn("names", names)


def _counts(rows: DataFrame, classes: int) -> DataFrame:
    """Return a row for each class, and one for each kind of row, whose number is below 0.

    Of a class: rows that have it (true), are said to have it (said), both (hits), and the sum of its log loss. Of a
    kind of row: how many there are, those whose set of labels is right as a whole (hits), and how many rows have the
    most frequent set.
    """
    counted = F.col("kind") == COUNTED
    sets = rows.select(
        "kind",
        F.when(counted, _flags("truth")).alias("true"),
        F.when(counted, _flags("said")).alias("said"),
        "probabilities",
    )
    each = F.transform(
        F.sequence(F.lit(0), F.lit(classes - 1)),
        lambda k: _line(k, F.get("true", k), F.get("said", k), F.get("probabilities", k)),
    )
    # The set as a text of zeros and ones: the same labels in any order are the same text.
    spelled = F.array_join(F.transform("true", lambda has: has.cast("int").cast("string")), "")
    row = F.struct(
        F.col("kind").cast("int").alias("class"),
        F.coalesce(spelled, F.lit("")).alias("set"),
        F.coalesce((F.col("true") == F.col("said")).cast("int"), F.lit(0)).alias("hits"),
        F.lit(0).alias("said"),
        F.lit(0).alias("true"),
        F.lit(0.0).alias("loss"),
    )
    lines = F.when(counted, F.concat(F.array(row), each)).otherwise(F.array(row))
    sums = [F.sum(name).alias(name) for name in ("hits", "said", "true", "loss")]
    by_set = sets.select(F.inline(lines)).groupBy("class", "set").agg(F.count(F.lit(1)).alias("n"), *sums)
    return by_set.groupBy("class").agg(F.max("n").alias("most"), F.sum("n").alias("n"), *sums)


def _flags(labels: str) -> Column:
    """Return for each class whether it is among the labels: array<boolean>."""
    return F.transform("names", lambda name: F.array_contains(labels, name))


def _line(k: Column, true: Column, said: Column, probability: Column) -> Column:
    """Return what one row says of class k."""
    p = F.least(F.greatest(probability.cast("double"), F.lit(EPSILON)), F.lit(1 - EPSILON))
    return F.struct(
        k.cast("int").alias("class"),
        F.lit("").alias("set"),
        (true & said).cast("int").alias("hits"),
        said.cast("int").alias("said"),
        true.cast("int").alias("true"),
        (-F.log(F.when(true, p).otherwise(1 - p))).alias("loss"),
    )


def _other_classes(rows: DataFrame, classes: int, n: dict[int, int]) -> DataError:
    """Return the error for predictions that some other model made."""
    hint = "Evaluate with the classes of the model that made the predictions."
    if n[FOREIGN]:
        example = _example(rows, FOREIGN, F.get("foreign", F.lit(0)))
        return DataError(
            f"{n[FOREIGN]:,} predictions have labels, '{example}' for one, that are not among the {classes} classes.",
            hint=hint,
        )
    return DataError(
        f"rows whose prediction is not {classes} probabilities between 0 and 1: {n[UNUSABLE]:,}.", hint=hint
    )


def _nothing_counts(rows: DataFrame, label: str, classes: int, n: dict[int, int]) -> DataError:
    """Return the error for rows of which none has both a prediction and known labels."""
    if not n[NONE] + n[UNKNOWN]:
        return DataError("there are no rows to evaluate.", hint="Check the query or table that gives the rows.")
    parts = []
    if n[NONE]:
        reason = _example(rows, NONE, F.col("error"))
        parts.append(f"{n[NONE]:,} have no prediction" + (f" ({reason})" if reason else ""))
    if n[UNKNOWN]:
        example = _example(rows, UNKNOWN, F.get("strange", F.lit(0)))
        known = "null" if example is None else f"'{example}'"
        parts.append(
            f"{n[UNKNOWN]:,} have labels in '{label}' that are not among the {classes} classes ({known} for one)"
        )
    return DataError(
        f"none of the {n[NONE] + n[UNKNOWN]:,} rows can be evaluated: {', and '.join(parts)}.",
        hint="Check that the input and label columns are those the model was trained on.",
    )


def _example(rows: DataFrame, kind: int, column: Column) -> str | None:
    """Return the column's value in one such row. It costs a second pass, so only an error's wording asks for it."""
    found = rows.where(F.col("kind") == kind).select(column).head(1)
    return found[0][0] if found else None


def _labels(predictions: DataFrame, name: str) -> Column:
    """Return the label column after a look at its type."""
    column = whole_column(predictions, name)
    kind = predictions.select(column.alias("labels")).schema["labels"].dataType
    if not isinstance(kind, ArrayType) or not isinstance(kind.elementType, StringType):
        raise DataError(
            f"column '{name}' is {kind.simpleString()}, not array<string>: a row may have any number of labels.",
            hint=f"split({name}, ',') AS {name} makes one of a text with commas; for one label a row, there is the "
            "classification of one label.",
        )
    return column


def _prediction(predictions: DataFrame, name: str) -> Column:
    """Return the prediction column after a look at its type."""
    column = whole_column(predictions, name)
    kind = predictions.select(column.alias("p")).schema["p"].dataType
    fields = kind.fieldNames() if isinstance(kind, StructType) else []
    missing = [f for f in ("labels", "probabilities", "error") if f not in fields]
    if missing:
        raise DataError(
            f"column '{name}' is {kind.simpleString()}, not a prediction of labels: it has no "
            f"{' and no '.join(missing)}.",
            hint="A prediction is the whole struct that the model's SQL function returns.",
        )
    return column
