"""Boxes as numbers: read from their formats, checked, and moved as the preprocessing steps move pixels. Numpy only.

Boxes are float64[n, 4] x1, y1, x2, y2 in pixels, x to the right and y down from the picture's upper left corner; pixel
i covers i to i + 1, so that a box around a whole picture is 0, 0, width, height.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparknn_magic.data.boxes.job import (
    BEYOND,
    EMPTY,
    INVERTED,
    LEAST_SHARE,
    NOT_FINITE,
    OUTSIDE,
    ROUNDING,
    BoxRules,
)

KEPT = -1  # in place of a reason


def placed(steps: Sequence[Any], width: int, height: int) -> tuple[float, float, float, float]:
    """Return (scale_x, scale_y, dx, dy): pixel x of a width x height picture goes to x * scale_x + dx in the result.

    `steps` are built preprocessors. One that moves pixels has `place(width, height)`, the same four numbers of its own,
    and `size(width, height)`, the (width, height) of its result.
    """
    return placement(steps, width, height)[0]


def placement(
    steps: Sequence[Any], width: int, height: int
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Return what `placed` does, and the (width, height) of the result."""
    scale_x = scale_y = 1.0
    dx = dy = 0.0
    for step in steps:
        if hasattr(step, "place"):
            sx, sy, x, y = step.place(width, height)
            scale_x, scale_y, dx, dy = scale_x * sx, scale_y * sy, dx * sx + x, dy * sy + y
            width, height = step.size(width, height)
    return (scale_x, scale_y, dx, dy), (width, height)


def moved(boxes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return boxes float64[n, 4] after places float64[n, 4] or [4]: scale_x, scale_y, dx, dy."""
    scale, shift = places[..., :2], places[..., 2:]
    return boxes * np.concatenate([scale, scale], axis=-1) + np.concatenate([shift, shift], axis=-1)


def cut(boxes: np.ndarray, widths: Any, heights: Any) -> np.ndarray:
    """Return boxes cut at the edges of pictures: widths and heights are numbers, or float64[n]."""
    x = np.clip(boxes[:, 0::2], 0, np.reshape(widths, (-1, 1)))
    y = np.clip(boxes[:, 1::2], 0, np.reshape(heights, (-1, 1)))
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Return float64[n] square pixels."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def corners(boxes: np.ndarray, widths: Any, heights: Any, rules: BoxRules) -> np.ndarray:
    """Return x1, y1, x2, y2 in pixels of boxes float64[n, 4] as `rules` say they are written.

    widths, heights: of each box's picture in pixels, or of all.
    """
    first, second = boxes[:, :2], boxes[:, 2:]
    if rules.format == "xywh":
        second = first + second
    elif rules.format == "cxcywh":
        first, second = first - second / 2, first + second / 2
    found = np.concatenate([first, second], axis=1)
    if rules.units == "fractions":
        sides = np.stack(np.broadcast_arrays(widths, heights), axis=-1).reshape(-1, 2)
        found = found * np.concatenate([sides, sides], axis=1)
    return found


def judged(boxes: np.ndarray, widths: Any, heights: Any, rules: BoxRules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes in pixels cut at their pictures' edges, why each is left out, and which ones lost a part.

    boxes float64[n, 4] as `rules` say they are written -> float64[n, 4], int64[n] (`KEPT`, or a number of
    `job.REASONS`), bool[n].
    """
    with np.errstate(over="ignore", invalid="ignore"):
        found = corners(boxes, widths, heights, rules)
    reasons = np.full(len(found), KEPT)

    def add(mask: Any, reason: int) -> None:
        reasons[mask & (reasons == KEPT)] = reason

    add(~np.isfinite(found).all(axis=1), NOT_FINITE)
    found = np.where((reasons == KEPT)[:, None], found, 0.0)
    sides = found[:, 2:] - found[:, :2]
    add((sides < 0).any(axis=1), INVERTED)
    add((sides == 0).any(axis=1), EMPTY)
    inside = cut(found, widths, heights)
    add((inside[:, 2:] <= inside[:, :2]).any(axis=1), OUTSIDE)
    beyond = (np.abs(inside - found) > ROUNDING).any(axis=1) & (reasons == KEPT)
    if rules.bad == "drop":
        add(beyond, BEYOND)
    return inside, reasons, beyond & (reasons == KEPT)


def after_steps(boxes: np.ndarray, places: np.ndarray, widths: Any, heights: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes in pixels of the prepared pictures, cut at their edges, and which of them are still there.

    places: float64[n, 4], scale_x, scale_y, dx, dy of each box's picture; widths, heights: of the prepared pictures.
    A box of which a step has cut away more than three quarters is gone.
    """
    whole = moved(boxes, places)
    inside = cut(whole, widths, heights)
    return inside, areas(inside) >= LEAST_SHARE * areas(whole)
