"""A run's events as lines of text, one for each stage and each epoch, and a bar in a terminal. Knows no Spark."""

import sys
from collections.abc import Mapping
from typing import Any, TextIO

from sparknn_magic.show.words import count, duration, measure_name, measure_text, number

QUIET_STAGES = ("check",)


def event_line(event: Mapping[str, Any]) -> str | None:
    """Return the line for an event, or None where it deserves none."""
    kind = event["event"]
    if kind == "stage" and event["stage"] not in QUIET_STAGES:
        return _stage_line(event)
    if kind == "epoch":
        return _epoch_line(event)
    if kind == "start":
        return f"  {workers_text(event)}, {event['steps']} steps an epoch"
    if kind == "resume":
        return f"  goes on from the checkpoint of epoch {event['epoch']} of {event['epochs']}"
    if kind == "note":
        return f"  {event['message']}"
    if kind == "look" and "doing" in event:
        return f"  {event['doing']}"
    return None


def workers_text(event: Mapping[str, Any]) -> str:
    """Return how many workers have started, and on what."""
    return f"{event['workers']} worker{'s' * (event['workers'] != 1)} on {event['device']}"


def _stage_line(event: Mapping[str, Any]) -> str | None:
    stage, state = event["stage"], event["state"]
    if state == "skipped":
        return None
    if state == "failed":
        return f"{stage}: failed after {duration(event['seconds'])}"
    if state == "start":
        return "train" if stage == "train" else None
    line = f"{stage}: {duration(event['seconds'])}"
    if stage == "prepare":
        rows = event["rows"]
        if "train" in rows:
            line += f", {count(rows['train'])} training and {count(rows['validation'])} validation rows"
        else:
            line += f", {count(rows['read'])} rows"
        line += f", {event['classes']} classes" if event["classes"] else ""
        line += ", read again from the last run" if event["reused"] else ""
        for dropped in event["dropped"]:
            line += f"\n  dropped {count(dropped['rows'])} rows: {dropped['reason']}"
    if stage == "export":
        line += f", ONNX Runtime and PyTorch agree on {count(event['rows'])} rows to {event['max_difference']:.0e}"
    figure = event.get("figure", "accuracy")
    if stage == "evaluate" and not figure:
        line += f", {count(event['rows'])} rows"
    if stage == "evaluate" and event.get("f1") is not None:
        line += f", F1 of entities {event['f1']:.4f} on {count(event['rows'])} rows"
    if stage == "evaluate" and event.get("map50") is not None:
        line += f", mAP50 {event['map50']:.4f} on {count(event['rows'])} rows"
    if stage == "evaluate" and event.get(figure) is not None:
        r2 = f", R2 {number(event['r2'])}" if event.get("r2") is not None else ""
        line += f", {measure_name(figure)} {measure_text(figure, event[figure])}{r2} on {count(event['rows'])} rows"
    return line


def _epoch_line(event: Mapping[str, Any]) -> str:
    figure = event.get("figure", "accuracy")
    line = f"  epoch {event['epoch']:>3} of {event['epochs']}: loss {event['train_loss']:.4f}"
    if event[f"train_{figure}"] is not None:
        line += f", {measure_name(figure)} {measure_text(figure, event[f'train_{figure}'])}"
    if event["validation_loss"] is not None:
        held = measure_text(figure, event[f"validation_{figure}"])
        if event[f"train_{figure}"] is None:
            held = f"{measure_name(figure)} {held}"
        line += f"; validation {event['validation_loss']:.4f}, {held}"
    return line + f"; {count(round(event['rows_per_second']))} rows/s"


class Lines:
    """A listener that prints each event's line to a stream, stderr by default; in a terminal a bar runs below them."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self.bar: Any = None  # of the epoch that is running

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Print the event's line, if it has one, or move the bar."""
        if event["event"] == "step":
            self._move(event)
            return
        line = event_line(event)
        if line is None:
            return
        self.clear()
        print(line, file=self.stream, flush=True)

    def _move(self, event: Mapping[str, Any]) -> None:
        if not self.stream.isatty():
            return
        if self.bar is None:
            from tqdm import tqdm

            title = f"  epoch {event['epoch']:>3}"
            self.bar = tqdm(total=event["steps"], desc=title, unit="step", file=self.stream, leave=False)
        self.bar.set_postfix_str(f"{count(round(event['rows_per_second']))} rows/s", refresh=False)
        self.bar.n = event["step"]
        self.bar.refresh()

    def clear(self) -> None:
        """Take the bar away: a line follows, or nothing does."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
