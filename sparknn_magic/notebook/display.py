"""What a cell shows: one display that follows a run, and results as HTML and text side by side."""

import time
from collections.abc import Mapping
from typing import Any, Protocol

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from sparknn_magic.show.live import RunState
from sparknn_magic.show.progress import Lines
from sparknn_magic.show.stream import StreamState

PATIENCE = 0.5  # seconds until the display appears: an error that comes sooner stands alone
SECONDS = 0.5  # between two updates of the display


class Rendered:
    """HTML and text of one thing; a frontend takes the one it can show."""

    def __init__(self, html: str, text: str):
        self.html, self.text = html, text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


class State(Protocol):
    """What has been heard so far, and how it looks."""

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""

    def interrupt(self) -> None:
        """Note that the user has ended it."""

    def text(self) -> str:
        """Return it as text."""

    def html(self) -> str:
        """Return it as HTML."""


class Followed:
    """A listener that keeps one display up to date. Everything here runs in the kernel's main thread."""

    def __init__(self, state: State):
        self.state = state
        self.handle: Any = None
        self.last = time.monotonic() + PATIENCE - SECONDS

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        self.state.hear(event)

    def tick(self) -> None:
        """Draw, if it is time; called often."""
        if time.monotonic() - self.last >= SECONDS:
            self._draw(Rendered(self.state.html(), self.state.text()))

    def replace(self, result: Any) -> None:
        """Put a result in the progress's place that says all there is to say."""
        self._draw(Rendered(result._repr_html_(), repr(result)))

    def fail(self, *, interrupted: bool) -> None:
        """Leave the state as it was when the run ended; nothing where it ended before anything was shown."""
        if interrupted:
            self.state.interrupt()
        if self.handle is not None:
            self._draw(Rendered(self.state.html(), self.state.text()))

    def _draw(self, content: Rendered) -> None:
        self.last = time.monotonic()
        if self.handle is None:
            self.handle = display(content, display_id=True)
        else:
            self.handle.update(content)


class LiveDisplay(Followed):
    """The display of a training."""

    state: RunState

    def finish(self, model: Any) -> None:
        """Put the result in the progress's place, so that a saved notebook shows it."""
        html = model._repr_html_() + self.state.summary_html(model.history)
        self._draw(Rendered(html, f"{self.state.text()}\n\n{model!r}"))


class LineDisplay(Lines):
    """The same for a plain terminal."""

    def tick(self) -> None:
        """Nothing to draw: the lines stand."""

    def finish(self, model: Any) -> None:
        """Print the result."""
        print(repr(model))

    replace = finish

    def fail(self, *, interrupted: bool) -> None:
        """Nothing to clear: the lines stand."""


def progress(shell: InteractiveShell, name: str, epochs: int) -> LiveDisplay | LineDisplay:
    """Return the listener that fits the frontend: a display in a notebook, lines in a terminal."""
    return LiveDisplay(RunState(name, total=epochs)) if hasattr(shell, "kernel") else LineDisplay()


def sweep_progress(shell: InteractiveShell, name: str) -> LiveDisplay | LineDisplay:
    """Return the same for a search of a learning rate, which is one epoch and has no stages after it."""
    stages = dict.fromkeys(("check", "prepare", "train"), "wait")
    state = RunState(name, doing="looking for a learning rate for", stages=stages, total=1)
    return LiveDisplay(state) if hasattr(shell, "kernel") else LineDisplay()


def stream_progress(shell: InteractiveShell) -> Followed | LineDisplay:
    """Return what follows a stream that has been started."""
    return Followed(StreamState()) if hasattr(shell, "kernel") else LineDisplay()


def show(html: str, text: str) -> None:
    """Display one result."""
    display(Rendered(html, text))
