"""A model as a Spark function: in DataFrames and SQL, on classic and Connect sessions, on batch and streaming frames.

Spark hands a Python worker Arrow batches of at most `spark.sql.execution.arrow.maxRecordsPerBatch` rows (10,000) and
`spark.sql.execution.arrow.maxBytesPerBatch` (64 MB; 2 MiB in a session that we start). The worker decodes and scores
them in micro-batches, so a batch of large files costs their own bytes and little more.
"""

import atexit
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pyarrow as pa

from sparknn_magic import cluster
from sparknn_magic.bundle.folder import sha256
from sparknn_magic.errors import DataError, SpecError, did_you_mean
from sparknn_magic.infer.inside import arrived, unpacked
from sparknn_magic.infer.job import MODES, InferJob
from sparknn_magic.infer.worker import predict as score

INSIDE_BYTES = 100 * 2**20  # of a function with its files: a Connect server takes messages of 128 MB

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def model_udf(
    job: InferJob, file: str | Path, spark: "SparkSession", *, once: bool = False, inside: bool = False
) -> Any:
    """Return the Spark function of a model: its input columns, in their order -> `job.result`.

    Of a classifier or a detector it takes one column more, where it is given: the least score of a prediction. One with
    a lower score is null, and an object with a lower score is left out.

    `file` is the ONNX file on this machine. It reaches each node once, as a file of the session, and is no part of the
    function; `job.path` is set to its name there, and `job.threads` 0 to the cores that Spark counts for a task. The
    same goes for `job.files`, which lie beside it.

    Spark may move a filter on the result below the column that computes it, and so run the model twice. With `once`
    the function counts as nondeterministic, which Spark computes exactly where it stands: right for a new column of a
    frame. In SQL the default is right: there Spark computes equal calls in one SELECT once.

    With `inside` the files travel in the function all the same: the streaming queries of a Connect session do not see
    the session's files (Spark 4.3). Raises: SpecError where they are too large for that.
    """
    from pyspark import SparkFiles
    from pyspark.sql.functions import arrow_udf

    if inside:
        return _udf_of_bytes(job, Path(file), spark)
    name = ship(file, job.digest, spark)
    beside = [(option, Path(file).with_name(each)) for option, each in job.files]
    files = tuple((option, ship(path, sha256(path), spark)) for option, path in beside)
    job = replace(job, path=name, files=files, threads=job.threads or cluster.task_cpus(spark))

    # Of one column Spark gives the arrays themselves, not tuples of one.
    def model(arrays: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        yield from score(arrays, job, arrived(SparkFiles.get(job.path)))

    function = arrow_udf(model, job.result)  # type: ignore[call-overload]  # its stubs know no struct as DDL
    return function.asNondeterministic() if once else function


def _udf_of_bytes(job: InferJob, file: Path, spark: "SparkSession") -> Any:
    """Return the function with the bytes of its files, which a worker writes beside each other when it first runs."""
    from pyspark.sql.functions import arrow_udf

    beside = {name: file.with_name(name).read_bytes() for _, name in job.files}
    whole = {"model.onnx": file.read_bytes()} | beside
    size = sum(map(len, whole.values()))
    if size > INSIDE_BYTES:
        raise SpecError(
            f"a stream of a Spark Connect session takes models of at most {INSIDE_BYTES >> 20} MB; "
            f"this one has {size >> 20} MB.",
            hint="Run the stream in a classic session, such as with spark-submit.",
        )
    job = replace(job, path="model.onnx", threads=job.threads or cluster.task_cpus(spark))

    def model(arrays: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        yield from score(arrays, job, unpacked(job.digest, whole))

    return arrow_udf(model, job.result).asNondeterministic()  # type: ignore[call-overload]


def ship(file: str | Path, digest: str, spark: "SparkSession") -> str:
    """Make a file known to the session's executors and return the name that `SparkFiles.get` finds it by there.

    Executors fetch it when they first need it, so they are given a copy: whoever overwrites or removes `file` later
    does not harm the function. The name is made of the digest; shipping the same file again costs nothing.
    """
    copy = _copies() / f"{digest}{Path(file).suffix}"
    if not copy.exists():
        part = copy.with_name(f"{copy.name}.{get_ident()}")  # two threads may ship the same model
        shutil.copyfile(file, part)
        part.rename(copy)
    shipped = _SHIPPED.setdefault(spark, set())
    if copy.name not in shipped:  # a second time would do no harm, but Spark warns of it
        spark.addArtifacts(str(copy), file=True)
        shipped.add(copy.name)
    return copy.name


_SHIPPED: "WeakKeyDictionary[SparkSession, set[str]]" = WeakKeyDictionary()  # names of the files that a session has


@cache
def _copies() -> Path:
    folder = tempfile.mkdtemp(prefix="sparknn-models-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def predict(
    df: "DataFrame", udf: Any, columns: str | Sequence[str], *, mode: str = "permissive", name: str = "prediction"
) -> "DataFrame":
    """Return `df` with the predictions for this column, or these, in a new one.

    `udf` is best a `model_udf(..., once=True)`.
    Mode permissive keeps all rows: one that cannot be scored has a null label and the reason in `error`. Mode
    dropmalformed drops those rows. Mode failfast is the function's own: a job made with it stops at the first of them.
    Raises: SpecError for another mode; DataError where `df` has a column of that name.
    """
    if mode not in MODES:
        raise SpecError(f"there is no mode '{mode}'.{did_you_mean(mode, MODES)}", hint=f"Modes: {', '.join(MODES)}.")
    if name.lower() in (other.lower() for other in df.columns):
        raise DataError(f"the rows already have a column '{name}'.", hint="Give the predictions another name.")
    names = [columns] if isinstance(columns, str) else columns
    scored = df.withColumn(name, udf(*(_column(column) for column in names)))
    return scored.where(_column(name)["error"].isNull()) if mode == "dropmalformed" else scored


def embed(df: "DataFrame", udf: Any, columns: Sequence[str], *, mode: str = "permissive", name: str) -> "DataFrame":
    """Return `df` with the features of each row in a new column, an MLlib vector; null for a row that cannot be read.

    `udf` is a `model_udf(..., once=True)` whose result is `FEATURES`. `mode` is as in `predict`.
    Raises: SpecError for another mode; DataError where `df` has a column of that name.
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    array = predict(df, udf, columns, mode="permissive" if mode == "dropmalformed" else mode, name=name)
    found = _column(name)
    # Spark's function fails on a null array.
    vectors = array.withColumn(name, F.when(found.isNotNull(), array_to_vector(found)))
    return vectors.where(_column(name).isNotNull()) if mode == "dropmalformed" else vectors


def _column(name: str) -> "Column":
    from pyspark.sql.functions import col

    return col("`" + name.replace("`", "``") + "`")


def register(spark: "SparkSession", name: str, udf: Any) -> None:
    """Make the function known to the session's SQL under this name; a model of that name is replaced.

    Raises: SpecError as `check_name` does.
    """
    check_name(spark, name)
    spark.udf.register(name, udf)


def check_name(spark: "SparkSession", name: str) -> None:
    """Raise SpecError where SQL cannot call a function by this name, or Spark has one of its own."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        valid = re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII)
        raise SpecError(
            f"'{name}' cannot be the name of an SQL function.",
            hint=f"Letters, digits and underscores can, with no digit in front: '{valid}'.",
        )
    if spark.sql(f"SHOW SYSTEM FUNCTIONS LIKE '{name}'").collect():
        raise SpecError(
            f"'{name}' is a function of Spark's own; a model of that name would hide it from SQL.",
            hint=f"Choose another name, such as '{name}_model'.",
        )
