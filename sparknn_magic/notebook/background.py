"""A cell's Spark work in a thread of its own, under a job tag: the main thread draws, and hears an interrupt at once.

An interrupt of a thread that waits for the JVM ends the waiting, but not the job that it waits for.
"""

import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sparknn_magic import cluster
from sparknn_magic.causes import spark_cause, worker_error
from sparknn_magic.errors import SparkNNError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")
Tell = Callable[[Mapping[str, Any]], None]
POLL = 0.1  # seconds


class View(Protocol):
    """What follows the work: hears each event, and is asked to draw many times a second."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""

    def tick(self) -> None:
        """Draw, if it is time."""


class Quiet:
    """A view that shows nothing."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Drop the event."""

    def tick(self) -> None:
        """Draw nothing."""


def in_background(spark: "SparkSession", action: Callable[[Tell], T], view: View | None = None) -> T:
    """Run `action(tell)` in a thread and return its value; what it tells reaches `view` in the caller's thread.

    An interrupt cancels the action's Spark jobs, waits up to 10 s for its end and goes on up as KeyboardInterrupt.
    Raises: what the action raises; Spark's own exceptions as a SparkNNError with the cause alone.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    view = view or Quiet()
    events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
    stopped = threading.Event()

    def tell(event: Mapping[str, Any]) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt  # work outside of Spark ends at the next event
        events.put(event)

    running = cluster.run_tagged(spark, f"sparknn-cell-{uuid.uuid4().hex}", lambda: action(tell))
    try:
        while not running.wait(POLL):
            _pass_on(events, view)
            view.tick()
    except BaseException:
        stopped.set()
        # In a thread as well: a second interrupt must not stop the cancelling.
        canceller = threading.Thread(target=running.cancel, name="sparknn-cancel", daemon=True)
        canceller.start()
        canceller.join()
        raise
    finally:
        _pass_on(events, view)
    try:
        return running.result()
    except (PySparkException, Py4JError) as error:
        raise worker_error(error) or SparkNNError(spark_cause(error)) from error


def _pass_on(events: "queue.SimpleQueue[Mapping[str, Any]]", view: View) -> None:
    while not events.empty():
        view(events.get())
