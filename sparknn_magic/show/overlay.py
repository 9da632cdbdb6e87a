"""The learning curves of several models in one drawing, as SVG that follows the notebook's light or dark theme."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparknn_magic.show.markup import Markup, el, join
from sparknn_magic.show.words import measure_name, measure_text, plain, shorten

WIDTH, HEIGHT = 400, 190  # of one drawing, in pixels
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 26, 22
MOST_POINTS = 200  # of a line; more cannot be told apart
# Okabe and Ito 2008, told apart by the colour-blind, for a light and a dark page; a dash pattern says the same.
LIGHT = ("#0072b2", "#c04f00", "#007a5a", "#a3558a", "#8a6d00", "#1f2328", "#2f7ea8", "#7a4a00")
DARK = ("#56b4e9", "#e69f00", "#2fc39a", "#dd9dc2", "#f0e442", "#e6edf3", "#9fd3f2", "#f2c879")
DASHES = (None, "7 3", "2 3", "9 3 2 3", "4 2", "12 4", "1 4", "6 2 1 2 1 2")


def _style() -> str:
    lines = [
        ".sparknn .overlay { display: flex; flex-wrap: wrap; gap: 4px 24px; margin: 4px 0; }",
        ".sparknn .overlay text { font-size: 11.5px; fill: currentColor; font-family: inherit; }",
        ".sparknn .overlay .axis { stroke: rgba(128, 128, 128, 0.45); stroke-width: 1; }",
        ".sparknn .overlay .line, .sparknn .key .line { fill: none; stroke-width: 2; stroke-linejoin: round; }",
        ".sparknn .key { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 0 0 8px; font-size: 12.5px; }",
        ".sparknn .key svg { vertical-align: middle; margin-right: 6px; }",
    ]
    lines += [f".sparknn .line.l{n} {{ stroke: {colour}; }}" for n, colour in enumerate(LIGHT)]
    dark = [f".sparknn .line.l{n} {{ stroke: {colour}; }}" for n, colour in enumerate(DARK)]
    lines.append("@media (prefers-color-scheme: dark) {")
    lines += [f"  body:not([data-jp-theme-light]) {line}" for line in dark]
    lines.append("}")
    lines += [f'body[data-jp-theme-light="false"] {line}' for line in dark]
    return "\n".join(lines)


OVERLAY = _style()


def overlaid(names: Sequence[str], histories: Sequence[Sequence[Mapping[str, Any]]], figure: str) -> Markup | None:
    """Return drawings of the loss and the figure by epoch, a line for each model; None where nothing was trained.

    Of each model the validation rows' values; where it had no validation rows, the training rows'.
    """
    drawn = [_drawing(names, histories, key) for key in ("loss", figure)]
    if not any(drawn):
        return None
    return join([el("div", *drawn, cls="overlay", hidden="hidden"), _key(names)])


def _drawing(names: Sequence[str], histories: Sequence[Sequence[Mapping[str, Any]]], key: str) -> Markup | None:
    lines = [_points(history, key) for history in histories]
    points = [point for line in lines for point in line]
    if not points:
        return None
    low, high = min(value for _, value in points), max(value for _, value in points)
    first, last = min(epoch for epoch, _ in points), max(epoch for epoch, _ in points)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(epoch: int, value: float) -> str:
        x = LEFT + (right - LEFT) * ((epoch - first) / (last - first) if last > first else 0.5)
        y = TOP + (bottom - TOP) * ((high - value) / (high - low) if high > low else 0.5)
        return f"{x:.1f},{y:.1f}"

    title = "validation loss" if key == "loss" else f"validation {measure_name(key)}"
    drawn = [
        el("text", title, x=LEFT, y=13, style="font-weight: 600"),
        el("line", x1=LEFT, y1=bottom + 3, x2=right, y2=bottom + 3, cls="axis"),
        el("text", _label(key, high), x=LEFT - 6, y=TOP + 4, text_anchor="end"),
        el("text", _label(key, low), x=LEFT - 6, y=bottom + 1, text_anchor="end"),
        el("text", f"epoch {first}", x=LEFT, y=HEIGHT - 4),
        el("text", last, x=right, y=HEIGHT - 4, text_anchor="end") if last > first else None,
    ]
    for n, line in enumerate(lines):
        if len(line) == 1:  # a line of one point is not seen
            x, y = place(*line[0]).split(",")
            drawn.append(el("circle", cx=x, cy=y, r=3, cls=f"line l{n}"))
        elif line:
            at = " ".join(place(*point) for point in line)
            drawn.append(el("polyline", points=at, cls=f"line l{n}", stroke_dasharray=DASHES[n]))
    ends = (f"{plain(name)} {_label(key, line[-1][1])}" for name, line in zip(names, lines, strict=True) if line)
    label = f"{title} by epoch, at the end: {', '.join(ends)}"
    return el("svg", join(drawn), width=WIDTH, height=HEIGHT, role="img", aria_label=label)


def _key(names: Sequence[str]) -> Markup:
    marks = []
    for n, name in enumerate(names):
        line = el("line", x1=0, y1=5, x2=34, y2=5, cls=f"line l{n}", stroke_dasharray=DASHES[n])
        marks.append(el("span", el("svg", line, width=34, height=10), shorten(name, 40)))
    return el("div", *marks, cls="key")


def _label(key: str, value: float) -> str:
    return f"{value:.3g}" if key == "loss" else measure_text(key, value)


def _points(history: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    for rows in ("validation", "train"):
        values = ((e["epoch"], e.get(f"{rows}_{key}")) for e in history)
        found = [(epoch, value) for epoch, value in values if value is not None and math.isfinite(value)]
        if found:
            step = math.ceil(len(found) / MOST_POINTS)
            return found if step <= 1 else [*found[:-1:step], found[-1]]
    return []
