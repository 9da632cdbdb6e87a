"""Tags of tokens -> named entities, on executors: a batch's outputs are looked at as they come.

B rows of a batch, T tokens, K tags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.entities.worker import TokenBatch
from sparknn_magic.data.text.spans import labels_of, overlapped, runs
from sparknn_magic.infer.worker import NO_NUMBER


@dataclass(frozen=True, slots=True)
class Found:
    """Entities, in no order of the rows."""

    row: np.ndarray  # int64[entities]
    start: np.ndarray  # int64[entities], of characters or words
    end: np.ndarray  # int64[entities]
    label: np.ndarray  # int64[entities]
    score: np.ndarray  # float32[entities]
    text: list[str]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a batch that stand for characters, row by row; of rows of words the first of each word."""

    row: np.ndarray  # int64[tokens], in the batch
    start: np.ndarray  # int64[tokens], of characters or words
    end: np.ndarray  # int64[tokens]
    tag: np.ndarray  # int64[tokens]
    score: np.ndarray  # float32[tokens]: the probability of the tag
    apart: np.ndarray  # bool[tokens]: the word before it has no token

    def taken(self, places: np.ndarray) -> "Tokens":
        """Return some of them."""
        return Tokens(*(getattr(self, name)[places] for name in self.__slots__))


def entity_writer(*, tags: Sequence[str]) -> "EntityWriter":
    """Return a writer of struct<entities, error>, one for each row.

    `tags` are those of the network's outputs, O first. An entity is a run of tokens with tags of one label; an I- that
    no tag of its label stands before begins one, as seqeval's default mode has it. Its score is the mean probability of
    its tokens' tags (in rows of words, of the first token of each word). Where the model's function is given a least
    score, entities below it are left out. Rows that were not scored have null entities.
    """
    return EntityWriter(tuple(tags))


@dataclass(frozen=True, slots=True)
class EntityWriter:
    """Makes a `Gatherer` for each array of rows."""

    tags: tuple[str, ...]

    def begin(self) -> "Gatherer":
        """Return what takes the outputs of the batches of some rows."""
        return Gatherer(pa.array(labels_of(self.tags), pa.string()))


@dataclass
class Gatherer:
    """Takes batches in any order, and gives the predictions in the order of the rows."""

    labels: pa.Array
    found: list[Found] = field(default_factory=list)

    def take(
        self, index: np.ndarray, batch: TokenBatch, outputs: Mapping[str, np.ndarray], errors: list[str | None]
    ) -> None:
        """Find the entities of a batch: `probabilities` float32[B, T, K], `index` int64[B, T]; rows int64[B].

        A row with a probability that is no number has the reason in `errors`.
        """
        tags = outputs["index"]
        scores = np.take_along_axis(outputs["probabilities"], tags[:, :, None], axis=2)[:, :, 0]
        bad = (~np.isfinite(scores) & (batch["attention_mask"] > 0)).any(1)
        for row in index[bad].tolist():
            errors[row] = NO_NUMBER
        tokens = _tokens(batch, tags, scores, ~bad)
        label = (tokens.tag + 1) // 2 - 1  # -1: O
        first, last = runs(tokens.row, label, (tokens.tag % 2 == 1) | tokens.apart)
        if len(first):
            self.found.append(_entities(index, batch, tokens, label, first, last))

    def finish(self, errors: list[str | None], least: pa.Array | None = None) -> pa.Array:
        """Return struct<entities, error> of each row; `least` is the least score, one a row, null for none."""
        row, start, end, label, score = (
            np.concatenate([np.empty(0, kind), *(getattr(each, name) for each in self.found)])
            for name, kind in (("row", int), ("start", int), ("end", int), ("label", int), ("score", np.float32))
        )
        text = [words for each in self.found for words in each.text]
        order = np.lexsort((start, row))
        if least is not None:
            floor = np.asarray(pc.fill_null(least.cast(pa.float64()), -np.inf))
            order = order[~(score[order] < floor[row[order]])]
        entities = pa.StructArray.from_arrays(
            [
                pa.array(start[order].astype(np.int32)),
                pa.array(end[order].astype(np.int32)),
                self.labels.take(pa.array(label[order])),
                pa.array(text, pa.string()).take(pa.array(order)),
                pa.array(score[order].astype(np.float32)),
            ],
            names=["start", "end", "label", "text", "score"],
        )
        counts = np.bincount(row[order], minlength=len(errors))
        missing = np.array([error is not None for error in errors], bool)
        lists = pa.ListArray.from_arrays(
            pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32)),
            entities,
            type=pa.list_(pa.field("element", entities.type)),
            mask=pa.array(missing) if missing.any() else None,
        )
        return pa.StructArray.from_arrays([lists, pa.array(errors, pa.string())], names=["entities", "error"])


def _tokens(batch: TokenBatch, tags: np.ndarray, scores: np.ndarray, good: np.ndarray) -> Tokens:
    row, place = np.nonzero((batch.ends > batch.starts) & good[:, None])
    start, end = batch.starts[row, place].astype(np.int64), batch.ends[row, place].astype(np.int64)
    nothing = np.zeros(len(row), bool)
    tokens = Tokens(row, start, end, tags[row, place], scores[row, place], nothing)
    return tokens if batch.block.words is None else _first_of_words(batch, tokens)


def _first_of_words(batch: TokenBatch, tokens: Tokens) -> Tokens:
    """Return the first token of each word, with the word's number in its row as its place."""
    words = batch.block.words
    assert words is not None
    spans = words.spans()
    of_span = overlapped(batch.rows[tokens.row], tokens.start, tokens.end, spans)
    first = np.flatnonzero((of_span >= 0) & (np.diff(of_span, prepend=-1) != 0))
    number = words.number[spans.label[of_span[first]]]
    found = tokens.taken(first)
    apart = np.diff(number, prepend=-1) != 1
    return Tokens(found.row, number, number + 1, found.tag, found.score, apart)


def _entities(
    index: np.ndarray, batch: TokenBatch, tokens: Tokens, label: np.ndarray, first: np.ndarray, last: np.ndarray
) -> Found:
    sums = np.concatenate(([0.0], np.cumsum(tokens.score, dtype=np.float64)))
    score = ((sums[last + 1] - sums[first]) / (last + 1 - first)).astype(np.float32)
    row, start, end = tokens.row[first], tokens.start[first], tokens.end[last]
    if batch.block.words is None:
        start, end, texts = _trimmed(batch, row, start, end)
    else:
        texts = _joined(batch, row, start, end)
    there = np.array([bool(text) for text in texts])
    kept = [each[there] for each in (index[row], start, end, label[first], score)]
    return Found(kept[0], kept[1], kept[2], kept[3], kept[4], [text for text in texts if text])


def _trimmed(
    batch: TokenBatch, row: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the spans without what is no part of a word at their ends, and their texts."""
    texts, rows = batch.block.texts, batch.rows[row].tolist()
    before, behind = batch.block.encoder.trim(
        [texts[n][a:b] for n, a, b in zip(rows, start.tolist(), end.tolist(), strict=True)]
    )
    start, end = start + before, end - behind
    return start, end, [texts[n][a:b] for n, a, b in zip(rows, start.tolist(), end.tolist(), strict=True)]


def _joined(batch: TokenBatch, row: np.ndarray, start: np.ndarray, end: np.ndarray) -> list[str]:
    """Return the words from `start` to before `end`, a space between two."""
    words = batch.block.words
    assert words is not None
    rows = batch.rows[row]
    before = (np.cumsum(words.counts) - words.counts)[rows]
    begin, stop = words.start[before + start], words.end[before + end - 1]
    texts = batch.block.texts
    return [texts[n][a:b] for n, a, b in zip(rows.tolist(), begin.tolist(), stop.tolist(), strict=True)]
