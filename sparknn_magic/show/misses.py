"""Which predicted box finds which true one, from which score on boxes are worth drawing, and where a model is worst.

Plain boxes in, positions out: no picture is needed, and no Spark.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IOU = 0.5  # from which on a predicted box has found a true one of its class
NO_OVERLAP = 0.1  # below which a box does not overlap a true one, of whatever class


@dataclass(frozen=True, slots=True)
class Box:
    """A box in pixels of its picture; `score` 0..1 where it is predicted."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    score: float | None = None


Row = tuple[Sequence[Box], Sequence[Box]]  # true and predicted boxes


@dataclass(frozen=True)
class Picked:
    """Positions of rows that are worth a look, and the score from which on their boxes are drawn."""

    examples: list[int]  # of any kind, spread over the classes
    misses: list[int]  # the worst first
    score: float


def overlaps(a: Sequence[Box], b: Sequence[Box]) -> np.ndarray:
    """Return the intersection over union of each pair, float64[len(a), len(b)]; 0 where a box is empty."""
    one, other = (np.array([[x.x1, x.y1, x.x2, x.y2] for x in boxes], float).reshape(-1, 4) for boxes in (a, b))
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    areas = [np.clip(x[:, 2:] - x[:, :2], 0, None).prod(1) for x in (one, other)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def matched(true: Sequence[Box], predicted: Sequence[Box]) -> list[int | None]:
    """Return for each predicted box the position of the true one that it finds, or None.

    As COCO does at IoU 0.5: the surest first, each takes the true box of its class that it overlaps most, and no true
    box is taken twice. Source: Lin et al. 2014, Microsoft COCO, arXiv:1405.0312, and its evaluation's code.
    """
    found: list[int | None] = [None] * len(predicted)
    if not true or not predicted:
        return found
    iou = overlaps(predicted, true)
    labels = np.array([box.label for box in true], object)
    for n in sorted(range(len(predicted)), key=lambda n: -(predicted[n].score or 0.0)):
        own = np.where(labels == predicted[n].label, iou[n], 0.0)
        best = int(own.argmax())
        if own[best] >= IOU:
            found[n] = best
            iou[:, best] = 0.0
    return found


def best_score(rows: Sequence[Row]) -> float:
    """Return the score from which on the predicted boxes of these rows have the highest F1 at IoU 0.5.

    0.5 where no box finds anything.
    """
    scores, right, true = [], [], 0
    for truth, predicted in rows:
        true += len(truth)
        scores += [box.score or 0.0 for box in predicted]
        right += [n is not None for n in matched(truth, predicted)]
    if not any(right):
        return 0.5
    order = np.argsort(-np.array(scores), kind="stable")
    ranked, hits = np.array(scores)[order], np.array(right)[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + true)
    last = np.append(ranked[1:] != ranked[:-1], True)  # of boxes with the same score all are drawn, or none
    return float(ranked[np.where(last, f1, -1.0).argmax()])


def picked(rows: Sequence[Row], *, examples: int = 9, misses: int = 8) -> Picked:
    """Return which rows to look at: `examples` of any kind, and up to `misses` where the model is worst.

    Worst are missed true boxes that no predicted box overlaps, and the most confident false boxes, by turns.
    """
    score = best_score(rows)
    chosen = _spread(rows, examples)
    blind, false = [], []
    for n, (truth, predicted) in enumerate(rows):
        shown = [box for box in predicted if (box.score or 0.0) >= score]
        if unseen := missed(truth, shown):
            area = max((box.x2 - box.x1) * (box.y2 - box.y1) for box in unseen)
            blind.append((-len(unseen), -area, n))
        wrong = [box.score or 0.0 for box, at in zip(shown, matched(truth, shown), strict=True) if at is None]
        if wrong:
            false.append((-max(wrong), n))
    turns = [
        order for pair in _by_turns([b[-1] for b in sorted(blind)], [f[-1] for f in sorted(false)]) for order in pair
    ]
    return Picked(chosen, list(dict.fromkeys(turns))[:misses], score)


def missed(true: Sequence[Box], shown: Sequence[Box]) -> list[Box]:
    """Return the true boxes that none of these boxes overlaps, whatever it is called."""
    if not shown:
        return list(true)
    best = overlaps(true, shown).max(1) if true else []
    return [box for box, iou in zip(true, best, strict=True) if iou < NO_OVERLAP]


def _by_turns(first: list[int], second: list[int]) -> list[list[int]]:
    longest = max(len(first), len(second))
    return [[*first[n : n + 1], *second[n : n + 1]] for n in range(longest)]


def _spread(rows: Sequence[Row], count: int) -> list[int]:
    """Return rows so that every class has its turn before any has a second; one without boxes, where there is any."""
    seen: dict[str, int] = {}
    turns = []
    for n, (truth, _) in enumerate(rows):
        labels = {box.label for box in truth} or {""}
        turns.append((min(seen.get(label, 0) for label in labels), n))
        for label in labels:
            seen[label] = seen.get(label, 0) + 1
    return sorted(n for _, n in sorted(turns)[:count])
