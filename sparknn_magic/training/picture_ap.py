"""What is reported of a detector's epochs: each validation picture's own average precision. Runs on executors.

The figure is quick to take and tells epochs apart; the model's mAP over all pictures is the evaluation's.

B pictures, Q candidates, K classes, M true boxes, D detections.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparknn_magic.plugin import Target

MOST = 100  # detections of a picture, or twice as many as it has boxes
CANDIDATES = 400  # of a picture, the best ones, of which the detections are chosen, or 20 for each of its boxes
LEAST = 0.001  # score
IOU = 0.5


class PictureAp50:
    """(raw, target float32[B, M, 5], body) -> average precision of each picture at IoU 0.5, float32[B].

    All classes' detections stand in one row by score, at most 100, or twice as many as there are boxes; each finds at
    most one true box, of its class. The precision is averaged over the true boxes, at each the best that is reached
    with it or later (the all-point form of Everingham et al. 2010, PASCAL VOC). A picture without boxes has none: NaN.
    Any number for it would be best before anything is learnt, when nothing is found anywhere.
    """

    at_rest = True

    def __call__(self, raw: Any, target: Tensor, body: nn.Module) -> Tensor:
        """Return the figure of each picture."""
        boxes_BQ4, scores_BQK = body.detections(raw)  # type: ignore[operator]
        nms: float | None = body.nms  # type: ignore[assignment]
        truths = [truth[truth[:, 0] >= 0] for truth in target.float().cpu().numpy()]
        found = [
            average_precision(detections(boxes, scores, nms, len(truth)), truth)
            for boxes, scores, truth in zip(boxes_BQ4.float(), scores_BQK.float(), truths, strict=True)
        ]
        return torch.tensor(found, dtype=torch.float32, device=target.device)


def picture_ap50(target: Target) -> PictureAp50:
    """Build the figure."""
    return PictureAp50()


def detections(boxes_Q4: Tensor, scores_QK: Tensor, nms: float | None, true: int) -> np.ndarray:
    """Return one picture's detections, best first: float32[D, 6] of class, x1, y1, x2, y2, score.

    `true` is how many boxes it has.
    """
    flat = scores_QK.flatten()
    score, place = flat.topk(min(max(CANDIDATES, 20 * true), len(flat)))
    place = place[score > LEAST]
    classes = scores_QK.shape[1]
    rows = torch.cat([(place % classes)[:, None].float(), boxes_Q4[place // classes], flat[place, None]], 1)
    found = rows.detach().cpu().numpy()
    kept = np.arange(len(found)) if nms is None else keep_apart(found, nms)
    return found[kept[: max(MOST, 2 * true)]]


def keep_apart(found_D6: np.ndarray, iou: float) -> np.ndarray:
    """Return the positions of those that overlap no better one of their class by more than `iou`; best first in."""
    near = overlap(found_D6[:, 1:5], found_D6[:, 1:5]) > iou
    near &= found_D6[:, None, 0] == found_D6[None, :, 0]
    left = np.ones(len(found_D6), bool)
    for n in range(len(found_D6)):
        if left[n]:
            left[n + 1 :] &= ~near[n, n + 1 :]
    return np.flatnonzero(left)


def overlap(a_N4: np.ndarray, b_M4: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes x1, y1, x2, y2: float32[N, M]; 0 where both are empty."""
    low = np.maximum(a_N4[:, None, :2], b_M4[None, :, :2])
    high = np.minimum(a_N4[:, None, 2:], b_M4[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    area_a, area_b = (np.clip(x[:, 2:] - x[:, :2], 0, None).prod(1) for x in (a_N4, b_M4))
    union = area_a[:, None] + area_b[None] - common
    return common / np.where(union > 0, union, 1)


def average_precision(found_D6: np.ndarray, truth_M5: np.ndarray) -> float:
    """Return the average precision of one picture's detections, best first; NaN where it has no true boxes."""
    if not len(truth_M5):
        return math.nan
    iou = overlap(found_D6[:, 1:5], truth_M5[:, 1:5])
    iou[found_D6[:, None, 0] != truth_M5[None, :, 0]] = 0
    right = np.zeros(len(found_D6), bool)
    for n in np.flatnonzero(iou.max(1) >= IOU):
        best = int(iou[n].argmax())
        if iou[n, best] >= IOU:
            right[n] = True
            iou[:, best] = 0
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    reached = np.maximum.accumulate(precision[::-1])[::-1]
    return float(reached[right].sum() / len(truth_M5))
