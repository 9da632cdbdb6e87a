"""Rows of texts -> a tokenizer, and prepared shards. Runs on executors: numpy, pyarrow and tokenizers."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.text.job import COVERED, MULTIPLE, TextJob, TokenizerJob
from sparknn_magic.data.text.tokenizing import Encoded, Encoder, train_tokenizer, with_normalizers
from sparknn_magic.data.vectors.shards import Reasons

TOKENIZER = "tokenizer string, length int, texts long, quantiles array<int>"
QUANTILES = (0.5, 0.95, 1.0)  # of the lengths, in tokens
UNKNOWN = "label not among the training classes"
MICRO_ROWS = 4096


def shard_schema(multilabel: bool, extra: Sequence[str]) -> str:
    """Return the schema of the shards; `extra` are names of further numbers of the row."""
    columns = "".join(f", `{name.replace('`', '``')}` double" for name in extra)
    label = "binary" if multilabel else "int"
    return f"split int, row long, label {label}, tokens binary, length int, cut boolean, error string{columns}"


def find_tokenizer(batches: Iterator[pa.RecordBatch], job: TokenizerJob) -> Iterator[pa.RecordBatch]:
    """Train a tokenizer on texts (text string, pair string); yield one row of the schema `TOKENIZER`.

    `length` is the job's, or what covers `COVERED` of the texts, rounded up, and at most `job.most`. `quantiles` are
    those of the texts' lengths in tokens, for `QUANTILES`.
    """
    parts = [batch for batch in batches if batch.num_rows]
    if not parts:
        return
    steps = [step.build() for step in job.steps]
    texts = (text for part in parts for name in ("text", "pair") for text in _texts(part.column(name)))
    if job.tokenizer is None:
        made = with_normalizers(job.given, steps)
    else:
        made = train_tokenizer(job.tokenizer, texts, steps)
    # One token more than is allowed shows that a text is longer.
    encoder = Encoder(made, steps, job.most + 1)
    lengths = np.concatenate([_lengths(encoder, part) for part in parts])
    lengths = lengths[lengths > 0]
    if not len(lengths):
        lengths = np.array([MULTIPLE])
    covering = int(np.quantile(lengths, COVERED, method="higher"))
    length = job.length or min(job.most, -(-covering // MULTIPLE) * MULTIPLE)
    quantiles = [int(n) for n in np.quantile(lengths, QUANTILES, method="higher")]
    row = {"tokenizer": [made], "length": [length], "texts": [len(lengths)], "quantiles": [quantiles]}
    yield pa.RecordBatch.from_pydict(
        row,
        schema=pa.schema(
            [
                ("tokenizer", pa.string()),
                ("length", pa.int32()),
                ("texts", pa.int64()),
                ("quantiles", pa.list_(pa.int32())),
            ]
        ),
    )


def _texts(column: pa.Array) -> Iterator[str]:
    for value in column.cast(pa.binary()).to_pylist():  # as bytes: Spark's strings need not be UTF-8
        if value:
            yield value.decode("utf-8", errors="ignore")


def _encoded(encoder: Encoder, batch: pa.RecordBatch, pair: bool) -> Encoded:
    return encoder.encode(batch.column("text"), batch.column("pair") if pair else None)


def _lengths(encoder: Encoder, batch: pa.RecordBatch) -> np.ndarray:
    pair = batch.column("pair").null_count < batch.num_rows
    return np.diff(_encoded(encoder, batch, pair).offsets)


def shard_batches(batches: Iterator[pa.RecordBatch], job: TextJob) -> Iterator[pa.RecordBatch]:
    """Turn rows of `TextPlan.rows` into rows of `shard_schema`.

    `tokens` are int32 ids as bytes, of any number; `label` is the class's number, or of several labels a row
    float32[classes] of 0 and 1 as bytes. A row that cannot be used goes to the split `DROPPED`, with the reason.
    """
    encoder = Encoder(job.tokenizer, [step.build() for step in job.steps], job.length)
    classes = pa.array(job.classes, pa.string())
    for whole in batches:
        for start in range(0, whole.num_rows, MICRO_ROWS):
            yield _shard(whole.slice(start, MICRO_ROWS), job, encoder, classes)


def _shard(batch: pa.RecordBatch, job: TextJob, encoder: Encoder, classes: pa.Array) -> pa.RecordBatch:
    found = _encoded(encoder, batch, job.pair)
    reasons = Reasons(batch.num_rows)
    for words in dict.fromkeys(filter(None, found.errors)):
        reasons.add(np.array([error == words for error in found.errors]), words)
    learn = _several if job.multilabel else _one
    label = learn(batch.column("label"), classes, reasons)
    split = np.where(reasons.none(), batch.column("split").to_numpy(), DROPPED).astype(np.int32)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(split),
            batch.column("row"),
            label,
            as_binary(found.ids, found.offsets),
            pa.array(np.diff(found.offsets).astype(np.int32)),
            pa.array(found.cut),
            reasons.array(),
            *(batch.column(f"x{i}") for i in range(len(job.columns))),
        ],
        names=["split", "row", "label", "tokens", "length", "cut", "error", *job.columns],
    )


def _one(labels: pa.Array, classes: pa.Array, reasons: Reasons) -> pa.Array:
    known = pc.index_in(labels, value_set=classes)
    reasons.add(np.asarray(labels.is_null()), "null label")
    reasons.add(np.asarray(known.is_null()), UNKNOWN)
    return known


def _several(labels: pa.Array, classes: pa.Array, reasons: Reasons) -> pa.Array:
    """Return float32[classes] of 0 and 1 a row, as bytes."""
    lengths = pc.fill_null(pc.list_value_length(labels), 0).to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(labels)), lengths)
    index = pc.index_in(labels.flatten(), value_set=classes)
    unknown = np.asarray(index.is_null())
    reasons.add(np.asarray(labels.is_null()), "null label")
    reasons.add(np.bincount(rows[unknown], minlength=len(labels)) > 0, UNKNOWN)
    found = np.zeros((len(labels), len(classes)), np.float32)
    found[rows[~unknown], index.drop_null().to_numpy()] = 1.0
    width = found.shape[1]
    return as_binary(found.reshape(-1), np.arange(len(labels) + 1) * width)


def as_binary(values: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """Return the runs values[offsets[i]:offsets[i + 1]] as bytes, one array a row."""
    ends = (np.asarray(offsets, np.int64) * values.itemsize).astype(np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)
