"""A column of texts, or of words -> batches of tokens with their places. Runs on executors: numpy, pyarrow, tokenizers.

What the column holds decides what the places of entities count: characters of a text, or words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from sparknn_magic.data.pixels import is_list
from sparknn_magic.data.text.spans import Located, SpanEncoder, Words, join_words
from sparknn_magic.data.text.tokenizing import strings, text_inputs
from sparknn_magic.data.text.worker import BATCH_TOKENS, BLOCK_ROWS, by_budget, laid_out, padded, text_column
from sparknn_magic.errors import DataError
from sparknn_magic.plugin import Part


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows that are tokenized together."""

    encoder: SpanEncoder
    texts: list[str]  # "" where a row cannot be read
    words: Words | None  # of rows of words
    found: Located


class TokenBatch(dict[str, np.ndarray]):
    """The inputs of the network, `input_ids` and `attention_mask` int64[B, T], and what its answers are about."""

    def __init__(self, block: Block, rows: np.ndarray, pad: int):
        super().__init__(padded(block.found.encoded, rows, pad))
        self.block, self.rows = block, rows  # of the block, int64[B]
        index, inside = laid_out(block.found.encoded.offsets, rows)
        self.starts = np.where(inside, block.found.starts[index], 0)  # int32[B, T]
        self.ends = np.where(inside, block.found.ends[index], 0)


class EntityReader:
    """Reads rows of one column of texts, or of words; see `entity_reader`."""

    def __init__(self, steps: Sequence[Part], tokenizer: str, length: int):
        json = Path(tokenizer).read_text(encoding="utf-8")
        self.encoder = SpanEncoder(json, [step.build() for step in steps], length)
        self.pad = text_inputs(json, length).pad

    def batches(
        self, *columns: pa.Array, errors: list[str | None], threads: int = 1
    ) -> Iterator[tuple[np.ndarray, TokenBatch]]:
        """Yield positions int64[rows] and their batch, short texts first.

        `errors` grows by one entry for each row: None, or why it cannot be read.
        Raises: DataError where a column holds neither texts nor lists of words.
        """
        if len(columns) != 1:
            raise DataError(f"the model reads one column of texts; it was given {len(columns)}.")
        column, budget = columns[0], BATCH_TOKENS * max(1, threads)
        of_words = is_list(column.type)
        column = column if of_words else text_column(column)
        for start in range(0, len(column), BLOCK_ROWS):
            block, wrong = self._block(column[start : start + BLOCK_ROWS], of_words)
            errors += wrong
            for rows in by_budget(block.found.encoded, budget):
                yield rows + start, TokenBatch(block, rows, self.pad)

    def _block(self, column: pa.Array, of_words: bool) -> tuple[Block, list[str | None]]:
        if of_words:
            words = join_words(_word_column(column))
            found = self.encoder.locate(words.texts)
            errors = found.encoded.errors
            for row, reason in enumerate(words.errors):
                errors[row] = reason or errors[row]
            return Block(self.encoder, [text or "" for text in words.texts.to_pylist()], words, found), errors
        found = self.encoder.locate(column)
        return Block(self.encoder, strings(column, list(found.encoded.errors)), None, found), found.encoded.errors


def _word_column(column: pa.Array) -> pa.Array:
    kind = column.type.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise DataError(f"a column of words holds lists of strings, not {column.type}.")
    return column


def entity_reader(*, steps: Sequence[Part] = (), tokenizer: str, length: int, columns: int = 1) -> EntityReader:
    """Return a reader of texts or words, which forms its batches itself.

    `steps` are preprocessors of texts, `tokenizer` is the path of tokenizer.json, `length` how many tokens are read.
    """
    return EntityReader(steps, tokenizer, length)
