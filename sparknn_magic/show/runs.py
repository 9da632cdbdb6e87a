"""The runs of a run folder: a table of them, and one with its whole experiment. Knows no Spark."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.words import (
    MISSING,
    duration,
    figure,
    near,
    number,
    percent,
    plain,
    plural,
    shorten,
    size,
    step_text,
    table,
    yaml_text,
)

TITLES = ("run", "when", "state", "model", "best figure", "time", "size")
CELL = 44  # columns of a cell
HINT = "`%sparknn runs NAME` shows one with its whole experiment."


def runs_text(folder: Path, runs: Sequence[Any]) -> str:
    """Return a line for each run, the newest first."""
    if not runs:
        return f"{near(folder)} keeps no runs yet."
    lines = [list(TITLES), *(_cells(run) for run in runs)]
    return f"{plural(len(runs), 'run')} in {near(folder)}\n{table(lines, 'lllllrr', indent='  ')}\n{HINT}"


def runs_html(folder: Path, runs: Sequence[Any]) -> str:
    """Return the same as an HTML table."""
    if not runs:
        return scoped(el("div", f"{near(folder)} keeps no runs yet.", cls="soft"))
    head = el("thead", el("tr", *(el("th", title, cls=_kind(n)) for n, title in enumerate(TITLES))))
    body = el("tbody", *(_row(run) for run in runs))
    title = f"{plural(len(runs), 'run')} in {near(folder)}"
    hint = el("div", el("code", "%sparknn runs NAME"), " shows one with its whole experiment.", cls="soft")
    return scoped(el("div", title, cls="title"), el("table", head, body), hint)


def run_text(run: Any) -> str:
    """Return one run: its facts, then its experiment."""
    facts = table([[name, value] for name, value in _facts(run)], "ll")
    title = f"run {plain(run.key)}"
    spec = f"\n\n{yaml_text(run.spec).rstrip()}" if run.spec else ""
    return f"{title}\n{'=' * len(title)}\n{facts}{spec}"


def run_html(run: Any) -> str:
    """Return the same as HTML."""
    facts = [el("tr", el("th", name), el("td", value)) for name, value in _facts(run)]
    spec = el("pre", yaml_text(run.spec).rstrip()) if run.spec else None
    return scoped(
        el("div", f"run {plain(run.key)}", cls="title"),
        el("table", el("tbody", *facts), cls="facts"),
        spec,
    )


def state_text(run: Any) -> str:
    """Return how a run stands: 'finished', 'interrupted at epoch 3 of 10', 'failed: the loss is nan'."""
    of = f" of {run.epochs}" if run.epochs else ""
    if run.state == "finished":
        return "finished" + (f", {plural(run.epoch, 'epoch')}" if run.epoch else "")
    if run.state == "failed":
        return "failed" + (f": {run.reason}" if run.reason else "")
    if not run.epoch:
        return "running, in its first epoch" if run.state == "running" else f"{run.state} before its first epoch ended"
    return f"running, epoch {run.epoch}{of} done" if run.state == "running" else f"{run.state} at epoch {run.epoch}{of}"


def spec_text(spec: Mapping[str, Any]) -> str:
    """Return an experiment in short: its network and what is said of its training most."""
    if not spec:
        return MISSING
    model = spec.get("model")
    if isinstance(model, list):
        name = plural(len(model), "layer")
    elif isinstance(model, Mapping):
        ((of, options),) = model.items()
        name = step_text({"name": of, "options": options}) if isinstance(options, Mapping) else f"{of}: {options}"
    else:
        name = str(model)
    train = spec.get("train") or {}
    return ", ".join([name, *(f"{key} {train[key]}" for key in ("epochs", "batch_size") if train.get(key))])


def best_text(run: Any) -> str:
    """Return the figure that stands for a run, with its name."""
    if run.best is None:
        return MISSING
    name, value = run.best
    shown = percent(value, 2) if name.endswith("accuracy") else figure(value) if name != "R2" else number(value)
    on = f" ({run.measured_on})" if run.measured_on not in (None, "validation") else ""
    return f"{name} {shown}{on}"


def when_text(started: float) -> str:
    """Return a time in this machine's zone: '2026-03-01 14:05'."""
    return datetime.fromtimestamp(started).astimezone().strftime("%Y-%m-%d %H:%M")


def _cells(run: Any) -> list[str]:
    return [
        shorten(run.key, CELL),
        when_text(run.started),
        shorten(state_text(run), CELL),
        shorten(spec_text(run.spec), CELL),
        shorten(best_text(run), CELL),
        duration(run.seconds),
        size(run.size_bytes),
    ]


def _row(run: Any) -> Markup:
    texts = [run.key, when_text(run.started), state_text(run), spec_text(run.spec), best_text(run)]
    cells = [el("td", shorten(text, 120), cls="failed" if n == 2 and run.state == "failed" else None)
             for n, text in enumerate(texts)]  # fmt: skip
    numbers = [el("td", text, cls="num") for text in (duration(run.seconds), size(run.size_bytes))]
    return el("tr", el("th", el("code", shorten(run.key, 60))), *cells[1:], *numbers)


def _kind(place: int) -> str | None:
    return "num" if place >= 5 else None


def _facts(run: Any) -> list[tuple[str, str]]:
    files = sum(f.stat().st_size for f in run.folder.iterdir() if f.is_file()) if run.folder.is_dir() else 0
    facts = [
        ("state", state_text(run)),
        ("task", run.task),
        ("started", when_text(run.started)),
        ("time", duration(run.seconds) if run.seconds is not None else None),
        ("best figure", best_text(run) if run.best else None),
        ("model", f"{near(run.model)}, model.onnx {size(run.size_bytes)}" if run.model and run.size_bytes else None),
        ("run folder", f"{near(run.folder)}, {size(files)}"),
        ("goes on", "the same cell goes on from its last epoch" if run.checkpoint else None),
    ]
    return [(name, plain(value)) for name, value in facts if value]
