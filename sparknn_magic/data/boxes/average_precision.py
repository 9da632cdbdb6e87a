"""COCO's figures of detections, by faster-coco-eval. numpy alone is imported before they are asked for.

Source: Lin et al. 2014, Microsoft COCO: Common Objects in Context, arXiv:1405.0312; the rules of its evaluation,
https://cocodataset.org/#detection-eval. T thresholds of IoU (0.5, 0.55, ... 0.95), R recalls (0, 0.01, ... 1), K
classes, A ranges of area (all, small, medium, large), M limits of detections (1, 10, 100).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparknn_magic.errors import MissingExtra

MOST = 100  # detections of a class in a picture that count
HALF = 0  # of the thresholds of IoU, 0.5
SUMMARY = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
RECALL = 8  # in the library's summary, the average recall of `MOST` detections
DIGITS = 6  # of the curves' precisions


@dataclass(frozen=True, slots=True)
class BoxTable:
    """Boxes of many pictures, in no order."""

    picture: np.ndarray  # int64[n]: numbers of the pictures, from 0
    label: np.ndarray  # int64[n]: numbers of the classes
    box: np.ndarray  # float64[n, 4]: x1, y1, x2, y2 in pixels
    score: np.ndarray | None = None  # float64[n] of detections

    def __len__(self) -> int:
        return len(self.picture)


def coco_figures(pictures: int, true: BoxTable, found: BoxTable, classes: Sequence[str]) -> dict[str, Any]:
    """Return COCO's figures of the detections `found` on that many pictures, whose boxes are `true`.

    map, map50, map75, map_small, map_medium, map_large, recall_100: means over the classes that have boxes (of that
    size); None where there are none. per_class: of each class label, map, map50 and its boxes. curves: of each class
    with boxes the precision at recalls 0, 0.01, ... 1, at IoU 0.5. boxes: how many there are.

    Unlike COCO's own figures: areas are those of the boxes, not of the outlines; and no true box is a crowd, since the
    crowds of a COCO file are left out when it is read, so that what is found in one is wrong.

    Raises: MissingExtra where the library is not there.
    """
    judged = _judged(pictures, true, found, classes)
    precision_TRKAM, summary = judged.eval["precision"], judged.stats
    best_TRK = precision_TRKAM[:, :, :, 0, -1]
    counts = np.bincount(true.label, minlength=len(classes)).tolist()
    per_class = [
        {"label": name, "map": _mean(best_TRK[:, :, k]), "map50": _mean(best_TRK[HALF, :, k]), "boxes": counts[k]}
        for k, name in enumerate(classes)
    ]
    curves = {name: best_TRK[HALF, :, k].round(DIGITS).tolist() for k, name in enumerate(classes) if counts[k]}
    return {
        **{name: _figure(summary[n]) for n, name in enumerate(SUMMARY)},
        f"recall_{MOST}": _figure(summary[RECALL]),
        "per_class": per_class,
        "curves": curves,
        "boxes": len(true),
    }


def _figure(value: float) -> float | None:
    """Return a figure of the library, whose -1 stands for none."""
    return None if value < 0 else float(value)


def _mean(precision: np.ndarray) -> float | None:
    return float(precision.mean()) if (precision > -1).any() else None


def library() -> Any:
    """Return the module of faster-coco-eval. Raises: MissingExtra where it is not installed."""
    try:
        import faster_coco_eval
    except ImportError as error:
        raise MissingExtra("judging detections needs faster-coco-eval: pip install 'sparknn-magic[train]'") from error
    return faster_coco_eval


def _judged(pictures: int, true: BoxTable, found: BoxTable, classes: Sequence[str]) -> Any:
    """Return the library's evaluation, done."""
    coco = library()
    truth = coco.COCO(
        {
            "images": [{"id": n} for n in range(pictures)],
            "categories": [{"id": k, "name": name} for k, name in enumerate(classes)],
            "annotations": _annotations(true),
        }
    )
    judged = coco.COCOeval_faster(truth, truth.loadRes(_annotations(found)), "bbox")
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    return judged


def _annotations(table: BoxTable) -> list[dict[str, Any]]:
    """Return the boxes as COCO's files have them: x, y, width, height. Ids count from 1: there 0 means no match."""
    low, size = table.box[:, :2], table.box[:, 2:] - table.box[:, :2]
    columns = {
        "id": range(1, len(table) + 1),
        "image_id": table.picture.tolist(),
        "category_id": table.label.tolist(),
        "bbox": np.concatenate([low, size], axis=1).tolist(),
        "area": size.prod(1).tolist(),
        "iscrowd": [0] * len(table),
    }
    if table.score is not None:
        columns["score"] = table.score.tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
