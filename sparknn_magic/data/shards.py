"""Source rows -> shards of pixels and of their sums. Runs on executors, like `worker.py`, which it uses."""

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.job import PrepareJob
from sparknn_magic.data.worker import image_reader
from sparknn_magic.plugin import DetectionInputs, ImageInputs

SHARDS = (
    "split int, row long, label int, image binary, error string, "
    # The sums of the pixels and of their squares, one for each channel: statistics need not read the pixels again.
    "total array<long>, squares array<long>, "
    "extra array<double>"  # numbers of the row that the loss reads
)
DROPPED = -1  # the `split` of rows that cannot be used; `error` says why
MICRO_BATCH = 2**24  # bytes of pixels that are decoded before they are handed on
MICRO_ROWS = 256

_LONGS = pa.list_(pa.int64())


def shard_batches(batches: Iterator[pa.RecordBatch], job: PrepareJob) -> Iterator[pa.RecordBatch]:
    """Decode and preprocess (split int, row long, label string, image, extra array<double>) to rows of `SHARDS`.

    `image` is uint8[height, width, channels] as bytes. A row without a readable picture or a known label goes to the
    split `DROPPED`, with the reason and without pixels.
    """
    inputs = job.inputs
    read = image_reader(
        steps=job.steps, height=inputs.height, width=inputs.width, channels=inputs.channels, shape=job.shape
    )
    classes = pa.array(job.classes, pa.string())
    for batch in micro_batches(batches, inputs):
        pictures = read(batch.column("image"))
        label = pc.index_in(batch.column("label"), value_set=classes)
        errors = _errors(pictures.errors, batch.column("label"), label)
        keep = np.array([error is None for error in errors], bool)
        image, total, squares = pixel_columns(pictures.pixels[keep[pictures.rows]], keep)
        split = np.where(keep, batch.column("split").to_numpy(), DROPPED).astype(np.int32)
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(split),
                batch.column("row"),
                label,
                image,
                pa.array(errors, pa.string()),
                total,
                squares,
                batch.column("extra"),
            ],
            names=["split", "row", "label", "image", "error", "total", "squares", "extra"],
        )


def micro_batches(batches: Iterator[pa.RecordBatch], inputs: ImageInputs | DetectionInputs) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches whose decoded pictures are of some MB."""
    rows = min(MICRO_ROWS, max(1, MICRO_BATCH // (inputs.height * inputs.width * inputs.channels)))
    for whole in batches:
        for start in range(0, whole.num_rows, rows):
            yield whole.slice(start, rows)


def pixel_columns(pixels: np.ndarray, keep: np.ndarray) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return the columns image, total and squares: pictures uint8[kept, h, w, c] where `keep` holds, else null."""
    flat = pixels.reshape(len(pixels), math.prod(pixels.shape[1:]))
    return _spread(flat, keep, pa.binary()), *(_spread(sums, keep, _LONGS) for sums in pixel_sums(pixels))


def _errors(errors: list[str | None], labels: pa.Array, known: pa.Array) -> list[str | None]:
    found = list(errors)
    for i in np.flatnonzero(np.asarray(known.is_null())):
        if found[i] is None:
            found[i] = "label not among the training classes" if labels[int(i)].is_valid else "null label"
    return found


def _spread(values: np.ndarray, keep: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Return an array of binary or of lists with a row of `values` where `keep` holds, and null elsewhere."""
    offsets = np.concatenate([[0], np.cumsum(keep)]) * values.shape[1]
    mask = pa.array(keep).buffers()[1]
    data, ends = pa.py_buffer(np.ascontiguousarray(values)), pa.py_buffer(offsets.astype(np.int32))
    if pa.types.is_binary(kind):
        return pa.Array.from_buffers(kind, len(keep), [mask, ends, data])
    numbers = pa.Array.from_buffers(kind.value_type, values.size, [None, data])
    return pa.Array.from_buffers(kind, len(keep), [mask, ends], children=[numbers])


def pixel_sums(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of the pixels and of their squares: uint8[n, h, w, channels] -> two of int64[n, channels]."""
    count, height, width, channels = pixels.shape
    total, squares = np.empty((2, count, channels), np.int64)
    for c in range(channels):  # one by one: numpy is slow to sum along any axis but the last
        flat = np.ascontiguousarray(pixels[..., c]).reshape(count, height * width)
        total[:, c] = flat.sum(axis=1, dtype=np.int64)
        squares[:, c] = np.multiply(flat, flat, dtype=np.uint16).sum(axis=1, dtype=np.int64)
    return total, squares
