"""Rows that keep arriving -> a streaming DataFrame: a stream of the notebook, a view of one, a table, a folder."""

from collections.abc import Iterable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from sparknn_magic.causes import spark_cause
from sparknn_magic.data.sources import (
    ANY_AGE,
    SPARK_ERRORS,
    Fail,
    kind_of,
    located,
    no_path,
    open_source,
    quoted_table,
    read_image_folder,
    uppermost,
)
from sparknn_magic.spec.models import Source

HINT = "A stream is a DataFrame of spark.readStream, SQL over a view of one (or FROM STREAM table), a table, a folder."


def open_stream(spark: SparkSession, source: Source, fail: Fail, names: Iterable[str] = ()) -> DataFrame:
    """Return the streaming DataFrame of a source as a cell writes it; nothing runs yet.

    A folder is one into which pictures (see `read_image_folder`) or Parquet files are moved whole. `fail` and `names`
    are as in `open_source`. Raises: the error that `fail` makes, where there is no such thing, or its rows do not keep
    arriving.
    """
    kind = None if source.dataframe is not None else kind_of(source)
    try:
        if kind == "path":
            return _folder(spark, source, fail)
        frame = open_source(spark, source, fail, names)
        if kind == "table" and not frame.isStreaming:  # which a view can be
            frame = spark.readStream.table(quoted_table(source.value))
            frame.schema  # noqa: B018 (a Connect session looks for the table only now)
    except SPARK_ERRORS as error:
        raise fail(spark_cause(error), hint=HINT) from error
    require_stream(frame, source.value, fail)
    return frame


def require_stream(frame: DataFrame, name: str, fail: Fail) -> None:
    """Raise the error that `fail` makes where a DataFrame is no stream."""
    if not frame.isStreaming:
        raise fail(f"{name[:80]} is no stream: its rows are all there already.", hint=HINT)


def _folder(spark: SparkSession, source: Source, fail: Fail) -> DataFrame:
    text = source.value
    where, local, here = located(spark, text)
    if here and not local.is_dir():
        raise fail(f"'{text}' is a file, and a stream is read of a folder.")
    kind = source.format if source.format != "auto" else _kind(spark, where, local, here, fail, text)
    if kind == "parquet":
        return spark.readStream.schema(spark.read.parquet(where).schema).options(**ANY_AGE).parquet(where)
    return read_image_folder(spark, where, stream=True)


def _kind(spark: SparkSession, where: str, local: Path, here: bool, fail: Fail, text: str) -> str:
    """Return "parquet" where the folder has such files, else "images": it may still be empty."""
    if here:
        return uppermost(local, fail) or "images"
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").option("pathGlobFilter", "*.parquet")
    try:
        # Named twice: of a single path that is not there, Spark logs a Java stack trace before it says so.
        return "parquet" if files.load([where, where]).select("path").head(1) else "images"
    except SPARK_ERRORS as error:
        if getattr(error, "getCondition", lambda: None)() != "PATH_NOT_FOUND":
            raise
        raise no_path(text, local, fail) from error
