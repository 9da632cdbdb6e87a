"""Columns of texts -> batches of token ids for a model file. Runs on executors: numpy, pyarrow and tokenizers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from sparknn_magic.data.text.tokenizing import Encoded, Encoder, text_inputs
from sparknn_magic.errors import DataError
from sparknn_magic.plugin import Part

# Tokens in one call of the network, padding among them, for each thread: the activations then fit in its caches.
BATCH_TOKENS = 2048
BLOCK_ROWS = 4096  # texts that are tokenized, and sorted by length, together


class TextReader:
    """Reads rows of one or two columns of texts; see `text_reader`."""

    def __init__(self, steps: Sequence[Part], tokenizer: str, length: int, columns: int):
        json = Path(tokenizer).read_text(encoding="utf-8")
        self.encoder = Encoder(json, [step.build() for step in steps], length)
        self.pad = text_inputs(json, length).pad
        self.columns = columns

    def batches(
        self, *columns: pa.Array, errors: list[str | None], threads: int = 1
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Yield positions int64[rows] and `input_ids`, `attention_mask` int64[rows, tokens], short texts first.

        `errors` grows by one entry for each row: None, or why it cannot be read.
        Raises: DataError where a column holds no texts.
        """
        if len(columns) != self.columns:
            raise DataError(f"the model reads {self.columns} column(s) of texts; it was given {len(columns)}.")
        columns = tuple(text_column(column) for column in columns)
        budget = BATCH_TOKENS * max(1, threads)
        for start in range(0, len(columns[0]), BLOCK_ROWS):
            block = [column[start : start + BLOCK_ROWS] for column in columns]
            found = self.encoder.encode(block[0], block[1] if len(block) == 2 else None)
            errors += found.errors
            for rows in by_budget(found, budget):
                yield rows + start, padded(found, rows, self.pad)


def text_column(column: pa.Array) -> pa.Array:
    """Return the column; of `SELECT model(NULL)` one of strings. Raises: DataError where it holds no texts."""
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"a column of texts holds strings, not {kind}.")
    return column


def text_reader(*, steps: Sequence[Part] = (), tokenizer: str, length: int, columns: int = 1) -> TextReader:
    """Return a reader of texts, which forms its batches itself.

    `steps` are preprocessors of texts, `tokenizer` is the path of tokenizer.json, `length` how many tokens are read.
    """
    return TextReader(steps, tokenizer, length, columns)


def by_budget(found: Encoded, budget: int) -> Iterator[np.ndarray]:
    """Yield positions int64[rows] of the texts that could be read: rows * longest stays within the budget.

    Texts of about one length come together, the short ones first. A text that exceeds the budget comes alone.
    """
    lengths = np.diff(found.offsets)
    readable = np.flatnonzero(np.array([error is None for error in found.errors], bool))
    order = readable[np.argsort(lengths[readable], kind="stable")]
    start = 0
    while start < len(order):
        # Ascending lengths: n rows from here cost n * the length of the last of them.
        costs = np.arange(1, len(order) - start + 1) * lengths[order[start:]]
        end = start + max(1, int(np.searchsorted(costs, budget, side="right")))
        yield order[start:end]
        start = end


def padded(found: Encoded, rows: np.ndarray, pad: int) -> dict[str, np.ndarray]:
    """Return `input_ids` and `attention_mask` int64[rows, longest of these rows]."""
    index, inside = laid_out(found.offsets, rows)
    ids = np.where(inside, found.ids[index], pad).astype(np.int64)
    return {"input_ids": ids, "attention_mask": (ids != pad).astype(np.int64)}


def laid_out(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each row's tokens are among all: int64[rows, longest of these rows]; and which are of the row."""
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    position = np.arange(max(1, int(lengths.max())))
    return np.minimum(starts[:, None] + position, offsets[-1] - 1), position < lengths[:, None]
