"""Small texts beside the shards, written and read by Spark, so that they live wherever Spark can write."""

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.sources import escape_glob


def write_text(spark: SparkSession, uri: str, text: str) -> None:
    """Write one text to the folder `uri`, with Spark's commit protocol."""
    row = spark.range(0, 1, 1, numPartitions=1).select(F.lit(text).alias("value"))
    row.write.mode("overwrite").text(uri)


def read_text(spark: SparkSession, uri: str) -> str | None:
    """Return what `write_text` wrote, or None where there is nothing, or only half of it."""
    try:
        # Named twice: of a single path that is not there, Spark logs a Java stack trace before it says so.
        rows = spark.read.text([escape_glob(uri)] * 2, wholetext=True).distinct().collect()
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return None
        raise
    return rows[0].value if len(rows) == 1 else None
