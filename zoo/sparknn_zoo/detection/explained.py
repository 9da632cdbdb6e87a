"""The most confident false boxes of a detector, and what in the picture each of them hangs on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparknn_magic.data.boxes.reader import PlacedPictures
    from sparknn_magic.show.examples import Examples
    from sparknn_magic.show.explained import BoxReason
    from sparknn_magic.show.misses import Box

Ask = Callable[[np.ndarray], Sequence[np.ndarray]]  # pictures -> boxes, scores, labels, count
Row = tuple[Sequence["Box"], Sequence["Box"]]  # true and predicted boxes


def explained(
    rows: Sequence[Any],
    both: Sequence[Row],
    frame: "DataFrame",
    read: Callable[[Any], "PlacedPictures"],
    meta: Mapping[str, Any],
    folder: Path,
    count: int,
) -> "Examples":
    """Return `count` found boxes with their reasons, the false ones first.

    `rows` have a key each, `both` their true and predicted boxes, `frame` keys and pictures, which `read` turns into
    what the network takes.
    """
    from pyspark.sql import functions as F

    from sparknn_magic.bundle.folder import MODEL
    from sparknn_magic.infer.job import DETECTED
    from sparknn_magic.infer.worker import make_session
    from sparknn_magic.show.explained import box_reasons

    chosen = surest(both)[:count]
    keys = sorted({rows[n].key for n, *_ in chosen})
    table = frame.where(F.col("key").isin(keys)).dropDuplicates(["key"]).toArrow().combine_chunks()
    images = dict(zip(table.column("key").to_pylist(), table.column("image"), strict=True))
    session = make_session(str(folder / MODEL), threads=0)

    def ask(pictures: np.ndarray) -> Sequence[np.ndarray]:
        return session.run(list(DETECTED), {"image": pictures})

    found = [
        _reason(ask, read, images[rows[n].key], box, right, truth, meta["classes"])
        for n, box, right, truth in chosen
        if rows[n].key in images
    ]
    return box_reasons([each for each in found if each is not None])


def surest(both: Sequence[Row]) -> list[tuple[int, "Box", bool, str]]:
    """Return of each picture its surest false box, the surest of all first; behind them of others their surest one.

    Position of the picture, the box, whether it is right, and the class of the true box that a false one lies on. As
    in the report, boxes count from the score on that divides right and false ones best.
    """
    from sparknn_magic.show.misses import IOU, best_score, matched, overlaps

    least = best_score(both)
    false, true = [], []
    for n, (truth, every) in enumerate(both):
        predicted = [box for box in every if _score(box) >= least]
        if not predicted:
            continue
        hits = matched(truth, predicted)
        wrong = [box for box, hit in zip(predicted, hits, strict=True) if hit is None]
        if not wrong:
            true.append((n, max(predicted, key=_score), True, ""))
            continue
        box = max(wrong, key=_score)
        iou = overlaps([box], truth)[0] if truth else np.zeros(0)
        lies_on = truth[int(iou.argmax())].label if len(iou) and iou.max() >= IOU else ""
        # On a thing of its own class that a surer box has found already there is no other one.
        false.append((n, box, False, "" if lies_on == box.label else lies_on))
    return [each for some in (false, true) for each in sorted(some, key=lambda found: -_score(found[1]))]


def _score(box: "Box") -> float:
    return box.score or 0.0


def _reason(
    ask: Ask, read: Callable[[Any], "PlacedPictures"], image: Any, box: "Box", right: bool, truth: str, classes: Any
) -> "BoxReason | None":
    """Return what a box hangs on; None where its picture cannot be read."""
    from dataclasses import replace

    import pyarrow as pa

    from sparknn_magic.explaining import around, box_weights
    from sparknn_magic.show.explained import BoxReason

    placed = read(pa.array([image.as_py()], image.type))
    if not len(placed.rows):
        return None
    pixels, (scale_x, scale_y, x, y, *_) = placed.inputs["image"][0], placed.place[0]
    corners = np.array([box.x1, box.y1, box.x2, box.y2]) * ([scale_x, scale_y] * 2) + [x, y] * 2
    weights = box_weights(ask, pixels, list(classes).index(box.label), corners)
    rows, columns = around(corners, *pixels.shape[:2])
    x1, y1, x2, y2 = corners - [columns.start, rows.start] * 2
    moved = replace(box, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2))
    return BoxReason(pixels[rows, columns], moved, weights[rows, columns], right, truth)
