"""What can be said of vectors without labels, by Spark."""

import time
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknn_magic.errors import DataError


def embedding_metrics(predictions: DataFrame, *, prediction: str = "prediction") -> dict[str, Any]:
    """Return rows with a vector, errors (rows without one), the dimension, seconds, and rows_per_second.

    The column `prediction` is struct<embedding: array<float>, error: string>. The seconds are those of the job that
    computes it, the start of Python workers among them, where the predictions were not cached before.
    Raises: DataError where no row has a vector.
    """
    started = time.perf_counter()
    vector = F.col(f"{prediction}.embedding")
    one = predictions.agg(
        F.count(vector).alias("rows"), F.count(F.lit(1)).alias("all"), F.max(F.size(vector)).alias("dimension")
    )
    found = one.collect()[0]
    seconds = time.perf_counter() - started
    if not found.rows:
        raise DataError("none of the rows has a vector.", hint=f"`{prediction}.error` has the reason of each.")
    return {
        "rows": found.rows,
        "errors": found["all"] - found.rows,
        "dimension": found.dimension,
        "seconds": seconds,
        "rows_per_second": found.rows / seconds,
    }
