"""Models side by side, as text and HTML: figures with the best marked, tests of each pair, curves. Knows no Spark.

A model has `name`, `meta` (as bundle.json) and `metrics`; a pair `first`, `second` and `test`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.overlay import OVERLAY, overlaid
from sparknn_magic.show.words import (
    MISSING,
    amount,
    count,
    duration,
    figure,
    number,
    percent,
    plain,
    shorten,
    size,
    step_text,
    table,
)

NAME = 28  # columns of a model's name
BEST = "*"
LIKELY = 0.05  # a smaller p is called a difference
STYLE = """
.sparknn .best { font-weight: 700; }
.sparknn .best::before { content: "★ "; font-weight: 400; opacity: 0.8; }
"""
TIES = "equal: a difference like this comes by chance"


@dataclass(frozen=True)
class Figure:
    """A line of the table: a figure of every model."""

    name: str
    values: tuple[Any, ...]
    shown: tuple[str, ...]
    best: frozenset[int] = frozenset()  # the places of the best, where one is better than others


# Name, where it stands in the metrics, how it is written, and whether more is better.
CLASSES = (
    ("accuracy", ("accuracy",), lambda x: percent(x, 2), True),
    ("micro F1", ("micro", "f1"), figure, True),
    ("macro F1", ("macro", "f1"), figure, True),
    ("top-5 accuracy", ("top5_accuracy",), lambda x: percent(x, 2), True),
    ("log loss", ("log_loss",), figure, False),
    ("Hamming loss", ("hamming_loss",), figure, False),
    ("calibration error", ("calibration_error",), figure, False),
)
NUMBERS = (
    ("R2", ("r2",), figure, True),
    ("RMSE", ("rmse",), number, False),
    ("MAE", ("mae",), number, False),
    ("median absolute error", ("median_absolute_error",), number, False),
)
ENTITIES = (
    ("F1", ("f1",), figure, True),
    ("precision", ("micro", "precision"), figure, True),
    ("recall", ("micro", "recall"), figure, True),
    ("macro F1", ("macro", "f1"), figure, True),
    ("rows all right", ("rows_right",), lambda x: percent(x, 2), True),
)
BOXES = (
    ("mAP at IoU 0.5", ("map50",), figure, True),
    ("mAP", ("map",), figure, True),
    ("mAP at IoU 0.75", ("map75",), figure, True),
    ("recall", ("recall_100",), figure, True),
)
VECTORS = (("dimension", ("dimension",), count, None),)


def figures(models: Sequence[Any]) -> list[Figure]:
    """Return the figures that these models have, then what they cost: parameters, size, time."""
    metrics = [model.metrics for model in models]
    found = [_figure(name, [_at(m, path) for m in metrics], shown, more) for name, path, shown, more in _kind(metrics)]
    own = dict.fromkeys(name for m in metrics for name in m.get("custom") or {})
    found += [_figure(name, [(m.get("custom") or {}).get(name) for m in metrics], _plain_number, None) for name in own]
    found.append(_figure("rows", [m.get("rows") for m in metrics], count, None))
    training = [model.meta.get("training") or {} for model in models]
    network = [model.meta.get("model") or {} for model in models]
    costs: list[tuple[str, list[Any], Callable[[Any], str]]] = [
        ("network", [shorten(step_text(n), 40) if n else None for n in network], str),
        ("parameters", [n.get("parameters") for n in network], amount),
        ("model.onnx", [model.meta.get("size_bytes") for model in models], size),
        ("epochs (best)", [_epochs(t) for t in training], str),
        ("time of training", [t.get("seconds") for t in training], duration),
        ("rows/s in training", [t.get("rows_per_second") for t in training], count),
    ]
    found += [_figure(name, values, shown, None) for name, values, shown in costs]
    return [each for each in found if any(value is not None for value in each.values)]


def comparison_text(
    task: str, models: Sequence[Any], pairs: Sequence[Any], rows: str | None, notes: Sequence[str]
) -> str:
    """Return the comparison as columns of text; the best figure of a line has a star."""
    head = ["", *(shorten(model.name, NAME) for model in models)]
    lines = [
        [each.name, *(f"{text} {BEST}" if n in each.best else f"{text}  " for n, text in enumerate(each.shown))]
        for each in figures(models)
    ]
    aligned = table([[head[0], *(f"{name}  " for name in head[1:])], *lines], "l" + "r" * len(models), indent="  ")
    parts = [f"{len(models)} models: {plain(task)}", aligned, f"  {BEST} the best of a line"]
    if pairs:
        told = [[_versus(pair), *_pair_cells(pair)] for pair in pairs]
        parts += [f"\non {rows}: {_method(pairs[0].test)}", table(told, "l" * len(told[0]), indent="  ")]
    return "\n".join([*parts, *(f"note: {plain(note)}" for note in notes)])


def comparison_html(
    task: str, models: Sequence[Any], pairs: Sequence[Any], rows: str | None, notes: Sequence[str]
) -> str:
    """Return the comparison as HTML: the figures, the tests, and the learning curves in one drawing."""
    names = [model.name for model in models]
    head = el("thead", el("tr", el("th", ""), *(el("th", shorten(name, 40), cls="num") for name in names)))
    body = [
        el("tr", el("th", each.name), *(_cell(text, n in each.best) for n, text in enumerate(each.shown)))
        for each in figures(models)
    ]
    histories = [(model.meta.get("training") or {}).get("history") or [] for model in models]
    measure = (models[0].meta.get("training") or {}).get("figure", "accuracy")
    drawn = overlaid(names, histories, measure)
    return scoped(
        el("style", Markup(STYLE + OVERLAY)),
        el("div", f"{len(models)} models: {plain(task)}", cls="title"),
        el("table", head, el("tbody", *body)),
        _pairs_html(pairs, rows),
        drawn,
        *(el("div", plain(note), cls="soft") for note in notes),
    )


def _pairs_html(pairs: Sequence[Any], rows: str | None) -> list[Markup]:
    if not pairs:
        return []
    body = [el("tr", el("th", _versus(pair)), *(el("td", cell) for cell in _pair_cells(pair))) for pair in pairs]
    return [
        el("div", f"On {rows}: {_method(pairs[0].test)}", cls="soft"),
        el("table", el("tbody", *body)),
    ]


def _versus(pair: Any) -> str:
    return f"{shorten(pair.first, NAME)} / {shorten(pair.second, NAME)}"


def _method(test: Any) -> str:
    if hasattr(test, "p"):
        return "McNemar's test of each pair, rows that one of the two alone has right"
    return "squared errors of each pair on the same rows, the first's less the second's"


def _pair_cells(pair: Any) -> list[str]:
    """Return the cells of a pair: what was counted, the test's figure, and what it says."""
    test, first, second = pair.test, shorten(pair.first, NAME), shorten(pair.second, NAME)
    if hasattr(test, "p"):
        how = "exact binomial" if test.statistic is None else f"chi-square {number(test.statistic)}"
        counted = f"{count(test.only_first)} / {count(test.only_second)} of {count(test.rows)}"
        better = first if test.only_first > test.only_second else second
        words = f"{better} is better, by {percent(abs(test.difference), 2)} of the rows"
        return [counted, f"{how}, p {_p(test.p)}", words if test.p < LIKELY else TIES]
    if test.low is None:
        return [f"mean {number(test.mean)}", f"{count(test.rows)} rows", "too few rows for an interval"]
    shown = f"mean {number(test.mean)}, 95 % interval {number(test.low)} to {number(test.high)}"
    words = TIES
    if not test.low <= 0 <= test.high:
        words = f"{first if test.high < 0 else second} has the smaller errors"
    return [shown, f"{count(test.rows)} rows", words]


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _cell(text: str, best: bool) -> Markup:
    return el("td", el("span", text, cls="best" if best else None), cls="num")


def _kind(metrics: Sequence[Mapping[str, Any]]) -> Sequence[tuple[str, tuple[str, ...], Callable[[Any], str], Any]]:
    first = metrics[0]
    for key, kind in (("dimension", VECTORS), ("map50", BOXES), ("entities", ENTITIES), ("r2", NUMBERS)):
        if key in first:
            return kind
    return CLASSES


def _at(metrics: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = metrics
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _figure(name: str, values: list[Any], shown: Callable[[Any], str], more: bool | None) -> Figure:
    texts = tuple(MISSING if value is None else shown(value) for value in values)
    best: frozenset[int] = frozenset()
    if more is not None:
        known = [v for v in values if v is not None and math.isfinite(v)]
        top = (max(known) if more else min(known)) if known else None
        best = frozenset(n for n, value in enumerate(values) if value is not None and value == top)
        if len(best) == len(values):  # all alike: none is best
            best = frozenset()
    return Figure(shorten(name, 32), tuple(values), texts, best)


def _plain_number(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return count(value) if isinstance(value, int) else number(value)


def _epochs(training: Mapping[str, Any]) -> str | None:
    if not training.get("epochs"):
        return None
    best = training.get("best_epoch")
    return f"{training['epochs']}" + (f" ({best})" if best else "")
