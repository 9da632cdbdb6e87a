"""A source of the cell -> a DataFrame: SQL, a table or view, a DataFrame of the notebook, Parquet or an image folder."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.causes import spark_cause
from sparknn_magic.errors import SparkNNError, did_you_mean
from sparknn_magic.spec.models import Source

SQL_START = re.compile(r"\s*\(*\s*(select|with|from|table|values)\b\s*\S", re.IGNORECASE)
SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "gif")
Fail = Callable[..., SparkNNError]  # (message, hint=) -> an error with the source's place in the cell


def open_source(spark: SparkSession, source: Source, fail: Fail, names: Iterable[str] = ()) -> DataFrame:
    """Return the source's DataFrame; nothing runs yet but Spark's analysis of the query.

    A bare text is a DataFrame of the notebook where one has this name, else SQL, a path, or a table or view.
    `names` are the notebook's DataFrames, for a did-you-mean. Raises: the error that `fail` makes, where there is no
    such thing, or Spark does not understand the query.
    """
    try:
        frame = _open(spark, source, fail, names)
        frame.schema  # noqa: B018 (a Connect session analyses only when it is asked for the result)
    except PySparkException as error:
        raise fail(spark_cause(error)) from error
    return frame


def _open(spark: SparkSession, source: Source, fail: Fail, names: Iterable[str]) -> DataFrame:
    kind, value = source.kind, source.value
    if source.dataframe is not None:
        if not isinstance(source.dataframe, DataFrame):
            found = type(source.dataframe)
            raise fail(
                f"{value} is a {found.__module__.partition('.')[0]} {found.__name__}, not a Spark DataFrame.",
                hint="spark.createDataFrame(...) makes one.",
            )
        return source.dataframe
    if kind == "frame":
        raise fail(f"there is no DataFrame named '{value}' here.{did_you_mean(value, names)}")
    if kind == "auto":
        kind = _guess(value)
    if kind == "sql":
        return spark.sql(value, args=dict(source.params)) if source.params else spark.sql(value)
    if kind == "path":
        return _path(spark, value, source.format, fail)
    return _table(spark, value, names, fail)


def _guess(value: str) -> str:
    if SQL_START.match(value):
        return "sql"
    looks_like_path = "/" in value or "\\" in value or value.endswith(".parquet")
    return "path" if looks_like_path else "table"


def _table(spark: SparkSession, name: str, names: Iterable[str], fail: Fail) -> DataFrame:
    if re.fullmatch(r"[\w.`-]+", name) and spark.catalog.tableExists(name):
        return spark.table(name)
    known = [table.name for table in spark.catalog.listTables()]
    raise fail(
        f"there is no table, view or DataFrame named '{name}'.{did_you_mean(name, [*known, *names])}",
        hint="A source is SQL, a table, a view, a DataFrame of the notebook, or a path (with a / in it).",
    )


def _path(spark: SparkSession, path: str, kind: str, fail: Fail) -> DataFrame:
    local = Path(path.removeprefix("file://"))
    remote = "://" in path and not path.startswith("file://")
    if not remote and not local.exists():
        raise fail(f"there is no file or folder '{path}'.")
    if kind == "auto":
        has_parquet = local.suffix == ".parquet" or (local.is_dir() and next(local.rglob("*.parquet"), None) is not None)
        kind = "parquet" if has_parquet or (remote and path.rstrip("/").endswith(".parquet")) else "images"
    absolute = path if remote else str(local.resolve())
    return spark.read.parquet(absolute) if kind == "parquet" else read_image_folder(spark, absolute)


def read_image_folder(spark: SparkSession, path: str) -> DataFrame:
    """Return (path, image: the file's bytes, label: the name of its folder) for every picture below `path`."""
    endings = ",".join(f"*.{s},*.{s.upper()}" for s in SUFFIXES)
    files = (
        spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", f"{{{endings}}}")
        .load(path)
    )
    return files.select("path", F.col("content").alias("image"), F.element_at(F.split("path", "/"), -2).alias("label"))
