"""Rows of pictures with boxes -> what a look at them tells, and prepared shards. Runs on executors, as `worker.py`."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.boxes.geometry import after_steps, areas, placement
from sparknn_magic.data.boxes.job import CUT_OFF, BoxJob, LookJob
from sparknn_magic.data.boxes.reader import SIZES, scene_reader
from sparknn_magic.data.boxes.worker import TrueBoxes, read_boxes, starts
from sparknn_magic.data.shards import DROPPED, micro_batches, pixel_columns
from sparknn_magic.data.text.shards import as_binary
from sparknn_magic.data.worker import picture_header

LOOK = (
    "split int, height int, width int, channels int, error string, labels array<string>, sizes array<float>, "
    "clipped int, left array<int>, example_clipped string, example_left string"
)
SHARDS = (
    "split int, row long, image binary, "
    "boxes binary, "  # float32[n, 5] row by row: class number, x1, y1, x2, y2 in pixels of the prepared picture
    "classes array<int>, "  # the class number of each box
    "error string, total array<long>, squares array<long>"  # as of other pictures
)


def look_batches(batches: Iterator[pa.RecordBatch], job: LookJob) -> Iterator[pa.RecordBatch]:
    """Turn (split int, image, boxes array<array<double>>, labels array<string>) into rows of `LOOK`.

    Pictures are known by their headers, and nothing is decoded. `labels` are those of a row's good boxes that the steps
    do not cut away, and `sizes` their sqrt(area) in pixels of the prepared picture.
    """
    steps = [step.build() for step in job.steps]

    @lru_cache(SIZES)
    def place(width: int, height: int) -> tuple[float, ...]:
        found, size = placement(steps, width, height)
        return (*found, *size)

    for batch in batches:
        header = picture_header(batch.column("image"), job.shape)
        sides = [header.field(name).to_numpy(zero_copy_only=False).astype(float) for name in ("width", "height")]
        sizes = np.stack(sides, axis=1)
        true = read_boxes(batch.column("boxes"), batch.column("labels"), sizes, job.rules)
        places = np.full((batch.num_rows, 6), np.nan)
        for i in np.flatnonzero(np.isfinite(sizes[:, 0])):
            places[i] = place(*sizes[i].astype(int).tolist())
        yield _seen(batch.column("split"), header, true, places[true.rows])


def _seen(split: pa.Array, header: pa.StructArray, true: TrueBoxes, places: np.ndarray) -> pa.RecordBatch:
    boxes, there = after_steps(true.boxes, places[:, :4], places[:, 4], places[:, 5])
    sizes = np.sqrt(areas(boxes[there])).astype(np.float32)
    offsets = starts(true.rows[there], len(split)).astype(np.int32)
    left = true.left.copy()
    left[:, CUT_OFF] = np.bincount(true.rows[~there], minlength=len(split))
    lefts = np.arange(len(split) + 1, dtype=np.int32) * left.shape[1]
    columns = {
        "split": split,
        **{name: header.field(name) for name in ("height", "width", "channels")},
        "error": pc.coalesce(header.field("error"), pa.array(true.errors, pa.string())),
        "labels": pa.ListArray.from_arrays(offsets, true.labels.filter(pa.array(there))),
        "sizes": pa.ListArray.from_arrays(offsets, pa.array(sizes)),
        "clipped": pa.array(true.clipped.astype(np.int32)),
        "left": pa.ListArray.from_arrays(lefts, pa.array(left.astype(np.int32).ravel())),
        "example_clipped": pa.array(true.example_clipped, pa.string()),
        "example_left": pa.array(true.example_left, pa.string()),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def shard_batches(batches: Iterator[pa.RecordBatch], job: BoxJob) -> Iterator[pa.RecordBatch]:
    """Turn rows of `BoxPlan.rows` into rows of `SHARDS`.

    A row without a readable picture, or with other numbers of boxes and labels, goes to the split `DROPPED`, with the
    reason and without pixels. A box that is bad, of a class that is not among the job's, or cut away by a step is left
    out.
    """
    inputs = job.inputs
    read = scene_reader(
        steps=job.steps, height=inputs.height, width=inputs.width, channels=inputs.channels, shape=job.shape
    )
    classes = pa.array(job.classes, pa.string())
    for batch in micro_batches(batches, inputs):
        scenes = read(batch.column("image"))
        places = np.full((batch.num_rows, 6), np.nan)
        places[scenes.rows] = scenes.place
        true = read_boxes(batch.column("boxes"), batch.column("labels"), places[:, 4:], job.rules)
        errors = [picture or boxes for picture, boxes in zip(scenes.errors, true.errors, strict=True)]
        keep = np.array([error is None for error in errors], bool)
        image, total, squares = pixel_columns(scenes.pictures.pixels[keep[scenes.rows]], keep)
        boxes, number, offsets = _prepared(true, places[true.rows, :4], classes, job)
        split = np.where(keep, batch.column("split").to_numpy(), DROPPED).astype(np.int32)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(split),
                batch.column("row"),
                image,
                as_binary(boxes.ravel(), offsets * 5),
                pa.ListArray.from_arrays(offsets.astype(np.int32), pa.array(number)),
                pa.array(errors, pa.string()),
                total,
                squares,
            ],
            names=["split", "row", "image", "boxes", "classes", "error", "total", "squares"],
        )


def _prepared(
    true: TrueBoxes, places: np.ndarray, classes: pa.Array, job: BoxJob
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return float32[m, 5] (class number and box), int32[m] class numbers, and int64[n + 1] where each row begins."""
    number = pc.fill_null(pc.index_in(true.labels, value_set=classes), -1).to_numpy(zero_copy_only=False)
    boxes, there = after_steps(true.boxes, places, job.inputs.width, job.inputs.height)
    used = there & (number >= 0)
    whole = np.concatenate([number[used, None], boxes[used]], axis=1).astype(np.float32)
    return whole, number[used].astype(np.int32), starts(true.rows[used], len(true.errors))
