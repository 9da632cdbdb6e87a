"""Rank 0's reports to the driver: JSON over an authenticated socket, and `events.jsonl` in the run folder.

The socket is multiprocessing.connection's, with its challenge by a shared secret; only bytes of JSON are sent, nothing
is ever unpickled. A Spark Connect client is out of reach of it and reads the file instead. Standard library only.
"""

import contextlib
import json
import queue
import secrets
import socket
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from sparknn_magic.training.job import Channel, TrainJob

Event = dict[str, Any]
LOG, STOP = "events.jsonl", "stop"


class Reporter:
    """The worker's end."""

    def __init__(self, job: TrainJob):
        self.attempt = job.attempt
        self.notes: list[str] = []
        self.folder = Path(job.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = open(self.folder / LOG, "a", buffering=1)  # noqa: SIM115 (closed by close())
        self.driver: Connection | None = None
        if job.channel is not None:
            try:
                self.driver = Client((job.channel.host, job.channel.port), authkey=job.channel.key)
            except (OSError, AuthenticationError) as error:
                reason = f"{type(error).__name__}: {error}"
                where = f"{job.channel.host}:{job.channel.port}"
                self.notes.append(f"rank 0 could not reach the driver at {where} ({reason}): no live progress.")

    def send(self, event: str, **values: Any) -> None:
        """Report one event; a driver that has gone away does not stop the training."""
        line = json.dumps({"event": event, "attempt": self.attempt, "time": time.time(), **values})
        self.log.write(line + "\n")
        if self.driver is not None:
            try:
                self.driver.send_bytes(line.encode())
            except OSError as error:
                self.notes.append(f"rank 0 lost the driver: {type(error).__name__}: {error}.")
                self.driver = None

    def note(self, message: str) -> None:
        """Report what the user ought to know, now and with the result."""
        self.notes.append(message)
        self.send("note", message=message)

    def stop_requested(self) -> bool:
        """Whether the driver has asked to end after this epoch."""
        if (self.folder / STOP).exists():
            return True
        try:
            return self.driver is not None and self.driver.poll() and json.loads(self.driver.recv_bytes())["stop"]
        except (EOFError, OSError):
            self.driver = None
            return False

    def close(self) -> None:
        """Close the log and the connection."""
        self.log.close()
        if self.driver is not None:
            self.driver.close()


class EventServer:
    """The driver's end: `take()` gives the events that have come since the last call."""

    def __init__(self, host: str):
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.connections: list[Connection] = []
        key = secrets.token_bytes(32)
        try:
            self.listener = Listener((host, 0), backlog=64, authkey=key)
        except OSError:
            # The address that executors use may belong to a gateway; then listen on every interface of this machine.
            self.listener = Listener(("", 0), backlog=64, authkey=key)
        self.channel = Channel(host, self.listener.address[1], key)
        self.closing = self.stopping = False
        threading.Thread(target=self._accept, name="sparknn-events", daemon=True).start()

    def _accept(self) -> None:
        while not self.closing:
            try:
                connection = self.listener.accept()
            except (OSError, EOFError, AuthenticationError):
                continue  # a stranger, or the call of close()
            self.connections.append(connection)
            if self.stopping:
                self._ask_to_stop(connection)
            threading.Thread(target=self._read, args=(connection,), name="sparknn-events", daemon=True).start()

    def _read(self, connection: Connection) -> None:
        while not self.closing:
            try:
                self.events.put(json.loads(connection.recv_bytes(2**20)))
            except (EOFError, OSError, ValueError):
                return
            except TypeError:  # what Connection says when close() comes between two of its reads
                if not self.closing:
                    raise
                return

    def take(self) -> list[Event]:
        """Return the events that have come since the last call."""
        found = []
        while not self.events.empty():
            found.append(self.events.get())
        return found

    def stop(self) -> None:
        """Ask rank 0 to end after the current epoch; also one that connects later."""
        self.stopping = True
        for connection in self.connections:
            self._ask_to_stop(connection)

    def _ask_to_stop(self, connection: Connection) -> None:
        with contextlib.suppress(OSError):  # that rank has ended already
            connection.send_bytes(b'{"stop": true}')

    def close(self) -> None:
        """Stop listening and close every connection."""
        self.closing = True
        # accept() does not notice that its socket is closed: one more connection wakes it. A bare one, which waits for
        # no answer: the thread may have seen that it is to end before it came to accept().
        with contextlib.suppress(OSError):
            socket.create_connection(self.listener.address, timeout=5).close()
        self.listener.close()
        for connection in self.connections:
            connection.close()


class EventFile:
    """The driver's end for a Connect client: follows `events.jsonl`, which it must be able to see."""

    channel = None

    def __init__(self, folder: str, attempt: str):
        self.path, self.attempt, self.position = Path(folder) / LOG, attempt, 0

    def take(self) -> list[Event]:
        """Return the events that have been written since the last call."""
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(self.position)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]  # the last line may be half written
        self.position += len(text)
        events = [json.loads(line) for line in text.splitlines()]
        return [e for e in events if e["attempt"] == self.attempt]

    def stop(self) -> None:
        """Ask rank 0 to end after the current epoch."""
        self.path.parent.mkdir(parents=True, exist_ok=True)  # rank 0 may not have begun
        (self.path.parent / STOP).touch()

    def close(self) -> None:
        """Take a stop request back."""
        (self.path.parent / STOP).unlink(missing_ok=True)
