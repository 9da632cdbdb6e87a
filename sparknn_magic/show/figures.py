"""Figures of a training run, as matplotlib `Figure` objects: no pyplot, so nothing of the user's own plots is touched.

Colours are Okabe and Ito's (2008, Color Universal Design), told apart by people who are colour-blind; what a colour
says, a line style, a mark or a word says too. Labels are drawn as they are: `$` is not mathematics.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from sparknn_magic.show.example import Example, Numbers
from sparknn_magic.show.lettering import BASE, lettered
from sparknn_magic.show.words import amount, count, measure_name, percent

MOST_COUNTED = 20  # classes up to which a confusion matrix has numbers in its cells
MOST_NAMED = 48  # classes up to which each is named on an axis
MOST_BARS = 40
MOST_MARKS = 500  # points up to which each can be told from its neighbours


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a figure on a light or a dark page."""

    ink: str
    soft: str  # of axes and secondary words
    line: str  # of grids
    paper: str
    first: str
    second: str
    wrong: str


LIGHT = Theme("#1f2328", "#57606a", "#d8dee4", "#ffffff", first="#0072B2", second="#D55E00", wrong="#D55E00")
DARK = Theme("#e6edf3", "#9198a1", "#343b44", "#0d1117", first="#56B4E9", second="#E69F00", wrong="#E69F00")


def learning_curves(
    history: Sequence[Mapping[str, Any]],
    best_epoch: int | None = None,
    *,
    measure: str = "accuracy",
    dark: bool = False,
) -> Figure:
    """Return loss and accuracy by epoch, of the training and the validation rows, with the best epoch marked.

    `history` holds the epoch dicts of a bundle; a value of None, or one that is not finite, leaves a gap. `measure` is
    the figure that they hold beside the loss: `train_mae`, `validation_mae`.
    """
    theme = DARK if dark else LIGHT
    with _style(theme):
        figure = Figure(figsize=(9.2, 3.4), layout="constrained")
        loss, second = figure.subplots(1, 2)
        epochs = [int(epoch["epoch"]) for epoch in history]
        for axes, name, words in ((loss, "loss", "Loss"), (second, measure, _title(measure))):
            _frame(axes, theme, title=words)
            _curves(axes, theme, epochs, history, name)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            if not epochs:
                axes.text(0.5, 0.5, "no epochs recorded", ha="center", va="center", transform=axes.transAxes)
            if epochs:
                pad = max(0.5, 0.03 * len(epochs)) if len(epochs) > 1 else 0.5
                axes.set_xlim(min(epochs) - pad, max(epochs) + pad)
            if best_epoch is not None and best_epoch in epochs:
                _mark_best(axes, theme, best_epoch, labelled=axes is loss)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False, loc="best", labelcolor=theme.ink)
        if measure in ("accuracy", "token_accuracy"):
            second.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 6):g}%"))
    return figure


def _title(measure: str) -> str:
    name = measure_name(measure)
    return name[0].upper() + name[1:]


def _curves(axes: Axes, theme: Theme, epochs: list[int], history: Sequence[Mapping[str, Any]], name: str) -> None:
    styles = {"train": (theme.first, "--", "o"), "validation": (theme.second, "-", "s")}
    for rows, (colour, line, marker) in styles.items():
        values = np.array([_finite(epoch.get(f"{rows}_{name}")) for epoch in history], dtype=float)
        if not np.isfinite(values).any():
            continue
        size = 4.5 if len(epochs) <= 30 else 0
        axes.plot(epochs, values, line, color=colour, marker=marker, markersize=size, linewidth=1.8, label=rows)


def _finite(value: Any) -> float:
    return float(value) if value is not None and math.isfinite(value) else math.nan


def _mark_best(axes: Axes, theme: Theme, best_epoch: int, *, labelled: bool) -> None:
    name = f"best epoch: {best_epoch}" if labelled else None
    axes.axvline(best_epoch, color=theme.soft, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1, label=name)


def confusion_matrix(metrics: Mapping[str, Any], classes: Sequence[str], *, dark: bool = False) -> Figure:
    """Return the confusion matrix: rows are the true classes, columns the predicted ones.

    A cell's colour is its share of the row, blue on the diagonal and orange beside it, on a scale that rises fast,
    so that rare mistakes can be seen. Up to 20 classes the cells have their counts, up to 48 the axes their names.
    """
    theme = DARK if dark else LIGHT
    counts = np.asarray(metrics["confusion"], dtype=float).reshape(len(classes), len(classes))
    sums = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    n, diagonal = len(classes), np.eye(len(classes), dtype=bool)
    side = min(9.0, max(3.4, 1.8 + 0.42 * n))
    with _style(theme):
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        axes = figure.subplots()
        _frame(axes, theme, grid=False)
        scale = PowerNorm(0.4, vmin=0, vmax=1)
        for part, colour in ((diagonal, theme.first), (~diagonal, theme.wrong)):
            shades = LinearSegmentedColormap.from_list("share", [theme.paper, colour])
            axes.imshow(np.ma.masked_array(share, ~part), cmap=shades, norm=scale, interpolation="nearest")
        _class_axes(axes, classes)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_xticks(np.arange(-0.5, n), minor=True)
        axes.set_yticks(np.arange(-0.5, n), minor=True)
        if n <= MOST_NAMED:
            axes.grid(which="minor", color=theme.line, linewidth=0.6)
        axes.tick_params(which="minor", length=0)
        if n <= MOST_COUNTED:
            _numbers(axes, theme, counts, share)
    return figure


def _class_axes(axes: Axes, classes: Sequence[str]) -> None:
    """Name every class, or number some of them where there are too many to name."""
    n = len(classes)
    if n > MOST_NAMED:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(10, integer=True))
        return
    names, families = lettered(classes, 18, numbered=True)
    text: dict[str, Any] = {"fontfamily": families, "fontsize": 9 if n <= 24 else 7}
    axes.set_xticks(
        range(n), names, rotation=45 if n > 1 else 0, ha="right" if n > 1 else "center", rotation_mode="anchor", **text
    )
    axes.set_yticks(range(n), names, **text)


def _numbers(axes: Axes, theme: Theme, counts: np.ndarray, share: np.ndarray) -> None:
    for i, j in zip(*np.nonzero(counts), strict=True):
        strong = share[i, j] > 0.3
        colour = theme.paper if strong else theme.ink
        words = count(counts[i, j]) if counts[i, j] < 10_000 else amount(counts[i, j]).replace(" ", "")
        axes.text(j, i, words, ha="center", va="center", color=colour, fontsize=8)


def per_class_bars(metrics: Mapping[str, Any], *, dark: bool = False) -> Figure:
    """Return F1 as a bar for each class, the lowest first, with precision and recall as marks; at most 40 classes."""
    theme = DARK if dark else LIGHT
    classes = metrics["per_class"]
    names, families = lettered([c["label"] for c in classes], 28, numbered=True)
    ranked = sorted(range(len(classes)), key=lambda i: classes[i]["f1"])[:MOST_BARS]
    shown = [classes[i] for i in ranked]
    with _style(theme):
        figure = Figure(figsize=(7.4, 1.1 + 0.27 * len(shown)), layout="constrained")
        axes = figure.subplots()
        left_out = len(shown) < len(classes)
        _frame(axes, theme, title=f"F1: the lowest {len(shown)} of {len(classes)} classes" if left_out else "F1")
        places = np.arange(len(shown))
        axes.barh(places, [c["f1"] for c in shown], color=theme.first, alpha=0.55, height=0.62, label="F1")
        marks = (("precision", "D", theme.second), ("recall", "o", theme.ink))
        for name, marker, colour in marks:
            values = [c[name] for c in shown]
            axes.plot(values, places, marker, color=colour, markersize=4.5, label=name, clip_on=False, zorder=3)
        axes.set_yticks(places, [names[i] for i in ranked], fontfamily=families)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1)
        axes.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    return figure


def predicted_against_true(numbers: Numbers, *, dark: bool = False) -> Figure:
    """Return a point for each row, its true value across and the predicted one up, and the line where both agree."""
    theme = DARK if dark else LIGHT
    with _style(theme):
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        axes = figure.subplots()
        _frame(axes, theme, title="Predicted against true")
        many = len(numbers.true) > MOST_MARKS
        axes.scatter(
            numbers.true,
            numbers.predicted,
            s=9 if many else 18,
            color=theme.first,
            alpha=0.35 if many else 0.6,
            linewidths=0,
            rasterized=True,
        )
        both = np.concatenate([numbers.true, numbers.predicted])
        ends = [float(both.min()), float(both.max())] if len(both) else [0.0, 1.0]
        axes.plot(ends, ends, color=theme.soft, linewidth=1.2, linestyle=(0, (4, 2)), label="predicted = true")
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
        axes.legend(frameon=False, loc="upper left", labelcolor=theme.ink)
    return figure


def residuals(numbers: Numbers, *, dark: bool = False) -> Figure:
    """Return how often which error occurs: a histogram of predicted - true, with zero marked."""
    theme = DARK if dark else LIGHT
    error = numbers.predicted - numbers.true
    with _style(theme):
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        axes = figure.subplots()
        _frame(axes, theme, title="Errors")
        if len(error):
            # Freedman and Diaconis' width of a bar, which one far value does not stretch.
            bars = len(np.histogram_bin_edges(error, "fd")) - 1
            axes.hist(error, bins=min(max(bars, 5), MOST_BARS), color=theme.first, alpha=0.75)
        axes.axvline(0, color=theme.ink, linewidth=1.1, linestyle=(0, (4, 2)))
        axes.set_xlabel("predicted - true")
        axes.set_ylabel("rows")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def prediction_grid(examples: Sequence[Example], *, columns: int = 6, dark: bool = False) -> Figure:
    """Return the pictures in a grid, each with its predicted class and score.

    A mistake has a cross in place of the tick, a thick dashed frame, and the true class below.
    """
    theme = DARK if dark else LIGHT
    columns = max(1, min(columns, len(examples)))
    rows = max(1, math.ceil(len(examples) / columns))
    with _style(theme):
        figure = Figure(figsize=(1.55 * columns, 2.05 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid[len(examples) :]:
            axes.set_axis_off()
        for axes, example in zip(grid, examples, strict=False):
            _picture(axes, theme, example)
    return figure


def _picture(axes: Axes, theme: Theme, example: Example) -> None:
    image = example.image
    grey = image.ndim == 2 or image.shape[2] == 1
    axes.imshow(image.reshape(image.shape[:2]) if grey else image, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    (guess, truth), families = lettered([example.predicted, example.label], 16)
    mark = "✓" if example.right else "✗"
    colour = theme.ink if example.right else theme.wrong
    text: dict[str, Any] = {"fontfamily": families, "fontsize": 8.5}
    axes.set_title(f"{mark} {guess}\n{percent(example.score, 0)}", color=colour, pad=4, **text)
    axes.set_xlabel("" if example.right else f"is {truth}", color=colour, labelpad=4, **text)
    for edge in axes.spines.values():
        edge.set_visible(True)
        edge.set(color=theme.line if example.right else theme.wrong, linewidth=0.8 if example.right else 2.2)
        edge.set_linestyle("-" if example.right else (0, (3, 1.5)))


def _frame(axes: Axes, theme: Theme, *, title: str = "", grid: bool = True) -> None:
    axes.set_facecolor("none")
    axes.tick_params(colors=theme.soft, labelcolor=theme.ink, length=3)
    for side, edge in axes.spines.items():
        edge.set_color(theme.line)
        edge.set_visible(side in ("left", "bottom"))
    if title:
        axes.set_title(title, loc="left", fontweight="bold", fontsize=11, pad=8)
    if grid:
        axes.grid(visible=True, color=theme.line, linewidth=0.7)
        axes.set_axisbelow(True)


def _style(theme: Theme = LIGHT, more: Mapping[str, str] | None = None) -> Any:
    """Return the context in which a figure is drawn: the user's own matplotlib settings do not reach it."""
    settings: dict[Any, Any] = {
        "font.family": [BASE],
        "font.size": 10,
        "text.usetex": False,
        "text.parse_math": False,
        "text.color": theme.ink,
        "axes.labelcolor": theme.soft,
        "axes.titlecolor": theme.ink,
        "axes.unicode_minus": True,
        "axes.grid": False,
        "figure.facecolor": theme.paper,
        "lines.dash_capstyle": "butt",
        "path.sketch": None,
        "path.effects": [],
        **(more or {}),
    }
    return matplotlib.rc_context(settings)


def figure_png(figure: Figure, *, dpi: int = 144, transparent: bool = False) -> bytes:
    """Return the figure as PNG bytes."""
    out = BytesIO()
    with _style():  # ticks are made while the figure is drawn
        figure.savefig(out, format="png", dpi=dpi, transparent=transparent, metadata={"Software": None})
    return out.getvalue()


def figure_svg(figure: Figure, *, transparent: bool = False) -> str:
    """Return the figure as SVG text; letters are drawn as paths, so that it looks the same everywhere."""
    out = BytesIO()
    nothing: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # A fixed salt names the parts of the drawing alike in every run: the same figure is the same text.
    with _style(more={"svg.fonttype": "path", "svg.hashsalt": "sparknn"}):
        figure.savefig(out, format="svg", transparent=transparent, metadata=nothing)
    return out.getvalue().decode("utf-8")
