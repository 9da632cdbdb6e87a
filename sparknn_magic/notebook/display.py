"""What a cell shows: one display that follows a run, and results as HTML and text side by side."""

import time
from collections.abc import Mapping
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from sparknn_magic.show.live import RunState
from sparknn_magic.show.progress import Lines

SECONDS = 0.5  # between two updates of the display


class Rendered:
    """HTML and text of one thing; a frontend takes the one it can show."""

    def __init__(self, html: str, text: str):
        self.html, self.text = html, text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}


class LiveDisplay:
    """A listener that keeps one display up to date. Events reach it in the kernel's main thread."""

    def __init__(self, name: str):
        self.state = RunState(name)
        self.handle: Any = display(self._rendered(), display_id=True)
        self.last = time.monotonic()

    def __call__(self, event: Mapping[str, Any]) -> None:
        self.state.hear(event)
        now = time.monotonic()
        if event["event"] == "stage" or now - self.last >= SECONDS:
            self.last = now
            self.handle.update(self._rendered())

    def finish(self, html: str, text: str) -> None:
        """Put the result in the progress's place, so that a saved notebook shows it."""
        self.handle.update(Rendered(html, f"{self.state.text()}\n\n{text}"))

    def fail(self) -> None:
        """Leave the state as it was when the run ended."""
        self.handle.update(self._rendered())

    def _rendered(self) -> Rendered:
        return Rendered(self.state.html(), self.state.text())


class LineDisplay(Lines):
    """The same for a plain terminal."""

    def finish(self, html: str, text: str) -> None:
        """Print the result."""
        print(text, file=self.stream)

    def fail(self) -> None:
        """Nothing to clear: the lines stand."""


def progress(shell: InteractiveShell, name: str) -> LiveDisplay | LineDisplay:
    """Return the listener that fits the frontend: a display in a notebook, lines in a terminal."""
    return LiveDisplay(name) if hasattr(shell, "kernel") else LineDisplay()


def show(html: str, text: str) -> None:
    """Display one result."""
    display(Rendered(html, text))
