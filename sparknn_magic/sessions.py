"""The Spark session: the active one, whoever made it; otherwise a local one with sensible settings."""

import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from sparknn_magic import cluster
from sparknn_magic.causes import spark_cause
from sparknn_magic.errors import SessionError
from sparknn_magic.java import java_for_spark
from sparknn_magic.plugin import load_ref

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GIB = 1 << 30
LOGGING = Path(__file__).with_name("log4j2.properties")


def session(app_name: str = "sparknn-magic") -> "SparkSession":
    """Return the active Spark session, classic or Connect; where there is none, start a local one on all cores.

    A session of one's own is used as it is. One that `spark-submit`, SPARK_REMOTE, MASTER, PYSPARK_SUBMIT_ARGS or
    spark-defaults.conf describes is started as they say. Only where nobody says anything do the settings of
    `local_settings` apply.
    Raises: SessionError where Spark cannot be started (no Java, the JVM ends at once) or is gone, with the next step.
    """
    return adopt(active() or _start(app_name))


def active() -> "SparkSession | None":
    """Return the active session of this thread, else this process's own one; None where there is none."""
    from py4j.protocol import Py4JNetworkError
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    try:
        found = SparkSession.active()
    except PySparkRuntimeError:  # there is none
        return None
    except (Py4JNetworkError, ConnectionError) as error:
        # PySpark keeps its connection for the life of the process; a second JVM cannot be started beside it.
        raise SessionError(
            "Spark's Java process is gone: it was killed, most often for want of memory, or has crashed.",
            hint="Restart the kernel, or this Python, to start a new session.",
        ) from error
    return None if cluster.is_stopped(found) else found


def adopt(spark: "SparkSession") -> "SparkSession":
    """Put right what our code needs of a session that someone else may have made; return it."""
    _quiet_query_logs()
    _feed_functions_by_rows(spark)
    cluster.use_this_python(spark)
    if spark not in _KNOWING:
        for functions in FUNCTIONS:
            load_ref(functions)(spark)
        _KNOWING.add(spark)
    return spark


# What makes SQL functions known to a session, by name: the rooms that have them are above this one.
FUNCTIONS = ("sparknn_magic.data.functions:register", "sparknn_magic.evaluate.functions:register")
_KNOWING: "WeakSet[SparkSession]" = WeakSet()  # sessions that have the functions


def _feed_functions_by_rows(spark: "SparkSession") -> None:
    # Spark 4.3 gives an Arrow function the columns of Parquet as they are, and fails (UNSUPPORTED_DATATYPE) where the
    # rows have an MLlib vector, whether the function takes it or not. A value that somebody has set is kept.
    key = "spark.sql.execution.arrow.pythonUDF.columnarInput.enabled"
    if spark.conf.get(key, None) is None:
        spark.conf.set(key, "false")


def _quiet_query_logs() -> None:
    # PySpark writes every analysis error to stderr as JSON with the whole Java stack, and then raises it too. The
    # exception is enough. A level that somebody has set is kept.
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        logger = PySparkLogger.getLogger(name)
        if logger.level == logging.WARNING:  # what PySpark gives a new one
            logger.setLevel(logging.CRITICAL)


def _start(app_name: str) -> "SparkSession":
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    defaults = _spark_defaults()
    os.environ.setdefault("PYSPARK_PYTHON", defaults.get("spark.pyspark.python", sys.executable))
    builder = SparkSession.builder
    if not _described_elsewhere(defaults):
        settings = {"spark.app.name": app_name, **local_settings(), **defaults}
        for key, value in settings.items():
            builder = builder.config(key, value)
    if cluster.has_jvm() or os.environ.get("SPARK_REMOTE", "").startswith("sc://"):
        return builder.getOrCreate()
    with java_for_spark() as java:
        try:
            return builder.getOrCreate()
        except (PySparkException, Py4JError) as error:
            place = f"It was started on Java {java.version} ({java.origin})."
            raise SessionError(f"Spark does not start: {spark_cause(error)}", hint=place) from error


def _described_elsewhere(defaults: dict[str, str]) -> bool:
    """Return whether somebody has said where Spark is to run."""
    submitted = os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell").strip() != "pyspark-shell"
    variables = ("PYSPARK_GATEWAY_PORT", "SPARK_REMOTE", "MASTER", "SPARK_API_MODE")
    return submitted or "spark.master" in defaults or any(os.environ.get(name) for name in variables)


def _spark_defaults() -> dict[str, str]:
    """Return what spark-defaults.conf sets; {} where there is none."""
    from pyspark.find_spark_home import _find_spark_home

    folder = os.environ.get("SPARK_CONF_DIR") or os.path.join(_find_spark_home(), "conf")
    file = Path(folder, "spark-defaults.conf")
    lines = file.read_text().splitlines() if file.is_file() else []
    pairs = (line.replace("=", " ", 1).split(None, 1) for line in lines if line.strip() and line.strip()[0] != "#")
    return {key: value.strip() for key, value in (pair for pair in pairs if len(pair) == 2)}


def local_settings() -> dict[str, str]:
    """Return the settings of a session that we start ourselves, on this machine.

    - All cores; the driver's heap is a quarter of the memory, 1 to 8 GiB: the rest is for Python workers.
    - Nothing listens but on the loopback address, and there is no web UI (`spark.ui.enabled=true` brings it back).
    - No spark-warehouse in the current folder: the catalogue lives in memory, so its files are temporary too.
    - Arrow for toPandas; no progress bar and no log lines below errors on the console.
    - Python workers get Arrow batches of 2 MiB instead of 64: they stay in a CPU's caches on the way, and scoring
      small pictures takes a tenth less CPU time.
    """
    scratch = tempfile.TemporaryDirectory(prefix="sparknn-spark-", ignore_cleanup_errors=True)
    _SCRATCH.append(scratch)
    return {
        "spark.master": "local[*]",
        "spark.driver.memory": f"{min(max(_memory() // 4 // GIB, 1), 8)}g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": f'"-Dlog4j2.configurationFile={LOGGING}"',
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": os.path.join(scratch.name, "warehouse"),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxBytesPerBatch": str(2 * 2**20),
    }


_SCRATCH: list[tempfile.TemporaryDirectory[str]] = []  # kept until Python exits, which removes them


def _memory() -> int:
    """Return the bytes of memory this process may use: the machine's, or its container's where that is less."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return min(installed, int(text)) if text.isdigit() else installed
