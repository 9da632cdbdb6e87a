"""Rows with named entities -> prepared shards: a tag for each token. Runs on executors: numpy, pyarrow, tokenizers."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.entities.job import EntityJob
from sparknn_magic.data.entities.labels import spans_of_structs, spans_of_tags
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.text.shards import as_binary
from sparknn_magic.data.text.spans import IGNORED, SpanEncoder, join_words, tag_tokens
from sparknn_magic.data.text.tokenizing import EMPTY
from sparknn_magic.data.vectors.shards import Reasons

SCHEMA = "split int, row long, label binary, tokens binary, length int, cut boolean, error string"
NO_TOKEN = "a span that has no token"
MICRO_ROWS = 4096


def shard_batches(batches: Iterator[pa.RecordBatch], job: EntityJob) -> Iterator[pa.RecordBatch]:
    """Turn rows of `EntityPlan.rows` into rows of `SCHEMA`.

    `tokens` are int32 ids as bytes, of any number; `label` is as many tags, int32 as bytes, `IGNORED` for [CLS] and the
    like. A row that cannot be used goes to the split `DROPPED`, with the reason.
    """
    encoder = SpanEncoder(job.tokenizer, [step.build() for step in job.steps], job.length)
    labels = pa.array(job.labels, pa.string())
    for whole in batches:
        for start in range(0, whole.num_rows, MICRO_ROWS):
            yield _shard(whole.slice(start, MICRO_ROWS), job.words, encoder, labels)


def _shard(batch: pa.RecordBatch, of_words: bool, encoder: SpanEncoder, labels: pa.Array) -> pa.RecordBatch:
    reasons = Reasons(batch.num_rows)
    words = join_words(batch.column("words")) if of_words else None
    texts = batch.column("text") if words is None else words.texts
    found = encoder.locate(texts)
    encoded = found.encoded
    _add(reasons, words.errors if words is not None else [])
    _add(reasons, encoded.errors)
    if words is None:
        lengths = np.asarray(pc.fill_null(pc.utf8_length(texts), 0), np.int64)
        spans = spans_of_structs(batch.column("label"), lengths, labels, reasons)
    else:
        spans = spans_of_tags(batch.column("label"), words, labels, reasons)
    tags, reached = tag_tokens(found, spans)
    rows, sizes = batch.num_rows, np.diff(encoded.offsets)
    reasons.add((np.bincount(spans.row[~reached], minlength=rows) > 0) & ~encoded.cut, NO_TOKEN)
    counted = np.repeat(np.arange(rows), sizes)[tags != IGNORED]
    reasons.add(np.bincount(counted, minlength=rows) == 0, EMPTY)
    split = np.where(reasons.none(), batch.column("split").to_numpy(), DROPPED).astype(np.int32)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(split),
            batch.column("row"),
            as_binary(tags, encoded.offsets),
            as_binary(encoded.ids, encoded.offsets),
            pa.array(sizes.astype(np.int32)),
            pa.array(encoded.cut),
            reasons.array(),
        ],
        names=["split", "row", "label", "tokens", "length", "cut", "error"],
    )


def _add(reasons: Reasons, errors: list[str | None]) -> None:
    for said in dict.fromkeys(filter(None, errors)):
        reasons.add(np.array([error == said for error in errors]), said)


def tag_counts(batches: Iterator[pa.RecordBatch], tags: int) -> Iterator[pa.RecordBatch]:
    """Yield how many tokens have each tag in each batch of shards: `counts` array<bigint>."""
    for batch in batches:
        every = np.frombuffer(b"".join(batch.column("label").to_pylist()), np.int32)
        counts = np.bincount(every[every >= 0], minlength=tags)
        yield pa.RecordBatch.from_pydict({"counts": pa.array([counts.tolist()], pa.list_(pa.int64()))})
