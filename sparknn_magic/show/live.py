"""A run while it goes on: its events gathered into one state, and that state as text and HTML. Knows no IPython."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from sparknn_magic.show.progress import event_line
from sparknn_magic.show.words import count, duration

STAGES = ("prepare", "train", "export", "evaluate")
MARKS = {"wait": "\u00b7", "start": "\u2026", "done": "\u2713", "failed": "\u2717"}  # beside the colour, for every eye
WIDTH, HEIGHT = 360, 90  # of the curves, in pixels
TRAIN, VALIDATION = "#0072B2", "#D55E00"  # Okabe & Ito 2008: told apart by the colour-blind


@dataclass
class RunState:
    """What a listener has heard so far."""

    name: str
    stages: dict[str, str] = field(default_factory=lambda: dict.fromkeys(STAGES, "wait"))
    seconds: dict[str, float] = field(default_factory=dict)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    step: dict[str, Any] | None = None
    lines: list[str] = field(default_factory=list)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        kind = event["event"]
        if kind == "stage" and event["stage"] in self.stages:
            self.stages[event["stage"]] = event["state"]
            if "seconds" in event:
                self.seconds[event["stage"]] = event["seconds"]
        elif kind == "step":
            self.step = dict(event)
        elif kind == "epoch":
            self.epochs.append(dict(event))
            self.total, self.step = event["epochs"], None
        line = event_line(event)
        if line is not None:
            self.lines.append(line)

    def text(self) -> str:
        """Return the lines so far."""
        return "\n".join([f"training {self.name}", *self.lines])

    def html(self) -> str:
        """Return the stages, the epoch's bar and the curves of the loss; no scripts, nothing from the network."""
        stages = " &nbsp; ".join(self._stage(stage) for stage in STAGES)
        parts = [f"<div><b>{escape(self.name)}</b> &nbsp; {stages}</div>"]
        if self.stages["train"] == "start" or self.epochs:
            parts += [self._bar(), self._figures(), loss_svg(self.epochs)]
        return f'<div style="font-family:sans-serif;font-size:13px;line-height:1.7">{"".join(parts)}</div>'

    def _stage(self, stage: str) -> str:
        state = self.stages[stage]
        weight = "bold" if state == "start" else "normal"
        seconds = f" {duration(self.seconds[stage])}" if stage in self.seconds else ""
        faint = ";opacity:.5" if state == "wait" else ""
        return f'<span style="font-weight:{weight}{faint}">{MARKS[state]} {stage}{seconds}</span>'

    def _bar(self) -> str:
        within = self.step["step"] / self.step["steps"] if self.step else 0.0
        share = (len(self.epochs) + within) / self.total if self.total else within
        return (
            '<div style="width:360px;height:8px;border-radius:4px;background:rgba(128,128,128,.25)">'
            f'<div style="width:{100 * min(share, 1.0):.1f}%;height:8px;border-radius:4px;background:{TRAIN}"></div></div>'
        )

    def _figures(self) -> str:
        words = []
        if self.epochs:
            words.append(escape((event_line(self.epochs[-1]) or "").strip()))
        if self.step:
            speed = count(round(self.step["rows_per_second"]))
            words.append(f"epoch {self.step['epoch']}, step {self.step['step']} of {self.step['steps']}, {speed} rows/s")
        return "<div>" + "<br>".join(words or ["starting the workers"]) + "</div>"


def loss_svg(epochs: list[dict[str, Any]]) -> str:
    """Return a small drawing of training and validation loss by epoch; "" for fewer than two epochs."""
    curves = {"train": TRAIN, "validation": VALIDATION}
    values = {name: [e[f"{name}_loss"] for e in epochs if e[f"{name}_loss"] is not None] for name in curves}
    every = [v for series in values.values() for v in series]
    if len(epochs) < 2:
        return ""
    low, high = min(every), max(every)
    drawn = []
    for name, colour in curves.items():
        points = [
            f"{4 + (WIDTH - 80) * i / (len(epochs) - 1):.1f},{6 + (HEIGHT - 12) * (high - v) / (high - low or 1.0):.1f}"
            for i, v in enumerate(values[name])
        ]
        if points:
            dash = ' stroke-dasharray="5 3"' if name == "validation" else ""
            x, y = points[-1].split(",")
            drawn.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
            drawn.append(f'<text x="{float(x) + 5:.1f}" y="{float(y) + 4:.1f}" font-size="11" fill="{colour}">{name}</text>')
    label = "loss by epoch, training and validation"
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}">{"".join(drawn)}</svg>'
