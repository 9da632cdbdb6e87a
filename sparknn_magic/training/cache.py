"""A rank's rows: Arrow batches in, one array a column out, in memory or in a memory-mapped file. Runs on executors."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa

from sparknn_magic.plugin import ImageInputs


@dataclass
class Rows:
    """One split's rows on this rank, in an order that depends on the rows alone."""

    images: np.ndarray  # uint8[rows, height, width, channels]
    labels: np.ndarray  # int64[rows]

    def __len__(self) -> int:
        return len(self.labels)


class _Growing:
    """Pictures as they arrive: arrays while they fit the budget, after that a file in Spark's local folder."""

    def __init__(self, inputs: ImageInputs, budget: int):
        self.shape = (inputs.height, inputs.width, inputs.channels)
        self.size = int(np.prod(self.shape))
        self.budget, self.bytes = budget, 0
        self.chunks: list[np.ndarray] = []
        self.file: IO[bytes] | None = None

    def add(self, column: pa.Array) -> None:
        pixels = _fixed_bytes(column, self.size)
        self.bytes += pixels.nbytes
        if self.file is None and self.bytes > self.budget:
            # The name is removed at once: the space is given back when the worker ends, however it ends.
            self.file = tempfile.TemporaryFile(dir=local_folder())  # noqa: SIM115 (closed by _mapped)
            for chunk in self.chunks:
                chunk.tofile(self.file)
            self.chunks = []
        if self.file is None:
            self.chunks.append(pixels)
        else:
            pixels.tofile(self.file)

    def finish(self) -> np.ndarray:
        flat: np.ndarray
        if self.file is not None:
            flat = _mapped(self.file)
        elif self.chunks:
            flat = np.concatenate(self.chunks)
        else:
            flat = np.empty(0, np.uint8)
        self.chunks = []
        return flat.reshape(-1, *self.shape)


def local_folder() -> str:
    """Return Spark's local folder on this node, or the system's temporary one."""
    named = os.environ.get("SPARK_LOCAL_DIRS") or os.environ.get("LOCAL_DIRS") or ""
    first = named.split(",")[0]
    return first if first and os.access(first, os.W_OK) else tempfile.gettempdir()


def _fixed_bytes(column: pa.Array, size: int) -> np.ndarray:
    """Return uint8[rows * size]: the values of a binary column that all have `size` bytes, copied once."""
    if len(column) == 0:
        return np.empty(0, np.uint8)
    width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    _, offsets_buffer, data = column.buffers()
    offsets = np.frombuffer(offsets_buffer, width)[column.offset : column.offset + len(column) + 1]
    if column.null_count or not (np.diff(offsets) == size).all():
        raise ValueError(f"a prepared picture does not have {size} bytes; prepare the data again")
    return np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]].copy()


def collect(batches: Iterator[pa.RecordBatch], inputs: ImageInputs, splits: tuple[int, ...], budget: int) -> list[Rows]:
    """Take all batches (columns split int, row long, label int, image binary); return the rows of each split.

    Rows are sorted by `row`, a hash of their content, so that the order in which Spark delivers them does not matter.
    """
    images = {s: _Growing(inputs, budget) for s in splits}
    labels: dict[int, list[np.ndarray]] = {s: [] for s in splits}
    keys: dict[int, list[np.ndarray]] = {s: [] for s in splits}
    for batch in batches:
        split = batch.column("split").to_numpy()
        for s in splits:
            mask = split == s
            if mask.any():
                part = batch if mask.all() else batch.filter(pa.array(mask))
                images[s].add(part.column("image"))
                labels[s].append(part.column("label").to_numpy().astype(np.int64))
                keys[s].append(part.column("row").to_numpy())
    found = []
    for s in splits:
        label = np.concatenate(labels[s]) if labels[s] else np.empty(0, np.int64)
        pixels = images[s].finish()
        if len(label):
            order = np.argsort(np.concatenate(keys[s]), kind="stable")
            label = label[order]
            pixels = _reorder(pixels, order) if isinstance(pixels, np.memmap) else pixels[order]
        found.append(Rows(pixels, label))
    return found


def _reorder(pixels: np.memmap, order: np.ndarray) -> np.ndarray:
    """Write the rows in their order into a second unnamed file, a few megabytes at a time."""
    file = tempfile.TemporaryFile(dir=local_folder())  # noqa: SIM115 (closed by _mapped)
    step = max(1, 2**25 // int(np.prod(pixels.shape[1:])))
    for start in range(0, len(order), step):
        pixels[order[start : start + step]].tofile(file)
    return _mapped(file).reshape(pixels.shape)


def _mapped(file: IO[bytes]) -> np.memmap:
    """Map a file into memory and close it: the mapping keeps the space."""
    file.flush()
    flat = np.memmap(file, dtype=np.uint8, mode="r+")
    file.close()
    return flat
