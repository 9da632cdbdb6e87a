"""What a cell shows: one display that follows a run, and results as HTML and text side by side."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from sparknn_magic.show.live import RunState
from sparknn_magic.show.preview_progress import LookState
from sparknn_magic.show.progress import Lines
from sparknn_magic.show.stream import StreamState

PATIENCE = 0.5  # seconds until the display appears: an error that comes sooner stands alone
SECONDS = 0.5  # between two updates of the display, at first
SHARE = 600  # later a 600th of the time so far: a day has some 4,000 updates, which the notebook's server passes on
STOP = "Stop after this epoch"
NO_BUTTON = "An interrupt ends it; finished epochs are kept."


class Rendered:
    """HTML and text of one thing; a frontend takes the one it can show."""

    def __init__(self, html: str, text: str):
        self.html, self.text = html, text

    def __repr__(self) -> str:
        return self.text

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
    """A listener that keeps one display up to date. Everything here runs in the kernel's main thread.

    Where nobody is `watching`, as under nbconvert and papermill, it draws when a line is added and at no other time.
    """

    def __init__(self, state: State, *, watching: bool = True, clock: Callable[[], float] = time.monotonic):
        self.state, self.watching, self.clock = state, watching, clock
        self.handle: Any = None
        self.began = clock()
        self.last = self.began + PATIENCE - SECONDS
        self.drawn = ""  # the text of the last update

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        self.state.hear(event)

    def tick(self) -> None:
        """Draw, if it is time; called often."""
        now = self.clock()
        if now - self.last < max(SECONDS, (now - self.began) / SHARE):
            return
        text = self.state.text()
        if self.watching or text != self.drawn:
            self._draw(Rendered(self.state.html(), text))

    def replace(self, result: Any) -> None:
        """Put a result in the progress's place that says all there is to say."""
        self._settle(Rendered(result._repr_html_(), repr(result)))

    def fail(self, *, interrupted: bool) -> None:
        """Leave the state as it was when the run ended; nothing where it ended before anything was shown."""
        if interrupted:
            self.state.interrupt()
        if self.handle is not None:
            self._settle(Rendered(self.state.html(), self.state.text()))

    def _settle(self, content: Rendered) -> None:
        """Draw what stays."""
        self._draw(content)

    def _draw(self, content: Rendered) -> None:
        self.last, self.drawn = self.clock(), content.text
        if self.handle is None:
            self.handle = display(content, display_id=True)
        else:
            self.handle.update(content)


class LiveDisplay(Followed):
    """The display of a training."""

    state: RunState
    stop: threading.Event | None = None  # set by a click that asks to end after the current epoch

    def finish(self, model: Any) -> None:
        """Put the result in the progress's place, so that a saved notebook shows it."""
        self.state.figure = model.meta["training"]["figure"]  # no epoch has told it where the model was there already
        html = model._repr_html_() + self.state.summary_html(model.history)
        self._settle(Rendered(html, f"{self.state.text()}\n\n{model!r}"))


class Panel(LiveDisplay):
    """The same with a button that ends the training after the current epoch.

    The button is a widget in a display of its own, which is empty before the stage of training and after: what stays in
    a notebook is HTML and text alone, whenever it is saved.
    """

    def __init__(self, state: RunState, kernel: Any):
        super().__init__(state)
        self.kernel = kernel
        self.stop: threading.Event = threading.Event()
        self.button: Any = None
        self.place: Any = None  # the button's display

    def _draw(self, content: Rendered) -> None:
        super()._draw(content)
        training = self.state.stages.get("train") == "start"
        if not training:
            self._take_away()
        elif self.place is None:
            self.button = self._make_button()
            # The text is for frontends that have no widgets.
            self.place = display(
                {**self.button._repr_mimebundle_(), "text/plain": NO_BUTTON}, raw=True, display_id=True
            )

    def _settle(self, content: Rendered) -> None:
        super()._draw(content)
        self._take_away()

    def _take_away(self) -> None:
        """Leave nothing of the button: no epoch goes on that it could be the last one."""
        if self.button is not None:
            self.place.update({}, raw=True)
            self.button.close()
            self.button = None

    def _make_button(self) -> Any:
        from ipykernel.kernelbase import Kernel
        from ipywidgets import Button, Layout

        kernel = self.kernel
        # ipykernel 7.4 hands a widget's messages to the loop under whose request the widget was made: the one that is
        # busy with this cell. Made under none, they go to the subshell that the frontend names.
        ident, parent = kernel._parent_ident["shell"], kernel.get_parent()
        Kernel.set_parent(kernel, b"", {})
        try:
            button = Button(
                description=STOP,
                tooltip="Ends the training after the current epoch and keeps the best epoch's weights",
                layout=Layout(width="max-content"),
            )
        finally:
            Kernel.set_parent(kernel, ident, parent)
        button.on_click(self._clicked)
        return button

    def _clicked(self, button: Any) -> None:
        """Hear the click: in a thread of the kernel's own, while the cell runs."""
        self.stop.set()
        button.description = "Stops after this epoch ..."
        button.disabled = True


class LineDisplay(Lines):
    """The same for a plain terminal."""

    stop = None

    def tick(self) -> None:
        """Nothing to draw: the lines stand."""

    def finish(self, model: Any) -> None:
        """Print the result."""
        print(repr(model))

    replace = finish

    def fail(self, *, interrupted: bool) -> None:
        """Take the bar away: the lines stand."""
        self.clear()


def progress(shell: InteractiveShell, name: str, epochs: int) -> LiveDisplay | LineDisplay:
    """Return the listener that fits the frontend: a display in a notebook, lines in a terminal."""
    if not hasattr(shell, "kernel"):
        return LineDisplay()
    state = RunState(name, total=epochs)
    if hears_clicks(shell.kernel):
        return Panel(state, shell.kernel)
    return LiveDisplay(state, watching=watched(shell.kernel))


def watched(kernel: Any) -> bool:
    """Say whether a person looks on: what runs a notebook without one (nbclient) tells that nobody can be asked.

    A kernel that does not know the request, as ipykernel does, is taken to be watched.
    """
    request = kernel.get_parent() if hasattr(kernel, "get_parent") else {}
    return bool(request.get("content", {}).get("allow_stdin", True))


def hears_clicks(kernel: Any) -> bool:
    """Say whether a person sits before the notebook, and the kernel hears of a click while a cell runs.

    Jupyter's server names the notebook to the kernel; what runs a notebook without one (nbconvert, papermill) does not.
    A kernel with subshells (ipykernel 7) takes a widget's messages in a thread of their own.
    """
    return "JPY_SESSION_NAME" in os.environ and bool(getattr(kernel, "_supports_kernel_subshells", False))


def sweep_progress(shell: InteractiveShell, name: str) -> LiveDisplay | LineDisplay:
    """Return the same for a search of a learning rate, which is one epoch and has no stages after it."""
    stages = dict.fromkeys(("check", "prepare", "train"), "wait")
    state = RunState(name, doing="looking for a learning rate for", stages=stages, total=1)
    return LiveDisplay(state, watching=watched(shell.kernel)) if hasattr(shell, "kernel") else LineDisplay()


def stream_progress(shell: InteractiveShell) -> Followed | LineDisplay:
    """Return what follows a stream that has been started."""
    return Followed(StreamState(), watching=watched(shell.kernel)) if hasattr(shell, "kernel") else LineDisplay()


class LookLines(LineDisplay):
    """A preview in a plain terminal: its steps as lines, then what it has found."""

    def replace(self, result: Any) -> None:
        """Show the result as text."""
        show(result._repr_html_(), repr(result))


def look_progress(shell: InteractiveShell, source: str) -> Followed | LookLines:
    """Return what follows a preview of rows."""
    return Followed(LookState(source), watching=watched(shell.kernel)) if hasattr(shell, "kernel") else LookLines()


def show(html: str, text: str) -> None:
    """Display one result."""
    display(Rendered(html, text))
