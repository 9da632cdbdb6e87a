"""The display of a stream after its cell has ended: rows go on arriving, and the notebook goes on telling of them."""

import threading
import time
from typing import TYPE_CHECKING

from sparknn_magic.notebook.display import Followed

if TYPE_CHECKING:
    from sparknn_magic.stream import Stream

SECONDS = 1.0  # between two looks at the stream
Mark = tuple[bool, int, int]  # active, the last batch and its rows


def keep_up(stream: "Stream", view: Followed) -> None:
    """Draw the stream anew in its display whenever a batch is done, until it ends or the session does."""
    threading.Thread(target=_follow, args=(stream, view), name=f"sparknn-{stream.name}", daemon=True).start()


def _follow(stream: "Stream", view: Followed) -> None:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    seen: Mark | None = None
    try:
        while seen is None or seen[0]:
            time.sleep(SECONDS)
            found = _mark(stream)
            if found != seen:
                seen = found
                view.replace(stream)
    except (PySparkException, Py4JError, OSError):
        return  # the session has ended, and the stream with it: what was drawn last stays


def _mark(stream: "Stream") -> Mark:
    active, last = stream.query.isActive, stream.query.lastProgress
    return (active, -1, 0) if last is None else (active, last["batchId"], last["numInputRows"])
