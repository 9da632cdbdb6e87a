"""Figures of what scores are worth, as matplotlib `Figure` objects in the style of `figures`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sparknn_magic.show.figures import DARK, LIGHT, Theme, _frame, _style
from sparknn_magic.show.words import coverage_point, number

SIZE = (4.9, 4.4)
MARKED = (0.9, 0.75, 0.5)  # of the rows answered: where the curve says its threshold
BETWEEN = 0.06  # of the coverage at least, between two such places


def reliability_diagram(metrics: Mapping[str, Any], *, dark: bool = False) -> Figure:
    """Return the accuracy of the rows of each bin of scores, beside their mean score; below, how many these are.

    Where scores can be believed, bars and marks end on the dashed line.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, figure 1, arXiv:1706.04599.
    """
    theme, bins = DARK if dark else LIGHT, metrics["reliability"]
    middles = np.array([(b["above"] + b["to"]) / 2 for b in bins])
    width = min(b["to"] - b["above"] for b in bins)
    rows = np.array([b["rows"] for b in bins], dtype=float)
    with _style(theme):
        figure = Figure(figsize=SIZE, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        _frame(above, theme, title="Accuracy by score")
        above.bar(middles, [b["accuracy"] for b in bins], width * 0.86, color=theme.first, alpha=0.55, label="accuracy")
        above.plot([0, 1], [0, 1], color=theme.soft, linewidth=1.2, linestyle=(0, (4, 2)), label="score = accuracy")
        above.plot(
            middles,
            [b["score"] for b in bins],
            "D",
            color=theme.second,
            markersize=4.5,
            label="mean score",
            clip_on=False,
            zorder=3,
        )
        above.set_ylim(0, 1)
        above.legend(frameon=False, loc="upper left", labelcolor=theme.ink)
        _percentages(above, "y")
        _frame(below, theme)
        below.bar(middles, rows / rows.sum(), width * 0.86, color=theme.soft)
        below.set_xlim(0, 1)
        below.set_xlabel("score")
        below.set_ylabel("rows")
        below.yaxis.set_major_locator(MaxNLocator(2))
        _percentages(below, "y")
    return figure


def coverage_curve(metrics: Mapping[str, Any], *, dark: bool = False) -> Figure:
    """Return the accuracy of the rows that get an answer, by how many do, the surest first.

    At some places stands the score from which on rows get an answer there; one is that of `coverage_point`.
    """
    theme, points = DARK if dark else LIGHT, metrics["coverage"]
    share, accuracy = (np.array([p[name] for p in points]) for name in ("coverage", "accuracy"))
    with _style(theme):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.subplots()
        _frame(axes, theme, title="Accuracy of the rows that get an answer")
        axes.plot(
            share, accuracy, "-", color=theme.first, linewidth=1.8, marker="o", markersize=3, clip_on=False, zorder=3
        )
        low = float(accuracy.min())
        room = max(1 - low, 0.01)
        axes.set_ylim(max(0.0, low - 0.25 * room), min(1.0, float(accuracy.max()) + 0.3 * room))
        axes.set_xlim(0, 1)
        for point in _marked(metrics):
            _mark(axes, theme, point)
        axes.set_xlabel("rows that get an answer")
        axes.set_ylabel("accuracy")
        _percentages(axes, "x")
        _percentages(axes, "y")
    return figure


def _marked(metrics: Mapping[str, Any]) -> list[Mapping[str, float]]:
    """Return the points whose thresholds are written beside the curve: near some shares, not near each other."""
    points: list[Mapping[str, float]] = metrics["coverage"]
    kept: list[Mapping[str, float]] = []
    first = coverage_point(metrics)
    wanted = [p for p in (first, *(_nearest(points, share) for share in MARKED[1:]), points[0]) if p is not None]
    for point in wanted:
        if all(abs(point["coverage"] - other["coverage"]) >= BETWEEN for other in kept):
            kept.append(point)
    return kept


def _nearest(points: list[Mapping[str, float]], share: float) -> Mapping[str, float]:
    return min(points, key=lambda p: abs(p["coverage"] - share))


def _mark(axes: Axes, theme: Theme, point: Mapping[str, float]) -> None:
    place = (point["coverage"], point["accuracy"])
    axes.plot(*place, "D", color=theme.second, markersize=5.5, clip_on=False, zorder=4)
    axes.annotate(
        f"score ≥ {number(point['threshold'])}",
        place,
        xytext=(-3, -14),
        textcoords="offset points",
        ha="right",
        fontsize=9,
        color=theme.ink,
    )


def _percentages(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}%"))
