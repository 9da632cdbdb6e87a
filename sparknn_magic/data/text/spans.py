"""Spans of texts and tags of tokens, each made of the other. Runs on executors: numpy, pyarrow and tokenizers.

A tag is a number: 0 is "O", outside; 2k + 1 is "B-x" and 2k + 2 is "I-x" of the k-th label, its first token and the
others. Places in a text are numbers of characters (code points, as Spark's `substring` counts them), and the end of a
span is the first character behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Encoding, Regex, Tokenizer, models, pre_tokenizers

from sparknn_magic.data.text.tokenizing import MOST_CHARACTERS, WORD_START, Encoded, Encoder, parts, ranges, strings
from sparknn_magic.errors import SpecError

OUTSIDE = "O"
IGNORED = -100  # the tag of a token that stands for no character, such as [CLS]
NULL_WORD = "null word"


def tags_of(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the tags of labels: O, B-x, I-x, B-y, ..."""
    return (OUTSIDE, *(f"{begin}-{label}" for label in labels for begin in "BI"))


def labels_of(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the labels that tags are made of."""
    return tuple(tag[2:] for tag in tags[1::2])


@dataclass(frozen=True, slots=True)
class Located:
    """The tokens of some rows, and the characters that each stands for."""

    encoded: Encoded
    starts: np.ndarray  # int32[tokens]: its first character in the row's text
    ends: np.ndarray  # int32[tokens]: the first one behind it; the same as its start for [CLS] and the like


class SpanEncoder(Encoder):
    """Texts -> ids and places of tokens, at most `length` of them a row, special tokens among them."""

    def __init__(self, tokenizer_json: str, steps: Sequence[Any] = (), length: int = 512):
        """Raises: SpecError where a step is a plain function, behind which places are lost; and as `Encoder` does."""
        super().__init__(tokenizer_json, steps, length)
        if self.functions:
            raise SpecError("a preprocessor that is a function of a text loses the places of its characters.")
        self._encode = partial(self.tokenizer.encode_batch, add_special_tokens=False)
        self._words = _words_of(self.tokenizer)
        self._places: tuple[np.ndarray, np.ndarray] = (np.empty(0, np.int32), np.empty(0, np.int64))

    def locate(self, texts: pa.Array) -> Located:
        """Return the tokens of each row with their places; errors and cut texts as `encode` has them."""
        found = self.encode(texts)
        flat, counts = self._places
        before, behind = self.single
        lengths = np.diff(found.offsets)
        kept = np.maximum(lengths - len(before) - len(behind), 0)
        there = ranges(found.offsets[:-1] + len(before), kept)
        here = ranges(np.cumsum(counts) - counts, kept)
        places = np.zeros((len(found.ids), 2), np.int32)
        places[there] = flat.reshape(-1, 2)[here]
        return Located(found, places[:, 0], places[:, 1])

    def trim(self, pieces: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return how many characters at the start and at the end of each piece of a text are no part of a word.

        That is white space, which some tokenizers count to the word behind it, and what the preprocessors remove there:
        of " <b>Paris" the first four. Of a piece without a word it is all.
        """
        before, behind = np.zeros((2, len(pieces)), np.int64)
        for n, (piece, found) in enumerate(zip(pieces, self._words.encode_batch(list(pieces)), strict=True)):
            places = [place for place in found.offsets if place[1] > place[0]]
            before[n] = places[0][0] if places else len(piece)
            behind[n] = len(piece) - places[-1][1] if places else 0
        return before, behind

    def _ids(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, places, counts = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for part in parts(texts):
            found: list[Encoding] = self._encode(part)
            counts.append(np.fromiter(map(len, found), np.int64, len(found)))
            tokens = int(counts[-1].sum())
            ids.append(np.fromiter(chain.from_iterable(e.ids for e in found), np.int32, tokens))
            pairs = chain.from_iterable(chain.from_iterable(e.offsets for e in found))
            places.append(np.fromiter(pairs, np.int32, 2 * tokens))
        self._places = np.concatenate(places), np.concatenate(counts)
        return np.concatenate(ids), self._places[1]


def _words_of(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer that finds what stands between white space, after the same normalizers."""
    words = Tokenizer(models.WordLevel({"": 0}, unk_token=""))
    if tokenizer.normalizer is not None:
        words.normalizer = tokenizer.normalizer
    words.pre_tokenizer = pre_tokenizers.Split(Regex(rf"[\s{WORD_START}]+"), "removed")
    return words


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of some rows, in the order of the rows and of their starts; those of a row do not overlap."""

    row: np.ndarray  # int64[spans]
    start: np.ndarray  # int64[spans]
    end: np.ndarray  # int64[spans]
    label: np.ndarray  # int64[spans]: the number of its label


def tag_tokens(found: Located, spans: Spans) -> tuple[np.ndarray, np.ndarray]:
    """Return the tag of each token, int32[tokens], and of each span whether it has a token, bool[spans].

    A token belongs to the span that it shares a character with; of several, to the first.
    """
    rows = np.repeat(np.arange(len(found.encoded.offsets) - 1), np.diff(found.encoded.offsets))
    tags = np.full(len(rows), IGNORED, np.int32)
    reached = np.zeros(len(spans.row), bool)
    places = np.flatnonzero(found.ends > found.starts)
    tags[places] = 0
    of_span = overlapped(rows[places], found.starts[places], found.ends[places], spans)
    inside = of_span >= 0
    places, of_span = places[inside], of_span[inside]
    first = np.diff(of_span, prepend=-1) != 0
    tags[places] = 2 * spans.label[of_span] + np.where(first, 1, 2)
    reached[of_span] = True
    return tags, reached


def overlapped(row: np.ndarray, start: np.ndarray, end: np.ndarray, spans: Spans) -> np.ndarray:
    """Return for each stretch of a row's text the first span that shares a character with it, -1 for none."""
    if not len(spans.row):
        return np.full(len(row), -1)
    step = MOST_CHARACTERS + 1  # so that a place in one row is beyond all places of the row before
    ends = np.minimum(spans.end, MOST_CHARACTERS)  # no token stands behind them
    found = np.searchsorted(spans.row * step + ends, row.astype(np.int64) * step + start, side="right")
    nearest = np.minimum(found, len(spans.row) - 1)
    shared = (found < len(spans.row)) & (spans.row[nearest] == row) & (spans.start[nearest] < end)
    return np.where(shared, nearest, -1)


def runs(row: np.ndarray, label: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where runs of one label begin and end in a list of tokens, rows one after the other: first, last.

    `label` is -1 outside; `begins` is where a new run starts although the label is the same. An I- without a B- before
    it, or behind another label, begins a run, as seqeval's default mode has it.
    """
    inside = label >= 0
    goes_on = np.zeros(len(row), bool)
    goes_on[1:] = inside[1:] & (label[1:] == label[:-1]) & (row[1:] == row[:-1]) & ~begins[1:]
    stays = np.append(goes_on[1:], False)
    return np.flatnonzero(inside & ~goes_on), np.flatnonzero(inside & ~stays)


@dataclass(frozen=True, slots=True)
class Words:
    """Rows of words as texts, a space between two words."""

    texts: pa.Array  # of strings; null where a row has no list
    errors: list[str | None]  # why a row cannot be read
    counts: np.ndarray  # int64[rows]: words of each row
    row: np.ndarray  # int64[words]
    start: np.ndarray  # int64[words], in the row's text
    end: np.ndarray  # int64[words]

    @property
    def number(self) -> np.ndarray:
        """The number of each word in its row, from 0: int64[words]."""
        return ranges(np.zeros(len(self.counts), np.int64), self.counts)

    def spans(self) -> Spans:
        """Return the words that have characters as spans, their place among all words as label."""
        there = np.flatnonzero(self.end > self.start)
        return Spans(self.row[there], self.start[there], self.end[there], there)


def join_words(column: pa.Array) -> Words:
    """Return the texts of an array of lists of strings. A row with a null word, or one that is no UTF-8, says so."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    counts = list_lengths(column)
    row = np.repeat(np.arange(len(column)), counts)
    wrong: list[str | None] = [None] * len(row)
    words = strings(column.flatten().cast(pa.string(), safe=False), wrong)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    errors: list[str | None] = [None] * len(column)
    for place in np.flatnonzero([reason is not None for reason in wrong]):
        errors[row[place]] = NULL_WORD if wrong[place] == "null text" else wrong[place]
    first = np.repeat(np.cumsum(counts) - counts, counts)  # word of each word's row
    before = np.cumsum(lengths + 1) - lengths - 1  # characters of all words before it, a space behind each
    start = before - before[first] if len(row) else before
    ends = np.cumsum(counts)
    texts = [" ".join(words[end - n : end]) for n, end in zip(counts.tolist(), ends.tolist(), strict=True)]
    mask = np.asarray(column.is_null())
    return Words(pa.array(texts, pa.string(), mask=mask), errors, counts, row, start, start + lengths)


def list_lengths(column: pa.Array) -> np.ndarray:
    """Return how many values each list has, int64[rows]; 0 for a null."""
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
