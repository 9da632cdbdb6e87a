"""Small drawings of loss and accuracy (or MAE) by epoch, as SVG that follows the notebook's light or dark theme."""

import math
from collections.abc import Sequence
from typing import Any

from sparknn_magic.show.markup import Markup, el, join
from sparknn_magic.show.words import measure_name, measure_text

WIDTH, HEIGHT = 310, 128  # of one drawing, in pixels
LEFT, RIGHT, TOP, BOTTOM = 46, 70, 24, 20  # margins: figures on the left, the lines' names on the right
MOST_POINTS = 200  # of a line; more cannot be told apart
LINE = 13  # pixels between two names
SERIES = ("train", "validation")

# Okabe & Ito 2008, told apart by the colour-blind; the lighter blue and orange of a dark page.
CURVES = """
.sparknn .curves { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 2px 0 6px; }
.sparknn .curves text { font-size: 11.5px; fill: currentColor; font-family: inherit; }
.sparknn .curves .axis { stroke: rgba(128, 128, 128, 0.45); stroke-width: 1; }
.sparknn .curves polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
.sparknn .curves .train { stroke: #0072b2; } .sparknn .curves .validation { stroke: #d55e00; }
.sparknn .curves text.train { stroke: none; fill: #0072b2; }
.sparknn .curves text.validation { stroke: none; fill: #c04f00; }
@media (prefers-color-scheme: dark) {
  body:not([data-jp-theme-light]) .sparknn .curves .train { stroke: #56b4e9; }
  body:not([data-jp-theme-light]) .sparknn .curves .validation { stroke: #e69f00; }
  body:not([data-jp-theme-light]) .sparknn .curves text.train { stroke: none; fill: #56b4e9; }
  body:not([data-jp-theme-light]) .sparknn .curves text.validation { stroke: none; fill: #e69f00; }
}
body[data-jp-theme-light="false"] .sparknn .curves .train { stroke: #56b4e9; }
body[data-jp-theme-light="false"] .sparknn .curves .validation { stroke: #e69f00; }
body[data-jp-theme-light="false"] .sparknn .curves text.train { stroke: none; fill: #56b4e9; }
body[data-jp-theme-light="false"] .sparknn .curves text.validation { stroke: none; fill: #e69f00; }
"""


def curves(epochs: Sequence[dict[str, Any]], figure: str = "accuracy") -> Markup | None:
    """Return drawings of the loss and of the figure over the epochs; None for fewer than two epochs.

    Hidden but for their style: a frontend that takes styles and drawings away would leave the words in them.
    """
    if len(epochs) < 2:
        return None
    return el("div", _drawing(epochs, "loss"), _drawing(epochs, figure), cls="curves", hidden="hidden")


def _drawing(epochs: Sequence[dict[str, Any]], key: str) -> Markup | None:
    lines = {series: _points(epochs, f"{series}_{key}") for series in SERIES}
    name = measure_name(key) if key != "loss" else key
    values = [value for points in lines.values() for _, value in points]
    if not values:
        return None
    low, high = min(values), max(values)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    first, last = epochs[0]["epoch"], epochs[-1]["epoch"]

    def x(epoch: int) -> float:
        return LEFT + (right - LEFT) * (epoch - first) / (last - first)

    def y(value: float) -> float:
        return TOP + (bottom - TOP) * ((high - value) / (high - low) if high > low else 0.5)

    drawn = [
        el("text", name, x=LEFT, y=12, style="font-weight: 600"),
        el("line", x1=LEFT, y1=bottom + 3, x2=right, y2=bottom + 3, cls="axis"),
        el("text", _label(key, high), x=LEFT - 6, y=TOP + 4, text_anchor="end"),
        el("text", _label(key, low), x=LEFT - 6, y=bottom + 1, text_anchor="end"),
        el("text", f"epoch {first}", x=LEFT, y=HEIGHT - 3),
        el("text", last, x=right, y=HEIGHT - 3, text_anchor="end"),
    ]
    for series, points in lines.items():
        if points:
            dashes = "6 3" if series == "validation" else None
            place = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in points)
            drawn.append(el("polyline", points=place, cls=series, stroke_dasharray=dashes))
    ends = {series: y(points[-1][1]) for series, points in lines.items() if points}
    drawn += [el("text", s, x=right + 6, y=f"{at + 4:.1f}", cls=s) for s, at in _apart(ends).items()]
    ends_at = (f"{s} {_label(key, p[-1][1])} at the end" for s, p in lines.items() if p)
    label = f"{name} by epoch: " + ", ".join(ends_at)
    return el("svg", join(drawn), width=WIDTH, height=HEIGHT, role="img", aria_label=label)


def _label(key: str, value: float) -> str:
    return f"{value:.3g}" if key == "loss" else measure_text(key, value)


def _points(epochs: Sequence[dict[str, Any]], key: str) -> list[tuple[int, float]]:
    """Return (epoch, value) where the value is finite; of very many epochs every second, third, ... one."""
    found = [(e["epoch"], e[key]) for e in epochs if e[key] is not None and math.isfinite(e[key])]
    step = math.ceil(len(found) / MOST_POINTS)
    return found if step <= 1 else [*found[:-1:step], found[-1]]


def _apart(ends: dict[str, float]) -> dict[str, float]:
    """Move the lines' names apart where the lines end close to each other."""
    if len(ends) < 2:
        return ends
    (upper, top), (lower, low) = sorted(ends.items(), key=lambda item: item[1])
    push = max(0.0, LINE - (low - top)) / 2
    return {upper: top - push, lower: low + push}
