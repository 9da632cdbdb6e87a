"""Training on Spark: the ranks are the tasks of one barrier stage. Runs on the driver, `_rank_task` on executors."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from sparknn_magic import cluster
from sparknn_magic.causes import spark_cause
from sparknn_magic.errors import SessionError, TrainError
from sparknn_magic.training.events import Event, EventFile, EventServer
from sparknn_magic.training.job import Fitted, TrainJob

RESULT = "kind string, part int, data binary"
POLL = 0.1  # seconds
LAST_WORDS = 0.05  # seconds in which events that were sent before the stage ended are read


def choose_workers(spark: SparkSession, wanted: int | str) -> int:
    """Return the number of ranks: what is asked for, or one for each slot.

    Raises: SessionError where more are asked for than Spark has slots. Spark itself would wait for them in silence.
    """
    slots = cluster.slots(spark)
    if wanted == "auto":
        return slots or 1
    if slots is not None and int(wanted) > slots:
        raise SessionError(
            f"train.workers is {wanted}, but this Spark session has {slots} slot{'s' if slots != 1 else ''}.",
            hint=f"Write workers: {slots} or less, or start Spark with more cores.",
        )
    return int(wanted)


def open_events(spark: SparkSession, folder: str, attempt: str) -> EventServer | EventFile:
    """Return the driver's end of the event channel that this kind of session can have."""
    host = cluster.driver_host(spark)
    return EventServer(host) if host is not None else EventFile(folder, attempt)


def fit(
    spark: SparkSession,
    rows: DataFrame,
    job: TrainJob,
    workers: int,
    events: EventServer | EventFile,
    on_event: Callable[[Event], None],
    stop: threading.Event | None = None,
) -> Fitted:
    """Train on `rows` (split, row, label, image) with `workers` ranks; events reach `on_event` live.

    Once `stop` is set, training ends after the current epoch. An interrupt, or an exception in `on_event`, cancels the
    stage and its processes before it goes on up.
    Raises: TrainError with the failing rank's own words.
    """
    return _fitted(_run(spark, rows, job, workers, events, on_event, stop), workers)


def sweep(
    spark: SparkSession,
    rows: DataFrame,
    job: TrainJob,
    workers: int,
    events: EventServer | EventFile,
    on_event: Callable[[Event], None],
) -> dict[str, Any]:
    """Do what `job.sweep` says, in the same stage as `fit`: `losses` (one a step), `seconds`, `device`.

    Raises: TrainError with the failing rank's own words.
    """
    table = _run(spark, rows, job, workers, events, on_event)
    return next(json.loads(row["data"]) for row in table.to_pylist() if row["kind"] == "swept")


def _run(
    spark: SparkSession,
    rows: DataFrame,
    job: TrainJob,
    workers: int,
    events: EventServer | EventFile,
    on_event: Callable[[Event], None],
    stop: threading.Event | None = None,
) -> pa.Table:
    """Run the barrier stage and return what its ranks give back."""

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _rank_task(batches, job)

    stage = rows.repartition(workers, "row").mapInArrow(task, RESULT, barrier=True)
    failed: list[str] = []
    asked = False
    running = cluster.run_tagged(spark, f"sparknn-train-{job.attempt}", stage.toArrow)
    try:
        while not running.wait(POLL) and not failed:
            _pass_on(events.take(), on_event, failed)
            if stop is not None and stop.is_set() and not asked:
                events.stop()
                asked = True
        if running.done():
            time.sleep(LAST_WORDS)
        _pass_on(events.take(), on_event, failed)
    finally:
        # Also after a failure: the rank has said why, and a cluster would try the same again.
        if not running.done():
            running.cancel()
    if failed:
        raise TrainError(failed[0])
    try:
        table = running.result()
    except Exception as error:
        raise TrainError(spark_cause(error)) from error
    return table


def _pass_on(events: list[Event], on_event: Callable[[Event], None], failed: list[str]) -> None:
    for event in events:
        if event["event"] == "failed":
            failed.append(event["message"])
        on_event(event)


def _fitted(table: pa.Table, workers: int) -> Fitted:
    rows = sorted(table.to_pylist(), key=lambda row: row["part"])
    found: dict[str, Any] = next(json.loads(row["data"]) for row in rows if row["kind"] == "fitted")
    weights = b"".join(row["data"] for row in rows if row["kind"] == "weights")
    epochs = found["history"][found["resumed_from"] :]
    seconds = sum(e["seconds"] for e in epochs)
    passed = sum(e["rows_per_second"] * e["seconds"] for e in epochs)
    return Fitted(weights=weights, workers=workers, rows_per_second=passed / seconds if seconds else 0.0, **found)


def _rank_task(batches: Iterator[pa.RecordBatch], job: TrainJob) -> Iterator[pa.RecordBatch]:
    """Run one rank as a Spark task: the barrier context is all that it needs of Spark."""
    from pyspark import BarrierTaskContext, SparkFiles

    from sparknn_magic.training.worker import run_rank

    if job.pretrained is not None:
        job = replace(job, pretrained=replace(job.pretrained, file=SparkFiles.get(job.pretrained.file)))

    context = BarrierTaskContext.get()
    tasks = context.getTaskInfos()
    host = tasks[0].address.partition(":")[0]
    schema = pa.schema([("kind", pa.string()), ("part", pa.int32()), ("data", pa.binary())])
    for kind, part, data in run_rank(batches, job, context.partitionId(), len(tasks), host, context.allGather):
        yield pa.RecordBatch.from_pydict({"kind": [kind], "part": [part], "data": [data]}, schema=schema)
