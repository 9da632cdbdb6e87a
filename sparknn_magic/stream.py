"""Predictions of rows that keep arriving: a Spark query from a checkpoint on, into a table or a folder.

Spark's file sink writes each batch once, whatever is killed in between: the checkpoint has what was read, the folder's
own log what was written. Both belong together, so a folder is refused whose log another checkpoint has made: Spark
would take the first batches for written already, and lose them.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic.causes import spark_cause
from sparknn_magic.errors import SpecError
from sparknn_magic.settings import runs_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

FILES = ("parquet", "orc", "json", "csv", "text", "avro")  # formats of Spark's file sink
_started: dict[str, "Stream"] = {}  # by checkpoint: the last one of this process
_TABLE = re.compile(r"(?:`[^`]+`|[A-Za-z_]\w*)(?:\.(?:`[^`]+`|[A-Za-z_]\w*)){0,2}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream's rows go, and where Spark remembers how far it is."""

    checkpoint: str
    table: str | None = None
    folder: str | None = None  # of the files; None: wherever the catalogue has the table
    format: str | None = None  # None: the catalogue's own choice
    new: bool = True  # the table is yet to be made


class Stream:
    """A running query. `query` is Spark's own: awaitTermination, lastProgress and so on are there."""

    def __init__(self, query: "StreamingQuery", name: str, place: Place):
        self.query, self.name, self.place = query, name, place
        self.variable: str | None = None  # the notebook's name of it

    def stop(self) -> None:
        """End the query; started again with the same checkpoint, it goes on where it was."""
        self.query.stop()

    def wait(self) -> None:
        """Wait until the query ends. Raises: SpecError with the cause where it fails."""
        while self.query.isActive:
            time.sleep(0.5)  # an interrupt of a wait for the JVM would leave its answer behind
        self.require_sound()

    def require_sound(self) -> None:
        """Raise SpecError with the cause where the query has failed."""
        error = None if self.query.isActive else self.query.exception()
        if error is not None:
            raise SpecError(f"the stream {self.name} has failed: {spark_cause(error)}")

    def facts(self) -> dict[str, Any]:
        """Return what is known of it now: active, batches, rows, rate, error, and where its rows go."""
        progress = self.query.recentProgress
        last = progress[-1] if progress else None
        active = self.query.isActive
        error = None if active else self.query.exception()
        return {
            "name": self.name,
            "table": self.place.table,
            "folder": self.place.folder,
            "checkpoint": self.place.checkpoint,
            "variable": self.variable,
            "active": active,
            "batches": 0 if last is None else last["batchId"] + (1 if last["numInputRows"] else 0),
            "recent": sum(bool(each["numInputRows"]) for each in progress),
            "rows": sum(each["numInputRows"] or 0 for each in progress),  # of the recent batches
            "rate": next((each["processedRowsPerSecond"] for each in reversed(progress) if each["numInputRows"]), None),
            "error": None if error is None else spark_cause(error),
        }

    def caught_up(self) -> bool:
        """Return whether all that had arrived is scored, or the query has ended."""
        if not self.query.isActive:
            return True
        status = self.query.status
        return status["message"].startswith("Waiting") and not status["isTriggerActive"]

    def follow(self, tell: Callable[[dict[str, Any]], Any], seconds: float | None) -> None:
        """Tell the facts again and again until it has caught up, for at most so many seconds; None: until it ends."""
        end = None if seconds is None else time.monotonic() + seconds
        while self.query.isActive if end is None else not self.caught_up() and time.monotonic() < end:
            tell({"event": "stream", "facts": self.facts()})
            time.sleep(0.2)

    def __repr__(self) -> str:
        from sparknn_magic.show.stream import stream_text

        return stream_text(self.facts())

    def _repr_html_(self) -> str:
        from sparknn_magic.show.stream import stream_html

        return stream_html(self.facts())


def start(
    scored: "DataFrame",
    model: str,
    into: str,
    *,
    checkpoint: str | None = None,
    once: bool = False,
    runs: str | Path | None = None,
) -> Stream:
    """Start the query that writes the rows of a streaming DataFrame on, and return it.

    `into` is a table, or a folder where there is a / in it. The checkpoint is below `runs`, or in the folder. With
    `once` the query ends when what is there now is done. A session whose catalogue is not kept (a local one, say) has
    the table's rows below `runs` too, so that a later one finds them.
    Raises: SpecError where the query runs already, the name is none of a table, or rows would be lost.
    """
    from sparknn_magic.data.sources import SPARK_ERRORS

    spark = scored.sparkSession
    name = f"{model}_into_{into}"
    checkpoint = _absolute(checkpoint) if checkpoint else None
    place = _folder_place(into, checkpoint) if "/" in into else _table_place(spark, into, checkpoint, runs)
    _check_running(spark, name, place)
    _check_log(spark, place)
    _check_columns(scored, place)
    writer = scored.writeStream.queryName(name).outputMode("append").option("checkpointLocation", place.checkpoint)
    if once:
        writer = writer.trigger(availableNow=True)
    if place.format:
        writer = writer.format(place.format)
    if place.folder and place.new:
        writer = writer.option("path", place.folder)
    try:
        query = writer.start() if place.table is None else writer.toTable(place.table)
    except SPARK_ERRORS as error:
        raise SpecError(f"the stream does not start: {spark_cause(error)}") from error
    _started[place.checkpoint] = stream = Stream(query, name, place)
    return stream


def _folder_place(into: str, checkpoint: str | None) -> Place:
    folder = _absolute(into)
    return Place(checkpoint or f"{folder}/_checkpoint", folder=folder, format="parquet")


def _absolute(path: str) -> str:
    """Return a path in one spelling, so that a folder has one name."""
    return path if "://" in path else str(Path(path).expanduser().absolute())


def _table_place(spark: "SparkSession", table: str, checkpoint: str | None, runs: str | Path | None) -> Place:
    if not _TABLE.fullmatch(table):
        raise SpecError(f"'{table}' is no table's name.", hint="A folder's name has a / in it: ./scored.")
    runs = runs_folder(runs)
    base = f"{runs}/streams/{table.replace('`', '')}"
    known = _described(spark, table)
    if known is not None:
        if "Provider" not in known:
            raise SpecError(f"'{table}' is a view of this session.", hint="Give the stream's table another name.")
        kind = known["Provider"]  # as it was written: Spark's writer compares the letters
        folder = known.get("Location") if kind.lower() in FILES else None
        if folder and "# Partition Information" in known:
            raise SpecError(
                f"the table '{table}' is partitioned, and Spark's stream would write its files without that.",
                hint="Give another table.",
            )
        return Place(checkpoint or f"{base}/checkpoint", table, folder, kind, new=False)
    if _forgets(spark):
        return Place(checkpoint or f"{base}/checkpoint", table, f"{base}/rows", "parquet")
    place = Place(checkpoint or f"{base}/checkpoint", table)
    if _begun(spark, place.checkpoint):
        raise SpecError(
            f"the table '{table}' is gone, and the checkpoint {place.checkpoint} says that its rows are written.",
            hint="Remove the checkpoint to score all rows again, or give another one.",
        )
    return place


def _described(spark: "SparkSession", table: str) -> dict[str, str] | None:
    """Return what the catalogue says of a table or view; None where there is none of that name."""
    from pyspark.errors import AnalysisException

    try:
        rows = spark.sql(f"DESCRIBE TABLE EXTENDED {table}").collect()
    except AnalysisException as error:
        if error.getCondition() != "TABLE_OR_VIEW_NOT_FOUND":
            raise SpecError(spark_cause(error)) from error
        return None
    return {row.col_name: row.data_type for row in rows}


def _forgets(spark: "SparkSession") -> bool:
    """Return whether the session's own catalogue is gone with it."""
    kept = spark.conf.get("spark.sql.catalogImplementation", "in-memory") != "in-memory"
    return not kept and spark.conf.get("spark.sql.catalog.spark_catalog", "builtin") == "builtin"


def _begun(spark: "SparkSession", checkpoint: str) -> bool:
    return _exists(spark, checkpoint, "metadata")


def _check_running(spark: "SparkSession", name: str, place: Place) -> None:
    """Raise SpecError where a query of this name or from this checkpoint runs: Spark would stop it without a word."""
    other = _started.get(place.checkpoint)
    if other is not None and is_active(other):
        name = other.name
    elif all(query.name != name for query in spark.streams.active):
        return
    raise SpecError(
        f"the stream {name} is running already.",
        hint="Stop it first: [q.stop() for q in spark.streams.active if q.name == ...], or the variable's stop().",
    )


def is_active(stream: Stream) -> bool:
    """Return whether its query runs; one of a session that has ended does not."""
    from sparknn_magic.data.sources import SPARK_ERRORS

    try:
        return bool(stream.query.isActive)
    except (*SPARK_ERRORS, ValueError):  # its session has ended, and it with it; gRPC's own word is a ValueError
        return False


def _check_log(spark: "SparkSession", place: Place) -> None:
    """Raise SpecError where the folder's rows and the checkpoint do not belong together.

    Of a folder that a stream has written, Spark reads what the stream's log lists and nothing else.
    """
    if place.folder is None:
        return
    logged = _exists(spark, place.folder, "_spark_metadata/*")
    if _begun(spark, place.checkpoint):
        if not logged and _exists(spark, place.checkpoint, "commits/*"):
            raise SpecError(
                f"the checkpoint {place.checkpoint} says that rows are written which {place.folder} has not.",
                hint="Give the folder that it was made for, or another checkpoint to score all rows again.",
            )
    elif logged:
        raise SpecError(
            f"{place.folder} has the rows of a stream with another checkpoint: Spark would leave out the first ones.",
            hint="Give that checkpoint, or another table or folder.",
        )
    elif _exists(spark, place.folder, "[^_.]*"):
        raise SpecError(
            f"{place.folder} has rows that no stream has written: Spark would not show them any more.",
            hint="Give another table or folder.",
        )


def _check_columns(scored: "DataFrame", place: Place) -> None:
    """Raise SpecError where the rows that are there have other columns: Spark would hide the new ones, or fail to read.

    Only what Spark writes as files: other formats compare by themselves.
    """
    there = _written(scored.sparkSession, place)
    if not there:
        return
    given = _columns(scored)
    for name in dict.fromkeys([*there, *given]):
        old, new = there.get(name), given.get(name)
        if old != new:
            held = f"the column '{name}' as {old[:80]}" if old else f"no column '{name}'"
            now = f"it is {new[:80]}" if new else "there is none"
            raise SpecError(
                f"{place.table or place.folder} has {held}, and in what the stream gives {now}.",
                hint="Write the rows as they were, or give another table or folder, and another checkpoint.",
            )


def _written(spark: "SparkSession", place: Place) -> dict[str, str]:
    """Return the columns of the files that rows will be added to; {} where there are none, or none can be read."""
    from sparknn_magic.data.sources import SPARK_ERRORS

    if place.folder is None:
        return {}
    if place.table is not None and not place.new:
        return _columns(spark.table(place.table))
    if not _exists(spark, place.folder, "_spark_metadata/*"):
        return {}
    try:
        return _columns(spark.read.format(place.format or "parquet").load(place.folder))
    except SPARK_ERRORS:  # its batches had no rows, or somebody has taken old files away: that stops no stream
        return {}


def _columns(frame: "DataFrame") -> dict[str, str]:
    return {field.name.lower(): field.dataType.simpleString() for field in frame.schema}


def _exists(spark: "SparkSession", folder: str, pattern: str) -> bool:
    """Return whether there is such a file, wherever Spark writes: it reads no row of hidden ones, but finds them."""
    from pyspark.errors import AnalysisException

    from sparknn_magic.data.sources import escape_glob

    path = f"{escape_glob(folder)}/{pattern}"
    try:
        # Named twice: of a single path that is not there, Spark logs a Java stack trace before it says so.
        spark.read.text([path, path]).schema  # noqa: B018 (a Connect session looks for it only now)
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND":
            raise SpecError(spark_cause(error)) from error
        return False
    return True
