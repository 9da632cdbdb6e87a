"""Both engines' detections of real pictures, matched by where they lie. Needs torch and onnxruntime; no Spark.

N pictures, M objects that the file gives at most for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from sparknn_magic.data.boxes.average_precision import BoxTable, coco_figures
from sparknn_magic.errors import ExportError
from sparknn_magic.export.detections import DETECTION, Detector, Rules, choose
from sparknn_magic.export.graph import IMAGE
from sparknn_magic.training.picture_ap import overlap

TOLERANCE = 1e-3  # of a score, and of an IoU at the border of the NMS; in float32
BOX_TOLERANCE = 0.5  # pixels of the input
BATCH = 7
SAME = 0.5  # IoU from which on two boxes may be one object's
# Of the detections: so many may differ, because a tie (two neighbouring peaks of one height, say) fell otherwise. The
# same share holds among those that are no mere guesses: many of these are no leave for others.
TIES, MANY = 0.005, 50
GUESS = 0.05  # a score below

Detections = Mapping[str, np.ndarray]  # what the file gives of N pictures, by its outputs' names


def run_both(model: Detector, path: Path, images: np.ndarray, rules: Rules) -> tuple[Detections, Detections]:
    """Return the detections of PyTorch, chosen by numpy, and of the file in ONNX Runtime, of uint8[N, H, W, C].

    The first picture goes alone: a batch axis that was fixed by mistake shows.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    here: list[Detections] = []
    there: list[Detections] = []
    for begin, end in pairwise([0, *range(1, len(images), BATCH), len(images)]):
        batch = images[begin:end]
        with torch.inference_mode():
            boxes, scores = model(torch.from_numpy(batch.copy()))
        here.append(choose(boxes.numpy(), scores.numpy(), rules))
        there.append(dict(zip(DETECTION, session.run(DETECTION, {IMAGE: batch}), strict=True)))
    return _joined(here), _joined(there)


def _joined(parts: Sequence[Detections]) -> Detections:
    return {name: np.concatenate([part[name] for part in parts]) for name in DETECTION}


@dataclass(frozen=True, slots=True)
class Objects:
    """The detections of one picture."""

    boxes: np.ndarray  # float32[n, 4]
    scores: np.ndarray  # float32[n]
    labels: np.ndarray  # int64[n]


def compare_detections(
    here: Detections, there: Detections, truth: Sequence[np.ndarray], classes: Sequence[str], rules: Rules
) -> dict[str, Any]:
    """Compare the detections of PyTorch (`here`) and of ONNX Runtime; `truth` is float32[n, 5] of each picture.

    An object of the one side is that of the other of its class that lies where it does, with the nearest score. One
    that has none there is a changed decision, unless float32 alone can have decided it: its score is at the threshold
    or at the last place, its IoU with another at the border of the NMS, or another of its score lies where it does.

    Returns rows, detections (of PyTorch), changed_decisions, at_the_border, the largest differences of a score and of
    a box's side in pixels, and the mAP at IoU 0.5 of both.
    Raises: ExportError where a score differs by more than `TOLERANCE` or is no number, or where, but for ties, a
    decision has changed or a side differs by more than `BOX_TOLERANCE`: of all detections, or of those above guesses.
    """
    for name, side in (("PyTorch", here), ("ONNX Runtime", there)):
        if not (np.isfinite(side["scores"]).all() and np.isfinite(side["boxes"]).all()):
            raise ExportError(
                f"the network's detections are no numbers on {name}.",
                hint="Nothing was published. The training has diverged: a lower learning rate may help.",
            )
    seen = _differences(here, there, rules)
    found: dict[str, Any] = {
        "rows": len(here["count"]),
        "detections": int(here["count"].sum()),
        "changed_decisions": len(seen.changed),
        "at_the_border": seen.border,
        "max_difference": seen.score,
        "tolerance": TOLERANCE,
        "max_box_difference": seen.side,
        "box_tolerance": BOX_TOLERANCE,
        "onnxruntime": onnxruntime.__version__,
        "map50_torch": _map50(here, truth, classes),
        "map50_onnx": _map50(there, truth, classes),
    }
    scores = here["scores"][np.arange(here["scores"].shape[1]) < here["count"][:, None]]
    for least in (0.0, GUESS):
        _require(seen, scores, least)
    return found


@dataclass(slots=True)
class Differences:
    """How the detections of two engines differ."""

    score: float = 0.0  # the largest, of a score
    side: float = 0.0  # the largest, of a box's side, in pixels
    border: int = 0  # detections of one alone that float32's last digits decide
    changed: list[float] = field(default_factory=list)  # scores of the others of one alone
    moved: list[tuple[float, float]] = field(default_factory=list)  # score and pixels of boxes that differ too much


def _differences(here: Detections, there: Detections, rules: Rules) -> Differences:
    seen = Differences()
    for n in range(len(here["count"])):
        a, b = _objects(here, n), _objects(there, n)
        pairs = _matched(a, b)
        if len(pairs):
            i, j = pairs.T
            seen.score = max(seen.score, float(np.abs(a.scores[i] - b.scores[j]).max()))
            sides = np.abs(a.boxes[i] - b.boxes[j]).max(1)
            seen.side = max(seen.side, float(sides.max()))
            seen.moved += [(float(a.scores[i[n]]), float(sides[n])) for n in np.flatnonzero(sides > BOX_TOLERANCE)]
        for one, other, column in ((a, b, 0), (b, a, 1)):
            for place in np.setdiff1d(np.arange(len(one.scores)), pairs[:, column]).tolist():
                if _at_border(one, other, place, rules):
                    seen.border += 1
                else:
                    seen.changed.append(float(one.scores[place]))
    return seen


def _objects(found: Detections, n: int) -> Objects:
    count = int(found["count"][n])
    return Objects(found["boxes"][n, :count], found["scores"][n, :count], found["labels"][n, :count])


def _matched(a: Objects, b: Objects) -> np.ndarray:
    """Return pairs of positions, int64[pairs, 2], each in at most one of them; the closest first."""
    common = overlap(a.boxes, b.boxes)
    near = common - np.abs(a.scores[:, None] - b.scores[None])
    near = np.where((common > SAME) & (a.labels[:, None] == b.labels[None]), near, -np.inf)
    pairs = []
    for place in np.argsort(-near, axis=None, kind="stable")[: int(np.isfinite(near).sum())]:
        i, j = divmod(int(place), len(b.scores))
        if np.isfinite(near[i, j]):
            pairs.append((i, j))
            near[i], near[:, j] = -np.inf, -np.inf
    return np.array(pairs, np.int64).reshape(-1, 2)


def _at_border(one: Objects, other: Objects, place: int, rules: Rules) -> bool:
    """Return whether float32's last digits may have left out in `other` what `one` has at `place`."""
    score = one.scores[place]
    if score <= rules.score + TOLERANCE:
        return True
    if len(other.scores) == rules.most and score <= other.scores[-1] + TOLERANCE:
        return True
    better = (other.labels == one.labels[place]) & (other.scores >= score - TOLERANCE)
    common = overlap(one.boxes[place : place + 1], other.boxes[better])[0]
    if ((common > SAME) & (other.scores[better] <= score + TOLERANCE)).any():
        return True
    return rules.nms is not None and bool((np.abs(common - rules.nms) <= TOLERANCE).any())


def _map50(found: Detections, truth: Sequence[np.ndarray], classes: Sequence[str]) -> float | None:
    true = np.concatenate([np.empty((0, 5), np.float32), *truth]).astype(np.float64)
    rows = np.repeat(np.arange(len(truth)), [len(boxes) for boxes in truth])
    there = np.arange(found["scores"].shape[1]) < found["count"][:, None]
    picture, place = np.nonzero(there)
    detections = BoxTable(
        picture,
        found["labels"][picture, place],
        found["boxes"][picture, place].astype(np.float64),
        found["scores"][picture, place].astype(np.float64),
    )
    return coco_figures(len(truth), BoxTable(rows, true[:, 0].astype(np.int64), true[:, 1:]), detections, classes)[
        "map50"
    ]


def _require(seen: Differences, scores: np.ndarray, least: float) -> None:
    """Raise ExportError where of the detections with a score of `least` or more too many differ."""
    count, changed = (int((np.array(each) >= least).sum()) for each in (scores, seen.changed))
    moved = [side for score, side in seen.moved if score >= least]
    ties = max(int(TIES * count), int(count >= MANY))
    wrong = None
    if changed > ties:
        wrong = f"in {changed} of {count} detections" + (f" with a score of {least:g} or more" if least else "")
    elif not seen.score <= TOLERANCE:
        wrong = f"by {seen.score:.2g} in a score; at most {TOLERANCE:g} is allowed"
    elif len(moved) > ties:
        wrong = f"by {max(moved):.2g} pixels in a box; at most {BOX_TOLERANCE:g} is allowed"
    if wrong:
        raise ExportError(
            f"ONNX Runtime and PyTorch differ {wrong}.",
            hint="Nothing was published. An operator of this architecture is exported wrongly.",
        )
