"""Rows of numbers and categories -> prepared shards. Runs on executors; numpy and pyarrow only."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.vectors.job import VectorJob
from sparknn_magic.data.vectors.steps import Applied, apply_step, build_steps

NULL, INFINITE = "null '{}'", "infinite '{}'"  # why a row cannot be used, with the name of the number or category


def shard_schema(regression: bool, extra: Sequence[str]) -> str:
    """Return the schema of the shards; `extra` are names of further numbers of the row."""
    columns = "".join(f", `{name.replace('`', '``')}` double" for name in extra)
    label = "double" if regression else "int"
    return f"split int, row long, label {label}, numbers binary, codes binary, error string{columns}"


def shard_batches(batches: Iterator[pa.RecordBatch], job: VectorJob) -> Iterator[pa.RecordBatch]:
    """Turn rows of `VectorPlan.rows` into rows of `shard_schema`.

    `numbers` are float32[F] after the steps and `codes` int32[G], each as bytes; `label` is the class's number, or the
    standardized number. A row that cannot be used goes to the split `DROPPED`, with the reason.
    """
    steps = build_steps(job.steps, len(job.names))
    values = [pa.array(each, pa.string()) for each in job.categories]
    for batch in batches:
        yield _shard(batch, job, steps, values)


def _shard(
    batch: pa.RecordBatch, job: VectorJob, steps: Sequence[Applied], values: Sequence[pa.Array]
) -> pa.RecordBatch:
    reasons = Reasons(batch.num_rows)
    reasons.take(batch.column("wrong"))
    numbers = cleaned(read_numbers(batch.column("numbers"), len(job.names)), steps, job.names, reasons)
    codes = _codes(batch, values, job.required, reasons)
    label = _labels(batch.column("label"), job, reasons)
    used = reasons.none()
    split = np.where(used, batch.column("split").to_numpy(), DROPPED).astype(np.int32)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(split),
            batch.column("row"),
            label,
            as_bytes(numbers.astype(np.float32)),
            as_bytes(codes),
            reasons.array(),
            *(batch.column(f"x{i}") for i in range(len(job.columns))),
        ],
        names=["split", "row", "label", "numbers", "codes", "error", *job.columns],
    )


class Reasons:
    """Why rows cannot be used: the first reason that is found for each."""

    def __init__(self, rows: int):
        self.found = np.zeros(rows, np.int64)  # the number of the reason; 0: none
        self.words: list[str] = [""]

    def add(self, mask: np.ndarray, words: str) -> None:
        """Give the rows where `mask` holds this reason, unless they have one."""
        new = mask & (self.found == 0)
        if new.any():
            self.words.append(words)
            self.found[new] = len(self.words) - 1

    def take(self, given: pa.Array) -> None:
        """Take the reasons of an array of strings, null where there is none."""
        if given.null_count < len(given):
            for words in given.unique().drop_null().to_pylist():
                self.add(np.asarray(pc.fill_null(pc.equal(given, words), False)), words)

    def none(self) -> np.ndarray:
        """Return bool[rows]: whether a row can be used."""
        return self.found == 0

    def array(self) -> pa.Array:
        """Return the reasons as an array of strings, null where there is none."""
        return pa.array(self.words, pa.string()).take(pa.array(self.found, mask=self.none()))

    def list(self) -> list[str | None]:
        """Return the reasons, None where there is none."""
        return [None] * len(self.found) if self.none().all() else self.array().to_pylist()


def read_numbers(column: pa.Array, width: int) -> np.ndarray:
    """Return float64[rows, width] of an array of lists of `width` doubles: NaN for null, and in a row that is null."""
    found = np.full((len(column), width), np.nan)
    if width:
        flat = column.flatten()  # without the rows that are null
        found[np.asarray(column.is_valid())] = np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(-1, width)
    return found


def cleaned(
    x: np.ndarray, steps: Sequence[Applied], names: Sequence[str], reasons: Reasons, *, final: bool = True
) -> np.ndarray:
    """Apply the steps to float64[rows, F].

    A row has a reason where a number is infinite, where a step drops it and, after all steps unless `final` is False,
    where a number is missing or none any more.
    """
    missing = np.isnan(x)
    _reasons(np.isinf(x), INFINITE, names, reasons)
    with np.errstate(all="ignore"):
        for each in steps:
            if each.step.drops:
                _reasons(np.isnan(x[:, each.columns]), NULL, [names[i] for i in each.columns], reasons)
            x = apply_step(np, x, each)
    if not final:
        return x
    _reasons(np.isnan(x) & missing, NULL, names, reasons)
    _reasons(~np.isfinite(x), "'{}' is no number after the steps", names, reasons)
    return x


def _reasons(mask: np.ndarray, words: str, names: Sequence[str], reasons: Reasons) -> None:
    """Give rows the reason of their first column where bool[rows, columns] holds."""
    for i in np.flatnonzero(mask.any(axis=0)).tolist():
        reasons.add(mask[:, i], words.format(names[i]))


def _codes(
    batch: pa.RecordBatch, values: Sequence[pa.Array], required: Sequence[str | None], reasons: Reasons
) -> np.ndarray:
    """Return int32[rows, G]: 1 for a category's first value, 0 for what is none of them."""
    codes = np.zeros((batch.num_rows, len(values)), np.int32)
    for i, known in enumerate(values):
        column = batch.column(f"c{i}")
        name = required[i]
        if name is not None:
            reasons.add(np.asarray(pc.equal(column, "")), NULL.format(name))
        index = pc.index_in(column, value_set=known)
        codes[:, i] = pc.fill_null(pc.add(index, 1), 0).to_numpy()
    return codes


def _labels(column: pa.Array, job: VectorJob, reasons: Reasons) -> pa.Array:
    """Return int32 class numbers, or standardized doubles; rows without one have a reason."""
    reasons.add(np.asarray(column.is_null()), "null label")
    if job.classes is None:
        return pc.divide(pc.subtract(column, job.mean), job.std)
    found = pc.index_in(column, value_set=pa.array(job.classes, pa.string()))
    reasons.add(np.asarray(found.is_null()), "label not among the training classes")
    return found


def as_bytes(values: np.ndarray) -> pa.Array:
    """Return a binary array with a row's numbers as bytes, one after the other."""
    values = np.ascontiguousarray(values)
    rows, size = len(values), values.itemsize * values.shape[1]
    offsets = np.arange(rows + 1, dtype=np.int64) * size
    return pa.Array.from_buffers(
        pa.binary(), rows, [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(values)]
    )
