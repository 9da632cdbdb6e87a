"""Source rows -> shards of pixels, and the sums of their pixels. Runs on executors, like `worker.py`, which it uses."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.job import PrepareJob
from sparknn_magic.data.worker import image_reader

DROPPED = -1  # the `split` of rows that cannot be used; `error` says why
MICRO_BATCH = 256  # pictures that are decoded before their pixels are handed on


def shard_batches(batches: Iterator[pa.RecordBatch], job: PrepareJob) -> Iterator[pa.RecordBatch]:
    """Decode and preprocess (split int, row long, label string, image) to (split, row, label int, image binary, error).

    `image` is uint8[height, width, channels] as bytes. A row without a readable picture or a known label goes to the
    split `DROPPED`, with the reason and without pixels.
    """
    inputs = job.inputs
    read = image_reader(
        steps=job.steps, height=inputs.height, width=inputs.width, channels=inputs.channels, shape=job.shape
    )
    classes = pa.array(job.classes, pa.string())
    for whole in batches:
        for start in range(0, whole.num_rows, MICRO_BATCH):
            batch = whole.slice(start, MICRO_BATCH)
            pictures = read(batch.column("image"))
            label = pc.index_in(batch.column("label"), value_set=classes)
            errors = _label_errors(pictures.errors, batch.column("label"), label)
            good = pa.array([error is None for error in errors])
            keep = np.asarray(good)
            pixels = np.full((batch.num_rows, 1), None, object)
            pixels[pictures.rows, 0] = [picture.tobytes() for picture in pictures.pixels]
            pixels[~keep, 0] = None
            split = np.where(keep, batch.column("split").to_numpy(), DROPPED).astype(np.int32)
            yield pa.RecordBatch.from_arrays(
                [pa.array(split), batch.column("row"), label, pa.array(pixels[:, 0], pa.binary()), pa.array(errors, pa.string())],
                names=["split", "row", "label", "image", "error"],
            )


def _label_errors(errors: list[str | None], labels: pa.Array, known: pa.Array) -> list[str | None]:
    found = list(errors)
    for i in np.flatnonzero(np.asarray(known.is_null())):
        if found[i] is None:
            found[i] = "label not among the training classes" if labels[int(i)].is_valid else "null label"
    return found


def pixel_sums(batches: Iterator[pa.RecordBatch], channels: int) -> Iterator[pa.RecordBatch]:
    """Sum pixels in 0..1: one row (channel int, n long, total double, squares double) for each channel and batch."""
    for batch in batches:
        column = batch.column("image")
        pixels = np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(-1, channels)
        # Exact: the 256 values are counted, so no large sum of floats loses its small terms.
        counts = np.stack([np.bincount(pixels[:, c], minlength=256) for c in range(channels)])
        values = np.arange(256) / 255.0
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(np.arange(channels, dtype=np.int32)),
                pa.array(counts.sum(1)),
                pa.array(counts @ values),
                pa.array(counts @ values**2),
            ],
            names=["channel", "n", "total", "squares"],
        )
