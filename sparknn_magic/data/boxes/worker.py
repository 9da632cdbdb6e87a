"""Columns of boxes and labels -> numbers, on executors: the one reader of true boxes, for training and evaluation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.boxes.geometry import KEPT, judged
from sparknn_magic.data.boxes.job import NOT_FINITE, NOT_FOUR, REASONS, UNLABELLED, BoxRules

DIFFERENT = "as many labels as boxes are needed, and a row has other numbers of them"


@dataclass(frozen=True, slots=True)
class TrueBoxes:
    """What `read_boxes` makes of n rows: their m good boxes, and what was wrong with others."""

    boxes: np.ndarray  # float64[m, 4] x1, y1, x2, y2 in pixels of the picture, row by row
    labels: pa.Array  # string[m]
    offsets: np.ndarray  # int64[n + 1]: row i has boxes[offsets[i]:offsets[i + 1]]
    errors: list[str | None]  # why a row cannot be used; None where it can
    clipped: np.ndarray  # int64[n] good boxes that were cut at the picture's edges
    left: np.ndarray  # int64[n, len(REASONS)] boxes that were left out, by reason
    example_clipped: list[str | None]  # of each row the first clipped box, in words
    example_left: list[str | None]  # of each row the first box that was left out, and why

    @property
    def rows(self) -> np.ndarray:
        """int64[m]: each box's row."""
        return np.repeat(np.arange(len(self.errors)), np.diff(self.offsets))


def read_boxes(boxes: pa.Array, labels: pa.Array, sizes: np.ndarray, rules: BoxRules) -> TrueBoxes:
    """Read the true boxes of n rows.

    boxes: list<list<double>>[n], four numbers a box as `rules` say they are written; labels: list<string>[n]; null is a
    row without boxes, and so is an empty list. sizes: float64[n, 2], width and height of the upright picture; a row
    whose size is NaN has no picture: its boxes are neither returned nor judged.
    """
    counts, labelled = (np.asarray(pc.fill_null(pc.list_value_length(each), 0), np.int64) for each in (boxes, labels))
    different = counts != labelled
    read = ~different & np.isfinite(sizes).all(axis=1)
    mask = pa.array(read)
    row = np.repeat(np.flatnonzero(read), counts[read])
    names = labels.filter(mask).flatten().cast(pa.string())
    given, fours = _numbers(boxes.filter(mask).flatten())
    found, reasons, clipped = judged(given, sizes[row, 0], sizes[row, 1], rules)
    reasons[(reasons == NOT_FINITE) & ~fours] = NOT_FOUR
    unlabelled = np.asarray(names.is_null()) & (reasons == KEPT)
    reasons[unlabelled] = UNLABELLED
    kept = reasons == KEPT
    clipped &= kept
    left = np.zeros((len(counts), len(REASONS)), np.int64)
    np.add.at(left, (row[~kept], reasons[~kept]), 1)

    def words(i: int) -> str:
        width, height = sizes[row[i]].astype(int).tolist()
        numbers = f"[{', '.join(f'{number:.6g}' for number in given[i])}]" if fours[i] else "one"
        return f"{numbers} in a picture of {width} x {height}"

    return TrueBoxes(
        boxes=found[kept],
        labels=names.filter(pa.array(kept)),
        offsets=starts(row[kept], len(counts)),
        errors=[DIFFERENT if wrong else None for wrong in different.tolist()],
        clipped=np.bincount(row[clipped], minlength=len(counts)),
        left=left,
        example_clipped=_first(clipped, row, len(counts), words),
        example_left=_first(~kept, row, len(counts), lambda i: f"{words(i)}: {REASONS[reasons[i]]}"),
    )


def starts(row: np.ndarray, rows: int) -> np.ndarray:
    """Return int64[rows + 1], where each row's values begin, of the row of each value, int64[m], ascending."""
    return np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])


def _numbers(boxes: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return list<double>[m] as float64[m, 4], NaN where a number is missing, and which boxes are of four numbers."""
    fours = np.asarray(pc.fill_null(pc.list_value_length(boxes), 0)) == 4
    numbers = np.full((len(boxes), 4), np.nan)
    flat = boxes.filter(pa.array(fours)).flatten().cast(pa.float64())
    numbers[fours] = flat.to_numpy(zero_copy_only=False).reshape(-1, 4)
    return numbers, fours


def _first(mask: np.ndarray, row: np.ndarray, rows: int, words: Callable[[int], str]) -> list[str | None]:
    """Return for each row the words for its first box where `mask` holds; None where there is none."""
    found: list[str | None] = [None] * rows
    chosen = np.flatnonzero(mask)
    for i, first in zip(*np.unique(row[chosen], return_index=True), strict=True):
        found[int(i)] = words(int(chosen[first]))
    return found
