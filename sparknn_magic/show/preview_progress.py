"""What a preview does while it is computed: its steps, each with its seconds. Knows no IPython."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.words import duration, plain, shorten

MARKS = {"done": "\u2713", "start": "\u2026", "failed": "\u2717", "interrupted": "\u2717"}
STYLE = Markup("""
.sparknn .steps { margin: 3px 0 8px; line-height: 1.7; font-variant-numeric: tabular-nums; }
.sparknn .steps .start, .sparknn .steps .failed, .sparknn .steps .interrupted { font-weight: 650; }
""")


@dataclass
class LookState:
    """What a listener has heard so far. `clock` gives seconds; only differences of it are used."""

    source: str  # of the rows, as the cell writes it
    clock: Callable[[], float] = time.monotonic
    steps: list[tuple[str, float]] = field(default_factory=list)  # what is done, and when it began
    ended: tuple[str, float] | None = None  # how the last step ended, and when; None while it goes on

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in one event: the next step has begun, or the last one has failed."""
        if event["event"] != "look":
            return
        if event.get("state") == "failed":
            self.ended = ("failed", self.clock())
        else:
            self.steps.append((event["doing"], self.clock()))

    def interrupt(self) -> None:
        """Note that the user has ended it."""
        self.ended = ("interrupted", self.clock())

    def text(self) -> str:
        """Return the steps that have ended, a line each."""
        lines = [f"  {words}: {self._words(state, seconds)}" for words, state, seconds in self._all()]
        return "\n".join([self._title(), *(lines if self.ended else lines[:-1])])

    def html(self) -> str:
        """Return the steps, the one that goes on among them."""
        lines = (
            el("div", f"{MARKS[state]} {words} {self._words(state, seconds)}", cls=state)
            for words, state, seconds in self._all()
        )
        return scoped(el("style", STYLE), el("div", self._title(), cls="title"), el("div", *lines, cls="steps"))

    def _title(self) -> str:
        return f"looking at {shorten(plain(self.source), 80)}"

    def _all(self) -> list[tuple[str, str, float]]:
        """Return of each step its words, its state and its seconds."""
        last, now = self.ended or ("start", self.clock())
        ends = [began for _, began in self.steps[1:]] + [now]
        states = ["done"] * (len(self.steps) - 1) + [last]
        return [
            (words, state, end - began) for (words, began), end, state in zip(self.steps, ends, states, strict=False)
        ]

    def _words(self, state: str, seconds: float) -> str:
        return duration(seconds) + (f", {state}" if state in ("failed", "interrupted") else "")
