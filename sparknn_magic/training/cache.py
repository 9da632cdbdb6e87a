"""A rank's rows: Arrow batches in, one array a field out, in memory or in a memory-mapped file. Runs on executors."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa

from sparknn_magic.training.job import Field, TrainRows
from sparknn_magic.training.ragged import Ragged, split_runs


@dataclass
class Rows:
    """One split's rows on this rank, in an order that depends on the rows alone."""

    arrays: dict[str, np.ndarray | Ragged]  # by the field's name: dtype[rows, *shape]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))


class _Numbers:
    """A field of one number a row."""

    def __init__(self, field: Field):
        self.dtype = np.dtype(field.dtype)
        self.chunks: list[np.ndarray] = []

    def add(self, column: pa.Array) -> None:
        self.chunks.append(column.to_numpy(zero_copy_only=False).astype(self.dtype))  # a null double is NaN

    def finish(self) -> np.ndarray:
        return np.concatenate(self.chunks) if self.chunks else np.empty(0, self.dtype)


class _Flat:
    """Numbers of many rows: arrays while they fit the budget, after that a file in Spark's local folder."""

    def __init__(self, dtype: np.dtype, budget: int):
        self.dtype, self.budget, self.bytes = dtype, budget, 0
        self.chunks: list[np.ndarray] = []
        self.file: IO[bytes] | None = None

    def add(self, values: np.ndarray) -> None:
        self.bytes += values.nbytes
        if self.file is None and self.bytes > self.budget:
            # The name is removed at once: the space is given back when the worker ends, however it ends.
            self.file = tempfile.TemporaryFile(dir=local_folder())  # noqa: SIM115 (closed by _mapped)
            for chunk in self.chunks:
                chunk.tofile(self.file)
            self.chunks = []
        if self.file is None:
            self.chunks.append(values)
        else:
            values.tofile(self.file)

    def finish(self) -> np.ndarray:
        if self.file is not None:
            return _mapped(self.file, self.dtype)
        chunks, self.chunks = self.chunks, []
        return np.concatenate(chunks).view(self.dtype) if chunks else np.empty(0, self.dtype)


class _Blocks:
    """A field of many numbers a row."""

    def __init__(self, field: Field, budget: int):
        self.field, self.dtype = field, np.dtype(field.dtype)
        self.flat = _Flat(self.dtype, budget)

    def add(self, column: pa.Array) -> None:
        self.flat.add(_fixed_bytes(column, self.field.size * self.dtype.itemsize))

    def finish(self) -> np.ndarray:
        flat = self.flat.finish()
        return flat.reshape(-1, *self.field.shape) if self.field.size else np.empty((0, *self.field.shape), self.dtype)


class _Runs:
    """A field of numbers of any count a row."""

    def __init__(self, field: Field, budget: int):
        self.dtype = np.dtype(field.dtype)
        self.flat = _Flat(self.dtype, budget)
        self.lengths: list[np.ndarray] = []

    def add(self, column: pa.Array) -> None:
        values, lengths = split_runs(column, self.dtype)
        self.flat.add(values)
        self.lengths.append(lengths)

    def finish(self) -> Ragged:
        lengths = np.concatenate(self.lengths) if self.lengths else np.empty(0, np.int64)
        return Ragged(self.flat.finish(), np.cumsum(lengths) - lengths, lengths)


_Growing = _Numbers | _Blocks | _Runs


def _growing(field: Field, budget: int) -> _Growing:
    if field.ragged:
        return _Runs(field, budget)
    return _Blocks(field, budget) if field.shape else _Numbers(field)


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
        raise ValueError(f"a prepared row does not have {size} bytes; prepare the data again")
    return np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]].copy()


def collect(batches: Iterator[pa.RecordBatch], rows: TrainRows, splits: tuple[int, ...], budget: int) -> list[Rows]:
    """Take all batches (split int, row long, and a column for each field); return the rows of each split.

    Rows are sorted by `row`, a hash of their content, so that the order in which Spark delivers them does not matter.
    A field without numbers (no categories, say) has no column. What exceeds `budget` bytes goes to a file.
    """
    every = {field.name: field for field in (*rows.fields, rows.target, *rows.columns)}  # a target may be a field too
    fields = [field for field in every.values() if field.size]
    share = budget // max(1, sum(bool(field.shape) for field in fields))
    growing = {s: {f.name: _growing(f, share) for f in fields} for s in splits}
    keys: dict[int, list[np.ndarray]] = {s: [] for s in splits}
    for batch in batches:
        split = batch.column("split").to_numpy()
        for s in splits:
            mask = split == s
            if mask.any():
                part = batch if mask.all() else batch.filter(pa.array(mask))
                for name, each in growing[s].items():
                    each.add(part.column(name))
                keys[s].append(part.column("row").to_numpy())
    return [_sorted(growing[s], keys[s], rows) for s in splits]


def _sorted(growing: dict[str, _Growing], keys: list[np.ndarray], rows: TrainRows) -> Rows:
    order = np.argsort(np.concatenate(keys), kind="stable") if keys else np.empty(0, np.int64)
    arrays: dict[str, np.ndarray | Ragged] = {}
    for name, each in growing.items():
        values = each.finish()
        if isinstance(values, Ragged):
            arrays[name] = values.ordered(order)
        else:
            arrays[name] = _reorder(values, order) if isinstance(values, np.memmap) else values[order]
    for f in rows.fields:
        if not f.size:
            arrays[f.name] = np.empty((len(order), *f.shape), f.dtype)
    return Rows(arrays)


def _reorder(values: np.memmap, order: np.ndarray) -> np.ndarray:
    """Write the rows in their order into a second unnamed file, a few megabytes at a time."""
    file = tempfile.TemporaryFile(dir=local_folder())  # noqa: SIM115 (closed by _mapped)
    step = max(1, 2**25 // int(np.prod(values.shape[1:]) * values.itemsize))
    for start in range(0, len(order), step):
        values[order[start : start + step]].tofile(file)
    return _mapped(file, values.dtype).reshape(values.shape)


def _mapped(file: IO[bytes], dtype: np.dtype) -> np.memmap:
    """Map a file into memory and close it: the mapping keeps the space."""
    file.flush()
    flat = np.memmap(file, dtype=dtype, mode="r+")
    file.close()
    return flat
