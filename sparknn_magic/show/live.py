"""A run while it goes on: its events gathered into one state, and that state as text and HTML. Knows no IPython."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparknn_magic.show.curves import CURVES, curves
from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el, join
from sparknn_magic.show.progress import event_line, workers_text
from sparknn_magic.show.words import count, duration, figure, measure_name, measure_text, plain

STAGES = ("check", "prepare", "train", "export", "evaluate")
MARKS = {"wait": "\u00b7", "start": "\u2026", "done": "\u2713", "failed": "\u2717", "interrupted": "\u2717"}
SPARK = ("prepare", "evaluate")  # what is done with every row by Spark
SHOWN_EPOCHS = 4  # the last ones, while it runs
LISTED_EPOCHS = 100  # at most, in the table that stays

STYLE = Markup(
    """
.sparknn .stages { margin: 3px 0 8px; line-height: 1.7; }
.sparknn .stages span { margin-right: 14px; white-space: nowrap; }
.sparknn .stages .wait { opacity: 0.5; }
.sparknn .stages .start { font-weight: 650; }
.sparknn .stages .failed, .sparknn .stages .interrupted { font-weight: 650; }
.sparknn .bar { height: 8px; border-radius: 4px; background: rgba(128, 128, 128, 0.25); max-width: 640px; }
.sparknn .bar div { height: 8px; border-radius: 4px; background: #2a8fd0; }
.sparknn .bar.step { height: 4px; margin-top: 3px; }
.sparknn .bar.step div { height: 4px; opacity: 0.6; }
.sparknn .now { margin: 4px 0 8px; font-variant-numeric: tabular-nums; }
"""
    + CURVES
)


@dataclass
class RunState:
    """What a listener has heard so far. `clock` gives seconds; only differences of it are used."""

    name: str
    doing: str = "training"
    clock: Callable[[], float] = time.monotonic
    stages: dict[str, str] = field(default_factory=lambda: dict.fromkeys(STAGES, "wait"))
    seconds: dict[str, float] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0  # epochs to run, 0 where that is not known
    resumed: int = 0  # epochs behind the checkpoint that was taken up
    figure: str = "accuracy"  # what an epoch reports beside the loss
    step: dict[str, Any] | None = None
    workers: str = ""  # "2 workers on cpu"
    rates: dict[str, float] = field(default_factory=dict)  # rows per second of Spark's stages
    lines: list[str] = field(default_factory=list)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        kind = event["event"]
        if kind == "stage" and event["state"] == "skipped":
            self.stages.pop(event["stage"], None)
        elif kind == "stage" and event["stage"] in self.stages:
            self.stages[event["stage"]] = event["state"]
            self.began.setdefault(event["stage"], self.clock())
            if "seconds" in event:
                self.seconds[event["stage"]] = event["seconds"]
            self._note_rate(event)
        elif kind == "start":
            self.workers = workers_text(event)
        elif kind == "step":
            self.step = dict(event)
        elif kind == "epoch":
            self.epochs.append(dict(event))
            self.total, self.step = event["epochs"], None
            self.figure = event.get("figure", self.figure)
        elif kind == "resume":
            self.resumed = event["epoch"]
        line = event_line(event)
        if line is not None:
            self.lines.append(line)

    def _note_rate(self, event: Mapping[str, Any]) -> None:
        rows = event.get("rows")
        if event["stage"] not in SPARK or not rows or event.get("reused"):
            return
        total = sum(rows.values()) if isinstance(rows, Mapping) else rows
        self.rates[event["stage"]] = total / max(event["seconds"], 1e-3)

    def interrupt(self) -> None:
        """Note that the user has ended the run."""
        for stage, state in self.stages.items():
            if state in ("start", "failed"):
                self.stages[stage] = "interrupted"
                self.lines.append(f"{stage}: interrupted after {duration(self._seconds(stage))}")

    def text(self) -> str:
        """Return the lines so far."""
        return "\n".join([self._title(), *self.lines])

    def html(self) -> str:
        """Return the stages, a bar, the last epochs and their curves; no scripts, nothing from the network."""
        parts: list[Any] = [el("style", STYLE), el("div", self._title(), cls="title"), self._stages()]
        if self.stages.get("train", "wait") != "wait":
            running = self.stages["train"] == "start"
            parts += [*self._bars(), el("div", self._now(), cls="now")] if running else []
            parts += [curves(self.epochs, self.figure), epoch_table(self.epochs[-SHOWN_EPOCHS:], self.figure)]
        return scoped(*parts)

    def summary_html(self, history: list[dict[str, Any]]) -> str:
        """Return what stays of the progress below the result, to unfold: stages, curves and a table of the epochs.

        `history` has the epochs before an interruption too.
        """
        table = epoch_table(history[-LISTED_EPOCHS:], self.figure)
        drawn = curves(history, self.figure)
        title = "How the training went" if history else "How it went"
        return scoped(el("style", STYLE), el("details", el("summary", title), self._stages(), drawn, table))

    def _title(self) -> str:
        return f"{self.doing} {plain(self.name)}"

    def _seconds(self, stage: str) -> float | None:
        if stage in self.seconds:
            return self.seconds[stage]
        return self.clock() - self.began[stage] if stage in self.began else None

    def _stages(self) -> Markup:
        return el("div", join(join([self._stage(stage), " "]) for stage in self.stages), cls="stages")

    def _stage(self, stage: str) -> Markup:
        state, seconds = self.stages[stage], self._seconds(stage)
        words = f"{MARKS[state]} {stage}" + (f" {duration(seconds)}" if seconds is not None else "")
        words += f", {count(round(self.rates[stage]))} rows/s" if stage in self.rates else ""
        return el("span", words + (f", {state}" if state in ("failed", "interrupted") else ""), cls=state)

    def _done(self) -> int:
        """Return the number of epochs that are done."""
        return self.epochs[-1]["epoch"] if self.epochs else self.resumed

    def _share(self) -> float:
        """Return how much of the training is done, 0 to 1."""
        within = self.step["step"] / self.step["steps"] if self.step else 0.0
        return min((self._done() + within) / self.total, 1.0) if self.total else 0.0

    def _bars(self) -> list[Markup]:
        """Return a bar of the whole training, and below it one of the epoch's steps."""
        within = self.step["step"] / self.step["steps"] if self.step else 0.0
        return [_bar(self._share(), "bar", "training"), _bar(within, "bar step", "this epoch")]

    def _now(self) -> str:
        words = self._place()
        return f"{words}; {self.workers}" if self.workers else words

    def _place(self) -> str:
        if self.step is not None:
            words = f"epoch {self.step['epoch']} of {self.total}, step {self.step['step']} of {self.step['steps']}"
            return f"{words}, {count(round(self.step['rows_per_second']))} rows/s{self._left()}"
        if self._done() >= self.total > 0:
            return "all epochs are done; the weights come back"
        return f"epoch {self._done() + 1} of {self.total}" if self._done() else "starting the workers"

    def _left(self) -> str:
        """Return how long the remaining epochs take at the pace of the last ones; "" before the first is done."""
        if not self.epochs:
            return ""
        recent = [e["seconds"] for e in self.epochs[-3:]]
        return f", about {duration(max(1.0, (1 - self._share()) * self.total * sum(recent) / len(recent)))} left"


def _bar(share: float, kind: str, label: str) -> Markup:
    percents = f"{100 * share:.1f}"
    inner = el("div", style=f"width: {percents}%")
    return el("div", inner, cls=kind, role="progressbar", aria_label=label, aria_valuenow=percents)


def epoch_table(epochs: list[dict[str, Any]], measure: str = "accuracy") -> Markup | None:
    """Return the figures of epochs as an HTML table; None for no epochs."""
    if not epochs:
        return None
    validated = any(e["validation_loss"] is not None for e in epochs)
    name = measure_name(measure)
    trained = any(e[f"train_{measure}"] is not None for e in epochs)  # some figures are of validation rows alone
    titles = [
        "epoch",
        "loss",
        *([name] if trained else []),
        *(["validation loss", f"validation {name}"] if validated else []),
        "rows/s",
    ]
    rows = []
    for e in epochs:
        cells = [str(e["epoch"]), figure(e["train_loss"])]
        cells += [measure_text(measure, e[f"train_{measure}"])] if trained else []
        held = measure_text(measure, e[f"validation_{measure}"])
        cells += [figure(e["validation_loss"]), held] if validated else []
        rows.append(el("tr", *(el("td", c, cls="num") for c in [*cells, count(round(e["rows_per_second"]))])))
    head = el("thead", el("tr", *(el("th", title, cls="num") for title in titles)))
    return el("table", head, el("tbody", *rows))
