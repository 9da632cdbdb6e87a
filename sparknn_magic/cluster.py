"""What differs between a classic Spark session and a Connect client: the one module that looks behind Spark's API."""

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sparknn_magic.errors import SparkNNError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")


def is_connect(spark: "SparkSession") -> bool:
    """Return whether `spark` is a Spark Connect client; it has no sparkContext."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def is_stopped(spark: "SparkSession") -> bool:
    """Return whether the session has been stopped, by itself or with its SparkContext."""
    return bool(getattr(spark, "is_stopped", False)) if is_connect(spark) else spark.sparkContext._jsc is None


def has_jvm() -> bool:
    """Return whether this process has its JVM already: spark-submit started it, or an earlier session did."""
    from pyspark import SparkContext

    return SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ


def is_local(spark: "SparkSession") -> bool:
    """Return whether tasks run on this machine: `local[...]`, or `local-cluster[...]` with its own executors."""
    return _conf(spark, "spark.master").startswith("local")


def _conf(spark: "SparkSession", key: str) -> str:
    """Return a configuration value, "" where nobody has set it."""
    return spark.conf.get(key, None) or ""


def task_cpus(spark: "SparkSession") -> int:
    """Return the cores that Spark counts for one task (spark.task.cpus)."""
    return int(_conf(spark, "spark.task.cpus") or 1)


def slots(spark: "SparkSession") -> int | None:
    """Return how many tasks can run at the same time, or None where it cannot be told.

    A barrier stage with more tasks than this waits in silence. Classic sessions answer with the number that Spark's own
    barrier check uses (live executors, spark.task.cpus), and wait up to 1.5 s for a first executor. A Connect client
    reads `local[N]`, or counts the partitions that Spark gives `range` by default, which is the executors' cores unless
    a setting overrides it.
    """
    if not is_connect(spark):
        return _classic_slots(spark)
    cores = re.fullmatch(r"local(?:\[(\d+)(?:, *\d+)?\])?", _conf(spark, "spark.master"))
    if cores:
        return int(cores[1] or 1) // task_cpus(spark)
    if _conf(spark, "spark.default.parallelism") or _conf(spark, "spark.sql.leafNodeDefaultParallelism"):
        return None
    from pyspark.sql.functions import spark_partition_id

    return spark.range(1 << 20).select(spark_partition_id()).distinct().count() // task_cpus(spark)


def _classic_slots(spark: "SparkSession") -> int | None:
    scala = spark.sparkContext._jsc.sc()
    profile = scala.resourceProfileManager().defaultResourceProfile()
    deadline = time.monotonic() + 1.5
    while not (found := int(scala.maxNumConcurrentTasks(profile))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found or None


def driver_host(spark: "SparkSession") -> str | None:
    """Return the address at which executors reach this process, or None on Connect, where they may not reach it."""
    if is_connect(spark):
        return None
    return "127.0.0.1" if is_local(spark) else _conf(spark, "spark.driver.host") or None


def use_this_python(spark: "SparkSession") -> None:
    """Make the Python workers of a local session run this interpreter, where nobody has chosen one.

    A session that was made without PYSPARK_PYTHON runs its workers on the PATH's python3, which in a virtual
    environment's kernel is another one, without our packages. Local classic sessions are put right: PySpark reads the
    name again for every function. On a cluster this machine's path means nothing, and a Connect server
    has read its own environment: those are left alone, and `causes.spark_cause` names the setting when a worker fails.
    """
    if is_connect(spark) or "PYSPARK_PYTHON" in os.environ or not is_local(spark):
        return
    spark.sparkContext.pythonExec = _conf(spark, "spark.pyspark.python") or sys.executable


def cancel(spark: "SparkSession", tag: str) -> None:
    """Cancel what runs now under the tag, from any thread. What is submitted later under it still runs."""
    if is_connect(spark):
        spark.interruptTag(tag)
    else:
        spark.sparkContext.cancelJobsWithTag(tag)


def _add_tag(spark: "SparkSession", tag: str) -> None:
    """Put the tag on what this thread submits from now on.

    A classic session's own addTag names the thread in the tag, so that its interruptTag finds nothing from another
    thread (4.3); the tags of the context are found from everywhere.
    """
    if is_connect(spark):
        spark.addTag(tag)
    else:
        spark.sparkContext.addJobTag(tag)
        spark.sparkContext.setInterruptOnCancel(True)


class Running(Generic[T]):
    """A Spark action in a thread of its own, under a job tag. Made by `run_tagged`."""

    def __init__(self, spark: "SparkSession", tag: str, action: Callable[[], T]):
        from pyspark import InheritableThread

        self._spark, self._tag, self._action = spark, tag, action
        self._value: T | None = None
        self._error: BaseException | None = None
        self.cancelled = False
        # Not the thread's own join and is_alive: an interrupted join leaves them believing that it has ended
        # (Python 3.11, gh-90882).
        self._ended = threading.Event()
        # The thread takes over the caller's job group, description and tags; it must not keep Python alive.
        self._thread: threading.Thread = InheritableThread(target=self._run, session=spark, name=tag, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            _add_tag(self._spark, self._tag)
            self._value = self._action()
        except BaseException as error:  # noqa: BLE001  whatever it is, `result` raises it in the caller's thread
            self._error = error
        finally:
            self._ended.set()

    def done(self) -> bool:
        """Return whether the action has ended, in whatever way."""
        return self._ended.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the action has ended, at most so many seconds; return whether it has."""
        return self._ended.wait(seconds)

    def result(self) -> T:
        """Wait for the action; return its value or raise its exception."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def cancel(self, seconds: float = 10.0) -> bool:
        """Cancel the action and wait at most so many seconds; return whether it has ended.

        Repeated, because a tag that has no job yet cancels nothing. Python workers that are blocked in native code
        are killed by Spark some 2 s later (spark.python.task.killTimeout).
        """
        self.cancelled = True
        deadline = time.monotonic() + seconds
        while not self.done() and time.monotonic() < deadline:
            cancel(self._spark, self._tag)
            self.wait(0.5)
        return self.done()


def run_tagged(spark: "SparkSession", tag: str, action: Callable[[], T]) -> Running[T]:
    """Start `action` in a background thread under the job tag, on classic and Connect sessions alike.

    The caller's thread stays free to draw, and on KeyboardInterrupt to call `.cancel()` on what this returns.
    Raises: SparkNNError where the tag is empty or has a comma.
    """
    if not tag or "," in tag:
        raise SparkNNError(f"a job tag must not be empty or have a comma: {tag!r}.")
    return Running(spark, tag, action)


def describe(spark: "SparkSession") -> dict[str, Any]:
    """Return what a report says of the session: version, master, kind and slots."""
    kind = "connect" if is_connect(spark) else "classic"
    return {"spark": spark.version, "master": _conf(spark, "spark.master"), "kind": kind, "slots": slots(spark)}
