"""What a row's label column says -> spans of characters, and why a row cannot be used. Runs on executors."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.text.spans import Spans, Words, list_lengths, runs
from sparknn_magic.data.vectors.shards import Reasons

NULL_LABEL = "null label"
INCOMPLETE = "a span without start, end or label"
EMPTY_SPAN = "an empty span"
BEYOND = "a span outside the text"
OVERLAPPING = "overlapping spans"
UNKNOWN = "label not among the training labels"
LENGTHS = "words and tags differ in number"
NO_TAG = "a tag that is none of O, B-x, I-x"
NULL_TAG = "null tag"


def spans_of_structs(column: pa.Array, lengths: np.ndarray, labels: pa.Array, reasons: Reasons) -> Spans:
    """Return the spans of array<struct<start: bigint, end: bigint, label: string>>, of the rows that can be used.

    `lengths` int64[rows] are those of the texts, in characters; `labels` are all that are known. What is wrong with a
    row goes to `reasons`.
    """
    counts = list_lengths(column)
    row = np.repeat(np.arange(len(column)), counts)
    flat = column.flatten()
    start, end, name = (pc.struct_field(flat, field) for field in ("start", "end", "label"))
    missing = np.asarray(start.is_null()) | np.asarray(end.is_null()) | np.asarray(name.is_null())
    start, end = (np.asarray(pc.fill_null(each, 0), np.int64) for each in (start, end))
    known = pc.index_in(name, value_set=labels)
    label = np.asarray(pc.fill_null(known, -1), np.int64)

    def wrong(spans: np.ndarray, words: str) -> None:
        reasons.add(np.bincount(row[spans], minlength=len(column)) > 0, words)

    reasons.add(np.asarray(column.is_null()), NULL_LABEL)
    wrong(missing, INCOMPLETE)
    wrong(start >= end, EMPTY_SPAN)
    wrong((start < 0) | (end > lengths[row]), BEYOND)
    wrong(label < 0, UNKNOWN)
    order = np.lexsort((start, row))
    row, start, end, label = (each[order] for each in (row, start, end, label))
    over = np.zeros(len(row), bool)
    over[1:] = (row[1:] == row[:-1]) & (start[1:] < end[:-1])
    wrong(over, OVERLAPPING)
    good = reasons.none()[row]
    return Spans(*(each[good] for each in (row, start, end, label)))


def spans_of_tags(column: pa.Array, words: Words, labels: pa.Array, reasons: Reasons) -> Spans:
    """Return the spans, in characters of the rows' texts, of array<string> with a tag for each word.

    `labels` and `reasons` as in `spans_of_structs`. An I- without a B- begins an entity.
    """
    counts = list_lengths(column)
    reasons.add(np.asarray(column.is_null()), NULL_LABEL)
    reasons.add(counts != words.counts, LENGTHS)
    flat = column.flatten()
    row = np.repeat(np.arange(len(column)), counts)
    label, begins, tag = read_tags(flat, labels)

    def wrong(tags: np.ndarray, said: str) -> None:
        reasons.add(np.bincount(row[tags], minlength=len(column)) > 0, said)

    wrong(np.asarray(flat.is_null()), NULL_TAG)
    wrong(~tag, NO_TAG)
    wrong(tag & (label == len(labels)), UNKNOWN)
    good = np.flatnonzero(reasons.none()[row])  # of these rows there are as many words as tags
    places = np.flatnonzero(reasons.none()[words.row])
    first, last = runs(row[good], label[good], begins[good])
    return Spans(row[good][first], words.start[places[first]], words.end[places[last]], label[good][first])


def read_tags(tags: pa.Array, labels: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each tag its label's number, whether it is a B-, and whether it is a tag at all.

    The number is -1 for O, and len(labels) for a label that is not known.
    """
    coded = tags.dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    numbers = {name: n for n, name in enumerate(labels.to_pylist())}
    each = [_tag(text, numbers) for text in coded.dictionary.to_pylist()]
    index = np.asarray(pc.fill_null(coded.indices, len(each)), np.int64)
    table = np.array([*each, (-1, False, True)], np.int64)[index].reshape(-1, 3)
    return table[:, 0], table[:, 1] > 0, table[:, 2] > 0


def _tag(text: str, numbers: dict[str, int]) -> tuple[int, bool, bool]:
    if text == "O":
        return -1, False, True
    if text[:2] not in ("B-", "I-") or len(text) < 3:
        return -1, False, False
    return numbers.get(text[2:], len(numbers)), text[0] == "B", True
