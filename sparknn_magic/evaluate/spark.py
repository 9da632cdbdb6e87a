"""Metrics as Spark expressions: one pass over the predictions; at most K x K counts and 1,500 bins of scores come back.

Only what a Spark Connect client has too. Nothing here is a Python UDF, and the counting does not filter the rows: a
filter on the prediction can be pushed below it, and then the model runs twice on each row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from sparknn_magic.errors import DataError, did_you_mean
from sparknn_magic.evaluate.metrics import FINE_BINS, from_confusion, from_scores

# Probabilities are float32: scikit-learn clips those at float32's epsilon too, so that ln(0) costs 15.9, not infinity.
EPSILON = float(np.finfo(np.float32).eps)
SCORES = ("bin", "n", "hits", "score", "lowest")  # of each bin of scores, as `from_scores` takes them
BILLION = 10**9
NONE, UNKNOWN = -1, 0  # in the place of a class's number, which counts from 1: no prediction; not one of the classes


def classification_metrics(
    predictions: DataFrame, classes: Sequence[str], *, label: str = "label", prediction: str = "prediction"
) -> dict[str, Any]:
    """Return accuracy, precision, recall, F1, log loss, top-5, calibration and the confusion matrix of scored rows.

    `predictions` has the true class in column `label` (a string, or anything Spark casts to one) and the model's
    answer in column `prediction`: struct<label: string, score: float, probabilities: array<float>, error: string>.
    `classes` are the K classes in the order of the probabilities.

    A row counts when it has a prediction and its label is one of the classes. Rows without a prediction are counted
    in `errors`, the others in `unknown_labels`, and neither enters any figure. Top-5 ranks equal probabilities as
    scikit-learn does: of two, the later class stands first. It is None for 5 classes or fewer. The score is the
    probability of the predicted class; what `from_scores` says of it, the calibration error, the reliability of each
    bin and the coverage, is there too.

    Raises: DataError where a column is missing or of the wrong type, where no row counts, or where the predictions
    are not of these classes.
    """
    truth = whole_column(predictions, label).cast("string")
    guess = _prediction(predictions, prediction)
    rows = _numbered(predictions, truth, guess, list(classes))
    table = _counts(rows, len(classes)).toArrow().to_pydict()
    found = {name: np.asarray(values) for name, values in table.items()}
    scores = {name: found[name][found["of_scores"] == 1] for name in SCORES}
    found = {name: values[found["of_scores"] == 0] for name, values in found.items()}
    true, predicted, n = (found[name].astype(np.int64) for name in ("true", "predicted", "n"))
    counted = (predicted > UNKNOWN) & (true > UNKNOWN)
    errors = int(n[predicted == NONE].sum())
    unknown = int(n[(predicted != NONE) & (true == UNKNOWN)].sum())
    foreign, unusable = int(n[predicted == UNKNOWN].sum()), int(found["unusable"].sum())
    if foreign or unusable:
        raise _other_classes(rows, len(classes), foreign, unusable)
    if not counted.any():
        raise _nothing_counts(rows, len(classes), errors, unknown)
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    confusion[true[counted] - 1, predicted[counted] - 1] = n[counted]
    metrics = from_confusion(
        confusion,
        classes,
        log_loss_sum=float(found["loss"][counted].sum()),
        top5_hits=int(found["top5"][counted].sum()),
        errors=errors,
        unknown_labels=unknown,
    )
    return metrics | from_scores(*(scores[name][scores["bin"] > 0] for name in SCORES))


def _numbered(predictions: DataFrame, truth: Column, guess: Column, classes: list[str]) -> DataFrame:
    """Return the rows with the true and the predicted class as numbers from 1, and the probability of the true one."""
    names, named, probabilities = F.lit(classes), guess.getField("label"), guess.getField("probabilities")
    # NaN counts as the largest number, so it is beyond the upper bound.
    within = (F.array_min(probabilities) >= 0) & (F.array_max(probabilities) <= 1.0001)
    usable = (F.size(probabilities) == len(classes)) & within
    rows = predictions.select(
        F.coalesce(F.array_position(names, truth), F.lit(UNKNOWN)).cast("int").alias("true"),
        F.when(named.isNull(), NONE).otherwise(F.array_position(names, named)).cast("int").alias("predicted"),
        F.coalesce(usable, F.lit(False)).alias("usable"),
        probabilities.alias("probabilities"),
        guess.getField("error").alias("error"),
        truth.alias("truth"),
        named.alias("named"),
    )
    scored = (F.col("true") > UNKNOWN) & (F.col("predicted") > UNKNOWN) & F.col("usable")
    return rows.withColumn("of_true", F.when(scored, F.get("probabilities", F.col("true") - 1)))


def _counts(rows: DataFrame, classes: int) -> DataFrame:
    """Return a row for each pair (true, predicted), and one for each bin of scores, where `of_scores` is 1.

    n rows, the sum of their log loss, how many are in the top 5; of a bin the hits, and the sum and the least of the
    scores. Bin 0 has the rows without one. Numbers only: an aggregate of strings would make Spark sort the rows.
    """
    true, predicted, of_true = F.col("true"), F.col("predicted"), F.col("of_true")
    clipped = F.least(F.greatest(of_true.cast("double"), F.lit(EPSILON)), F.lit(1 - EPSILON))
    ahead = F.filter("probabilities", lambda p, i: (p > of_true) | ((p == of_true) & (i >= true)))
    top5 = F.when(of_true.isNotNull(), (F.size(ahead) < 5).cast("int")) if classes > 5 else F.lit(0)
    score = F.when(of_true.isNotNull(), F.get("probabilities", predicted - 1).cast("double"))
    within = F.least(F.greatest(score, F.lit(EPSILON)), F.lit(1.0))  # of a null these two make a number
    bins = F.when(score.isNotNull(), F.ceil(within * FINE_BINS).cast("int"))
    # Numbers alone from here on: each row counts twice, and its probabilities need not be copied for that.
    numbers = rows.select(
        "true",
        "predicted",
        F.coalesce(bins, F.lit(0)).alias("bin"),
        (-F.log(clipped)).alias("loss"),
        top5.alias("top5"),
        (of_true.isNotNull() & (true == predicted)).cast("int").alias("right"),
        score.alias("score"),
        # Whole numbers add up to the same in whatever order the partitions come.
        F.round(score * BILLION).cast("bigint").alias("billionths"),
        ((predicted > UNKNOWN) & (~F.col("usable") | ((true > UNKNOWN) & of_true.isNull()))).alias("amiss"),
    )
    return numbers.groupingSets([["true", "predicted"], ["bin"]], "true", "predicted", "bin").agg(
        F.grouping("true").cast("int").alias("of_scores"),
        F.count(F.lit(1)).alias("n"),
        F.coalesce(F.sum("loss"), F.lit(0.0)).alias("loss"),
        F.coalesce(F.sum("top5"), F.lit(0)).alias("top5"),
        F.count(F.when(F.col("amiss"), 1)).alias("unusable"),
        F.sum("right").alias("hits"),
        (F.sum("billionths") / BILLION).alias("score"),
        F.min("score").alias("lowest"),
    )


def _other_classes(rows: DataFrame, classes: int, foreign: int, unusable: int) -> DataError:
    """Return the error for predictions that some other model made."""
    hint = "Evaluate with the classes of the model that made the predictions."
    if foreign:
        example = _example(rows, F.col("predicted") == UNKNOWN, "named")
        return DataError(
            f"{foreign:,} predictions, '{example}' for one, are not among the {classes} classes.", hint=hint
        )
    return DataError(f"rows whose prediction is not {classes} probabilities between 0 and 1: {unusable:,}.", hint=hint)


def _nothing_counts(rows: DataFrame, classes: int, errors: int, unknown: int) -> DataError:
    """Return the error for rows of which none has both a prediction and a known label."""
    if not errors + unknown:
        return DataError("there are no rows to evaluate.", hint="Check the query or table that gives the rows.")
    parts = []
    if errors:
        reason = _example(rows, F.col("error").isNotNull(), "error")
        parts.append(f"{errors:,} have no prediction" + (f" ({reason})" if reason else ""))
    if unknown:
        example = _example(rows, (F.col("predicted") != NONE) & (F.col("true") == UNKNOWN), "truth")
        known = "null" if example is None else f"'{example}'"
        parts.append(f"{unknown:,} have a label that is not one of the {classes} classes ({known} for one)")
    return DataError(
        f"none of the {errors + unknown:,} rows can be evaluated: {', and '.join(parts)}.",
        hint="Check that the image and label columns are those the model was trained on.",
    )


def _example(rows: DataFrame, where: Column, column: str) -> str | None:
    """Return the column's value in one such row. It costs a second pass, so only an error's wording asks for it."""
    found = rows.where(where).select(column).head(1)
    return found[0][0] if found else None


def _prediction(predictions: DataFrame, name: str) -> Column:
    """Return the prediction column after a look at its type."""
    column = whole_column(predictions, name)
    kind = predictions.select(column.alias("p")).schema["p"].dataType
    fields = kind.fieldNames() if isinstance(kind, StructType) else []
    missing = [f for f in ("label", "probabilities", "error") if f not in fields]
    if missing:
        raise DataError(
            f"column '{name}' is {kind.simpleString()}, not a prediction: it has no {' and no '.join(missing)}.",
            hint="A prediction is the whole struct that the model's SQL function returns: model(image) AS prediction.",
        )
    return column


def whole_column(frame: DataFrame, name: str) -> Column:
    """Return a column by its whole name: dots, spaces and backticks in it are part of the name."""
    same = [c for c in frame.columns if c == name] or [c for c in frame.columns if c.lower() == name.lower()]
    if not same:
        known = ", ".join(f"'{c}'" for c in frame.columns[:20])
        raise DataError(f"there is no column '{name}'.{did_you_mean(name, frame.columns)}", hint=f"Columns: {known}")
    if len(same) > 1:
        raise DataError(f"{len(same)} columns are called '{name}'.", hint="Rename one of them: SELECT ... AS ...")
    return F.col("`" + same[0].replace("`", "``") + "`")
