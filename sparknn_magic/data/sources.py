"""A source of the cell -> a DataFrame: SQL, a table, a view, a DataFrame of the notebook, Parquet, an image folder."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic import cluster
from sparknn_magic.causes import spark_cause
from sparknn_magic.errors import SparkNNError, did_you_mean
from sparknn_magic.spec.models import BOX_KINDS, Source

FOLDER_COLUMNS = ["path", "image", "label"]  # of `read_image_folder`
BOX_COLUMNS = ["image", "boxes", "labels", "key"]  # of `data.boxes.formats`
# Spark passes over a file that is a week older than the newest one it has seen, without a word; a copied one may be.
ANY_AGE = {"maxFileAge": "36500d"}
FILE_COLUMNS = "path string, modificationTime timestamp, length bigint, content binary"  # of Spark's binaryFile
SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "gif")
SPARK_ERRORS = (PySparkException, Py4JError)  # a classic session passes some of Java's errors on as py4j gives them
Fail = Callable[..., SparkNNError]  # (message, hint=) -> an error with the source's place in the cell

_COMMENTS = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*"
_QUERY = re.compile(_COMMENTS + r"(select|with|from|table|values)\b\s*\S", re.IGNORECASE | re.DOTALL)
_TABLE = re.compile(r"(?:`[^`]+`|[\w-]+)(?:\.(?:`[^`]+`|[\w-]+))*")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
_NAMED = r"(?:`[^`]+`\.)*`([^`]+)`"
_LISTED = {  # what Spark says of a name that it does not know -> the query that lists those it knows
    re.compile(rf"The table or view {_NAMED} cannot be found"): "SHOW TABLES",
    re.compile(rf"Cannot resolve routine {_NAMED}"): "SHOW FUNCTIONS",
}
_HINT = "A source is SQL, a table, a view, a DataFrame of the notebook, or a path (with a / in it)."


def open_source(spark: SparkSession, source: Source, fail: Fail, names: Iterable[str] = ()) -> DataFrame:
    """Return the source's DataFrame; nothing runs yet but Spark's analysis of the query.

    A bare text is a DataFrame of the notebook where one has this name, else SQL, a path, or a table or view.
    `names` are the notebook's DataFrames, for a did-you-mean. Raises: the error that `fail` makes, where there is no
    such thing, or Spark does not understand the query.
    """
    try:
        frame = _open(spark, source, fail, names)
        frame.schema  # noqa: B018 (a Connect session analyses only when it is asked for the result)
    except SPARK_ERRORS as error:
        raise fail(
            query_cause(spark, error, names, source.params), hint=_HINT if source.kind == "auto" else None
        ) from error
    return frame


def query_cause(
    spark: SparkSession, error: BaseException, names: Iterable[str] = (), params: Iterable[str] = ()
) -> str:
    """Return what Spark says of a query; of a table, function or parameter that is not there, with the nearest.

    `names` are the notebook's DataFrames, which a query does not see before they are views; `params` what it was given.
    """
    cause = spark_cause(error)
    unbound = re.match(r"Found the unbound parameter: `?(\w+)", cause)
    if unbound is not None:
        return f"the query has ':{unbound[1]}', and params no such value.{did_you_mean(unbound[1], params)}"
    found = [(missing, listing) for pattern, listing in _LISTED.items() if (missing := pattern.match(cause))]
    if not found:
        return cause
    ((missing, listing),) = found
    name = missing[1]
    if name in names:
        return f"{missing.group()}. {name} is a DataFrame: {name}.createOrReplaceTempView('{name}') makes it a view."
    known = [str(row[0] if listing == "SHOW FUNCTIONS" else row.tableName) for row in spark.sql(listing).collect()]
    guess = did_you_mean(name, [each.rpartition(".")[2] for each in known if not each.startswith("_pyspark_")])
    place = re.search(r" \(line \d+, position \d+ of the query\)$", cause)
    return f"{missing.group()}.{guess}{place.group() if place else ''}" if guess else cause


def _open(spark: SparkSession, source: Source, fail: Fail, names: Iterable[str]) -> DataFrame:
    value = source.value
    if source.dataframe is not None:
        return _frame(source, fail)
    if source.kind == "frame":
        raise fail(f"there is no DataFrame named '{value}' here.{did_you_mean(value, names)}")
    if source.kind in BOX_KINDS:
        from sparknn_magic.data.boxes.formats import open_annotated

        return open_annotated(spark, source, fail)
    kind = kind_of(source)
    if kind == "sql":
        return _query(spark, source, fail)
    if kind == "path":
        return _path(spark, value, source.format, fail)
    return _table(spark, value, names, fail)


def _frame(source: Source, fail: Fail) -> DataFrame:
    found = source.dataframe
    if not isinstance(found, DataFrame):
        kind = f"{type(found).__module__.partition('.')[0]} {type(found).__name__}"
        raise fail(
            f"{source.value} is a {kind}, not a Spark DataFrame.",
            hint=f"spark.createDataFrame({source.value}) makes one.",
        )
    return found


def kind_of(source: Source) -> str:
    """Return how a source is read: "sql", "table", "path" and so on; a bare text says it by its form."""
    return _guess(source.value) if source.kind == "auto" else source.kind


def is_query(text: str) -> bool:
    """Tell whether a text begins as a query does: Spark would run a command at once."""
    return _QUERY.match(text) is not None


def _guess(value: str) -> str:
    if is_query(value):
        return "sql"
    if _TABLE.fullmatch(value) and not value.endswith(".parquet"):
        return "table"  # also a file in SQL's words, parquet.`/data/photos`
    if "/" in value or "\\" in value or value.startswith(".") or value.endswith(".parquet"):
        return "path"
    return "sql"  # several words: Spark says where it stops understanding them


def _query(spark: SparkSession, source: Source, fail: Fail) -> DataFrame:
    text = source.value
    if source.kind == "sql" and not is_query(text):
        # Spark would run a command at once, such as DROP TABLE.
        raise fail(f"'{text.split()[0]}' does not begin a query; SELECT, WITH, FROM, TABLE and VALUES do.")
    return spark.sql(text, args=dict(source.params)) if source.params else spark.sql(text)


def quoted_table(name: str) -> str:
    """Return a table's name with each of its parts quoted."""
    parts = re.findall(r"`[^`]+`|[^.`]+", name)
    return ".".join(part if part.startswith("`") else f"`{part}`" for part in parts)


def _table(spark: SparkSession, name: str, names: Iterable[str], fail: Fail) -> DataFrame:
    try:
        frame = spark.table(quoted_table(name))
        frame.schema  # noqa: B018 (a Connect session looks for the table only now)
    except AnalysisException as error:
        if error.getCondition() != "TABLE_OR_VIEW_NOT_FOUND":
            raise
    else:
        return frame
    known = [row.tableName for row in spark.sql("SHOW TABLES").collect()]
    hint = f"To read the folder or file of that name, write ./{name}." if Path(name).exists() else _HINT
    raise fail(f"there is no table, view or DataFrame named '{name}'.{did_you_mean(name, [*names, *known])}", hint=hint)


def _path(spark: SparkSession, text: str, kind: str, fail: Fail) -> DataFrame:
    where, local, here = located(spark, text)
    try:
        if not here:
            # Named twice: of a single path that is not there, Spark logs a Java stack trace before it says so.
            read_files(spark, "*").load([where, where]).schema  # noqa: B018
        if kind == "auto":
            kind = _local_kind(local, fail) if here else _remote_kind(spark, where)
        return spark.read.parquet(where) if kind == "parquet" else read_image_folder(spark, where)
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND":
            raise
    raise no_path(text, local, fail)


def located(spark: SparkSession, text: str) -> tuple[str, Path, bool]:
    """Return where Spark finds a path, the same as one of this machine, and whether it is there."""
    scheme = _SCHEME.match(text)
    local = Path(re.sub(r"^file:/+", "/", text, flags=re.IGNORECASE)).expanduser()
    if not ((scheme is None or scheme[1].lower() == "file") and local.exists()):
        return text, local, False
    # Spark would look below the folder that it was started in, and take [ and * for patterns.
    return ("file://" if cluster.is_local(spark) else "") + escape_glob(os.path.abspath(local)), local, True


def no_path(text: str, local: Path, fail: Fail) -> SparkNNError:
    """Return the error for a path that is not there, with the nearest one."""
    near = [path.name for path in local.parent.iterdir()] if not _SCHEME.match(text) and local.parent.is_dir() else []
    return fail(f"there is no file or folder '{text}'.{did_you_mean(local.name, near)}")


def _local_kind(path: Path, fail: Fail) -> str:
    found = uppermost(path, fail)
    if found is None:
        raise fail(
            f"'{path}' {'holds' if path.is_dir() else 'is'} neither Parquet nor pictures ({', '.join(SUFFIXES)}).",
            hint="Other files: read them with spark.read, and give the DataFrame's name.",
        )
    return found


def uppermost(path: Path, fail: Fail) -> str | None:
    """Return "parquet" or "images" after the uppermost files of either kind; None where there are none.

    What a stream has written below is none of it.
    """
    level = [str(path)]
    while level:
        names, below = set(), []
        for top in level:
            folder, folders, files = next(os.walk(top), (top, [], [] if os.path.isdir(top) else [path.name]))
            if "_delta_log" in folders:
                raise fail(f"'{folder}' is a Delta table, not plain Parquet.", hint=f"Write delta.`{folder}`.")
            if "_spark_metadata" in folders and folder != str(path):
                continue
            shown = (os.path.join(folder, name) for name in sorted(folders) if not name.startswith((".", "_")))
            below += [each for each in shown if not os.path.islink(each)]
            names |= {Path(name).suffix.lower().removeprefix(".") for name in files if not name.startswith((".", "_"))}
        if "parquet" in names:
            return "parquet"
        if names.intersection(SUFFIXES):
            return "images"
        level = below
    return None


def _remote_kind(spark: SparkSession, path: str) -> str:
    if path.rstrip("/").endswith(".parquet"):
        return "parquet"
    tables = read_files(spark, "*.parquet").load(path).select("path").limit(1)
    return "parquet" if tables.collect() else "images"


def read_image_folder(spark: SparkSession, path: str, *, stream: bool = False) -> DataFrame:
    """Return (path, image: the file's bytes, label: the name of its folder) for every picture below `path`.

    A `stream` has those that arrive there later too.

    Pictures that lie directly in `path` have a null label. As everywhere in Spark, files and folders whose names begin
    with . or _ are not seen, and [ ] { } * ? in the path are patterns (see `escape_glob`).
    """
    files = picture_files(spark, path, stream=stream)
    folder = F.regexp_replace("path", r"/[^/]*$", "")
    label = F.when(~folder.endswith(root_of(path)), F.element_at(F.split(folder, "/"), -1))
    return files.select("path", F.col("content").alias("image"), label.alias("label"))


def picture_files(spark: SparkSession, path: str, *, stream: bool = False) -> DataFrame:
    """Return `FILE_COLUMNS` of every picture below `path`, which is a pattern as above."""
    anycase = ("".join(f"[{c}{c.upper()}]" for c in suffix) for suffix in SUFFIXES)
    return read_files(spark, f"*.{{{','.join(anycase)}}}", stream=stream).load(path)


def root_of(path: str) -> str:
    """Return how a path that Spark reads from begins in the column `path` of its files, without the scheme."""
    return re.sub(r"\\(.)", r"\1", _SCHEME.sub("/", path)).rstrip("/")


def read_files(spark: SparkSession, names: str, *, stream: bool = False) -> Any:
    """Return a reader of whole files; that of a stream must be told the columns."""
    reader = spark.readStream.schema(FILE_COLUMNS).options(**ANY_AGE) if stream else spark.read
    return reader.format("binaryFile").option("recursiveFileLookup", "true").option("pathGlobFilter", names)


def escape_glob(path: str) -> str:
    """Return a path that Spark takes by its letters, not as a pattern."""
    return re.sub(r"([\\{}\[\]*?,])", r"\\\1", path)
