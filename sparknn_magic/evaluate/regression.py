"""Metrics of predicted numbers as Spark expressions: one pass over the predictions, and one row comes back.

Only what a Spark Connect client has too. Nothing here is a Python UDF, and the counting does not filter the rows: a
filter on the prediction can be pushed below it, and then the model runs twice on each row.
"""

import math
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StructType

from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.spark import whole_column

# The median's rank is right to one in so many rows; up to 400,000 of them nothing is left out, and it is exact.
MEDIAN_ACCURACY = 1_000_000
HALF_A_RANK = 1e-7  # above one half: of an even number of rows it falls on the upper of the two in the middle


def regression_metrics(
    predictions: DataFrame, *, label: str = "label", prediction: str = "prediction", baseline: float | None = None
) -> dict[str, Any]:
    """Return MSE, RMSE, MAE, median absolute error, R2 and the mean error of scored rows, in the label's units.

    `predictions` has the true value in the numeric column `label` and the model's answer in column `prediction`:
    struct<prediction: double, error: string>. `baseline` is the number that a model without inputs would always
    answer, the mean of the training rows; `baseline_rmse` and `baseline_mae` are its errors on the same rows.

    A row counts when both numbers are finite. Rows without a finite prediction are counted in `errors`, the others
    whose label is null, NaN or infinite in `unknown_labels`, and neither enters any figure. `mean_error` is that of
    prediction - label. R2 is None for a single row; where all labels are equal it is 1 for predictions without an
    error and else 0, as in scikit-learn. The median is exact up to 400,000 rows.

    Raises: DataError where a column is missing or of the wrong type, or where no row counts.
    """
    rows = _numbers(predictions, label, prediction)
    found = rows.agg(*_aggregates(baseline)).first()
    assert found is not None  # an aggregate of the whole frame is one row
    if not found["rows"]:
        raise _nothing_counts(rows, label, found["errors"], found["unknown_labels"])
    return _metrics(found.asDict(), baseline)


def _numbers(predictions: DataFrame, label: str, prediction: str) -> DataFrame:
    """Return truth, guess and error of each row; the difference is null where the row does not count."""
    truth, guess = _truth(predictions, label), _guess(predictions, prediction)
    rows = predictions.select(
        _finite(truth.cast("double")).alias("truth"),
        _finite(guess.getField("prediction").cast("double")).alias("guess"),
        guess.getField("error").alias("error"),
    )
    # Where one of the two is missing, the other does not count either.
    return rows.select(
        F.when(F.col("guess").isNotNull(), F.col("truth")).alias("counted"),
        (F.col("guess") - F.col("truth")).alias("difference"),
        F.col("truth").isNotNull().alias("known"),
        F.col("guess").isNotNull().alias("scored"),
        "error",
    )


def _finite(number: Column) -> Column:
    # NaN is larger than any number for Spark, so it is not below infinity.
    return F.when((number < math.inf) & (number > -math.inf), number)


def _aggregates(baseline: float | None) -> list[Column]:
    """Return the sums of one pass. Means and the variance are Spark's own, which hold for large offsets too.

    The variance is taken from the baseline on: near the labels, no digits are lost.
    """
    truth, difference = F.col("counted"), F.col("difference")
    off = truth - F.lit(0.0 if baseline is None else float(baseline))
    middle = F.percentile_approx(F.abs(difference), [0.5, 0.5 + HALF_A_RANK], MEDIAN_ACCURACY)
    return [
        F.count("difference").alias("rows"),
        F.count(F.when(~F.col("scored"), 1)).alias("errors"),
        F.count(F.when(F.col("scored") & ~F.col("known"), 1)).alias("unknown_labels"),
        F.avg(difference * difference).alias("mse"),
        F.avg(F.abs(difference)).alias("mae"),
        F.avg(difference).alias("mean_error"),
        middle.alias("middle"),
        F.var_pop(off).alias("variance"),
        F.avg(off * off).alias("baseline_mse"),
        F.avg(F.abs(off)).alias("baseline_mae"),
    ]


def _metrics(found: dict[str, Any], baseline: float | None) -> dict[str, Any]:
    mse, variance = found["mse"], found["variance"]
    if found["rows"] < 2:
        r2 = None
    elif variance:
        r2 = 1 - mse / variance
    else:
        r2 = 0.0 if mse else 1.0
    metrics = {
        "rows": found["rows"],
        "errors": found["errors"],
        "unknown_labels": found["unknown_labels"],
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": found["mae"],
        "median_absolute_error": sum(found["middle"]) / 2,
        "mean_error": found["mean_error"],
        "r2": r2,
    }
    if baseline is None:
        return metrics
    return metrics | {
        "baseline": float(baseline),
        "baseline_rmse": math.sqrt(found["baseline_mse"]),
        "baseline_mae": found["baseline_mae"],
    }


def _nothing_counts(rows: DataFrame, label: str, errors: int, unknown: int) -> DataError:
    """Return the error for rows of which none has both a prediction and a label."""
    if not errors + unknown:
        return DataError("there are no rows to evaluate.", hint="Check the query or table that gives the rows.")
    parts = []
    if errors:
        reason = rows.where(F.col("error").isNotNull()).select("error").head(1)
        parts.append(f"{errors:,} have no prediction" + (f" ({reason[0][0]})" if reason else ""))
    if unknown:
        parts.append(f"in {unknown:,} the label '{label}' is null or not a finite number")
    return DataError(
        f"none of the {errors + unknown:,} rows can be evaluated: {', and '.join(parts)}.",
        hint="Check that the columns are those the model was trained on.",
    )


def _truth(predictions: DataFrame, label: str) -> Column:
    """Return the label column after a look at its type."""
    column = whole_column(predictions, label)
    kind = predictions.select(column.alias("label")).schema["label"].dataType
    if not isinstance(kind, NumericType):
        raise DataError(
            f"column '{label}' is {kind.simpleString()}, not a number: a regression learns numbers.",
            hint=f"CAST({label} AS double) AS {label} makes one of it.",
        )
    return column


def _guess(predictions: DataFrame, name: str) -> Column:
    """Return the prediction column after a look at its type."""
    column = whole_column(predictions, name)
    kind = predictions.select(column.alias("p")).schema["p"].dataType
    fields = kind.fieldNames() if isinstance(kind, StructType) else []
    missing = [field for field in ("prediction", "error") if field not in fields]
    if missing:
        raise DataError(
            f"column '{name}' is {kind.simpleString()}, not a predicted number: it has no {' and no '.join(missing)}.",
            hint="A prediction is the whole struct that the model's SQL function returns.",
        )
    return column
