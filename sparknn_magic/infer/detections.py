"""A detector's boxes -> objects in the coordinates of the user's own pictures, on executors.

B pictures of a batch, M boxes that the model file gives at most for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.boxes.reader import PlacedBatch
from sparknn_magic.infer.worker import NO_NUMBER

CORNERS = ("x1", "y1", "x2", "y2")
NO_BOX = np.empty((0, 4), np.float32)


@dataclass(frozen=True, slots=True)
class Found:
    """Objects of some pictures, picture by picture, the highest score first."""

    row: np.ndarray  # int64[objects]
    label: np.ndarray  # int64[objects]
    score: np.ndarray  # float32[objects]
    box: np.ndarray  # float32[objects, 4]: x1, y1, x2, y2 in pixels of the source picture


def detection_writer(*, classes: Sequence[str]) -> "DetectionWriter":
    """Return a writer of struct<objects, error>, one for each row.

    `classes` are those of the model's labels, in their order. Boxes are in pixels of the upright picture, the steps
    undone, and cut at its edges; one that has then no area (in the bars of a letterbox, say) is left out. Where the
    model's function is given a least score, objects below it are left out. Rows that were not scored have null objects.
    """
    return DetectionWriter(tuple(classes))


@dataclass(frozen=True, slots=True)
class DetectionWriter:
    """Makes a `Gatherer` for each array of rows."""

    classes: tuple[str, ...]

    def begin(self) -> "Gatherer":
        """Return what takes the outputs of the batches of some rows."""
        return Gatherer(pa.array(self.classes, pa.string()))


@dataclass
class Gatherer:
    """Takes batches in any order, and gives the predictions in the order of the rows.

    A batch is a picture or two, and numpy takes as long for its few numbers as for those of a hundred: what can wait
    is done once, for all rows together.
    """

    labels: pa.Array
    index: list[np.ndarray] = field(default_factory=list)  # of each batch int64[B]
    place: list[np.ndarray] = field(default_factory=list)  # float32[B, 6]
    outputs: list[Mapping[str, np.ndarray]] = field(default_factory=list)

    def take(
        self, index: np.ndarray, batch: PlacedBatch, outputs: Mapping[str, np.ndarray], errors: list[str | None]
    ) -> None:
        """Take the objects of a batch: what the model file gives, for the rows `index` int64[B].

        `outputs` are boxes float32[B, M, 4], scores float32[B, M], labels int64[B, M] and count int64[B]. A row with a
        score or a box that is no number has the reason in `errors`.
        """
        good = np.isfinite(outputs["scores"]).all(1) & np.isfinite(outputs["boxes"]).all((1, 2))
        place = batch.place
        if not good.all():
            for row in index[~good].tolist():
                errors[row] = NO_NUMBER
            index, place = index[good], place[good]
            outputs = {name: values[good] for name, values in outputs.items()}
        self.index.append(index)
        self.place.append(place)
        self.outputs.append(outputs)

    def found(self) -> Found:
        """Return the objects of all batches, in the order in which these came."""
        if not self.index:
            return Found(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), NO_BOX)
        boxes, scores, labels, count = (
            np.concatenate([each[name] for each in self.outputs]) for name in ("boxes", "scores", "labels", "count")
        )
        picture, rank = np.nonzero(np.arange(scores.shape[1]) < count[:, None])
        box = undone(boxes[picture, rank], np.concatenate(self.place)[picture])
        whole = (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
        picture, rank = picture[whole], rank[whole]
        index = np.concatenate(self.index)
        return Found(index[picture], labels[picture, rank], scores[picture, rank], box[whole])

    def finish(self, errors: list[str | None], least: pa.Array | None = None) -> pa.Array:
        """Return struct<objects, error> of each row; `least` is the least score, one a row, null for none."""
        found = self.found()
        row, label, score, box = found.row, found.label, found.score, found.box
        order = np.argsort(row, kind="stable")
        if least is not None:
            floor = np.asarray(pc.fill_null(least.cast(pa.float64()), -np.inf))
            order = order[~(score[order] < floor[row[order]])]
        corners = [pa.array(np.ascontiguousarray(box[order, n])) for n in range(4)]
        objects = pa.StructArray.from_arrays(
            [
                self.labels.take(pa.array(label[order])),
                pa.array(score[order].astype(np.float32, copy=False)),
                pa.StructArray.from_arrays(corners, names=list(CORNERS)),
            ],
            names=["label", "score", "box"],
        )
        counts = np.bincount(row[order], minlength=len(errors))
        missing = np.array([error is not None for error in errors], bool)
        lists = pa.ListArray.from_arrays(
            pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32)),
            objects,
            type=pa.list_(pa.field("element", objects.type)),
            mask=pa.array(missing) if missing.any() else None,
        )
        return pa.StructArray.from_arrays([lists, pa.array(errors, pa.string())], names=["objects", "error"])


def undone(boxes: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return boxes float[n, 4] of the model's input as float32[n, 4] of the source pictures, cut at their edges.

    `place` float[n, 6] has of each box's picture scale x and y, shift x and y, width and height.
    """
    scale, shift, size = (place[:, [n, n + 1, n, n + 1]].astype(np.float64) for n in (0, 2, 4))
    return np.clip((boxes - shift) / scale, 0.0, size).astype(np.float32)
