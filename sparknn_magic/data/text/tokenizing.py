"""Texts -> token ids, by the `tokenizers` library. Runs on executors: standard library, numpy, pyarrow and tokenizers.

Preprocessors of texts come as a list in the cell's order. The Normalizers behind the last plain function become part of
tokenizer.json; everything up to that function is applied to the text before the tokenizer sees it.

Words that look like special tokens, such as "[SEP]", are text where a user writes them: `Encoder` turns on
`encode_special_tokens`, which tokenizer.json does not hold, so whoever loads that file alone turns it on too.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer, normalizers

from sparknn_magic.data.text.lookup import Ids, lookup
from sparknn_magic.errors import BundleError, DataError, PluginError, SparkNNError, SpecError
from sparknn_magic.plugin import Part, TextInputs

MOST_CHARACTERS = 1_000_000  # of a text; what is behind them is cut
AT_ONCE = 500_000  # characters that are encoded in one call: a token takes some 200 bytes until its id is read
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids 0 to 3 of every tokenizer that is trained here
PADS, SEPARATORS = ("[PAD]", "<pad>"), ("[SEP]", "</s>")
WORD_START = "▁"
NULL, EMPTY, NOT_UTF8 = "null text", "empty text", "not valid UTF-8"

Function = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of some rows; a row with an error has none."""

    ids: np.ndarray  # int32[tokens], row after row
    offsets: np.ndarray  # int64[rows + 1]: row n has ids[offsets[n]:offsets[n + 1]]
    errors: list[str | None]  # why a row has no tokens
    cut: np.ndarray  # bool[rows]: the text was longer than what is left of it


def train_tokenizer(part: Part, texts: Iterable[str], steps: Sequence[Any]) -> str:
    """Train the tokenizer `part` on texts, after the preprocessors `steps`; return tokenizer.json.

    Texts of white space alone are left out. The same texts in the same order give the same file.
    Raises: DataError where there are no texts; PluginError where the tokenizer breaks its contract; SpecError as the
    plugin does.
    """
    one_thread()
    functions, normalizer = split_steps(steps)
    applied = chain.from_iterable(_applied(functions, text) for text in texts)
    written = (text for text in applied if text.strip())
    first = next(written, None)
    if first is None:
        raise DataError("there are no texts to train the tokenizer on: all are null or empty.")
    tokenizer = part.build(chain([first], written), normalizer)
    if not isinstance(tokenizer, Tokenizer):
        raise PluginError(f"{part.ref} returns a {type(tokenizer).__name__}, not a tokenizers.Tokenizer.")
    found = [tokenizer.token_to_id(token) for token in SPECIALS]
    if found != [0, 1, 2, 3]:
        raise PluginError(f"{part.ref}: the ids of {', '.join(SPECIALS)} are {found}; they must be 0, 1, 2 and 3.")
    return tokenizer.to_str()


def _applied(functions: Sequence[Function], text: str) -> list[str]:
    """Return the text after the functions; nothing where one refuses it, as such a row is no training row either."""
    try:
        return [_apply(functions, text[:MOST_CHARACTERS])]
    except ValueError:
        return []


def with_normalizers(tokenizer_json: str, steps: Sequence[Any]) -> str:
    """Put our normalizers in front of a pretrained tokenizer's own; it neither cuts nor pads then.

    Raises: BundleError where this is no tokenizer.json.
    """
    tokenizer = _read(tokenizer_json)
    _, normalizer = split_steps(steps)
    both = [each for each in (normalizer, tokenizer.normalizer) if each is not None]
    if normalizer is not None:
        tokenizer.normalizer = normalizers.Sequence(both)
    return tokenizer.to_str()


def text_inputs(tokenizer_json: str, length: int) -> TextInputs:
    """Return what a text architecture is built for: this tokenizer, rows of at most `length` tokens.

    The padding is "[PAD]" or "<pad>", or else a special token that no text has; the separator "[SEP]" or "</s>". The
    start of a word is "▁" where every other token is a single character.
    Raises: BundleError where there is nothing to pad with, or this is no tokenizer.json.
    """
    tokenizer = _read(tokenizer_json)
    ids = tokenizer.get_vocab(with_added_tokens=True)
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    single = WORD_START in ids and all(len(token) == 1 for token in ids if token not in added)
    return TextInputs(
        vocabulary=max(ids.values()) + 1,  # some have gaps
        length=length,
        pad=_pad(tokenizer, ids),
        separator=next((ids[token] for token in SEPARATORS if token in ids), None),
        word_start=ids[WORD_START] if single else None,
    )


def _pad(tokenizer: Tokenizer, ids: dict[str, int]) -> int:
    """Return an id that stands in no text: what equals it is masked."""
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    used = {token for pair in (False, True) for part in _around(tokenizer, pair) for token in part.tolist()}
    unused = [token for token in special if ids[token] not in used]
    found = next((ids[token] for token in [*PADS, *unused] if token in ids), None)
    if found is None:
        raise BundleError(f"the tokenizer has no token to fill short rows with, such as {' or '.join(PADS)}.")
    return found


def split_steps(steps: Sequence[Any]) -> tuple[list[Function], Any]:
    """Return what is applied before the tokenizer, and the Normalizer that goes into it (None: there is none).

    Raises: PluginError where a step is neither a function nor a Normalizer.
    """
    for step in steps:
        if not callable(step) and not isinstance(step, normalizers.Normalizer):
            raise PluginError(f"a preprocessor of texts is a {type(step).__name__}, not a function or a Normalizer.")
    plain = [n for n, step in enumerate(steps) if not isinstance(step, normalizers.Normalizer)]
    first = plain[-1] + 1 if plain else 0
    functions = [s.normalize_str if isinstance(s, normalizers.Normalizer) else s for s in steps[:first]]
    behind = list(steps[first:])
    return functions, (normalizers.Sequence(behind) if len(behind) > 1 else next(iter(behind), None))


class Encoder:
    """Texts -> ids, at most `length` of them a row, special tokens among them.

    `steps` are the preprocessors it was made with: the Normalizers at their end are in its file already.
    """

    def __init__(self, tokenizer_json: str, steps: Sequence[Any] = (), length: int = 512):
        """Raises: SpecError where the special tokens leave no room for text; BundleError for no tokenizer.json."""
        one_thread()
        self.tokenizer = _read(tokenizer_json)
        self.tokenizer.encode_special_tokens = True  # what users write is text
        self.functions, _ = split_steps(steps)
        self.length = length
        self.single = _around(self.tokenizer, pair=False)
        self.double = _around(self.tokenizer, pair=True)
        least = sum(map(len, self.single)) + 1
        if length < least:
            raise SpecError(f"max_length is {length}; this tokenizer needs at least {least} for a token of text.")
        encode = getattr(self.tokenizer, "encode_batch_fast", self.tokenizer.encode_batch)
        self._encode = partial(encode, add_special_tokens=False)
        self._lookup = lookup(self.tokenizer)

    def encode(self, texts: pa.Array, pair: pa.Array | None = None) -> Encoded:
        """Return the tokens of each row, of a text or of a pair of texts.

        Of a pair the longer text is cut first, until both have the same length. What is wrong with a row is in
        `errors`: "null text", "empty text" (nothing but special tokens), "not valid UTF-8", or what a function says.
        """
        errors: list[str | None] = [None] * len(texts)
        cut = np.zeros(len(texts), bool)
        columns = [self._texts(column, errors, cut) for column in (texts, pair) if column is not None]
        flat = [self._ids(column) for column in columns]
        lengths = np.stack([counts for _, counts in flat])  # int64[texts of a row, rows]
        around = self.single if pair is None else self.double
        room = self.length - sum(map(len, around))
        if room < len(columns):
            raise SpecError(f"max_length is {self.length}; a pair of texts needs at least {self.length - room + 2}.")
        kept = _shortened(lengths, room)
        cut |= (kept < lengths).any(0)
        for row in np.flatnonzero(lengths.sum(0) == 0):
            errors[row] = errors[row] or EMPTY
        good = np.array([error is None for error in errors], bool)
        ids, offsets = _joined([ids for ids, _ in flat], lengths, kept, around, good)
        return Encoded(ids, offsets, errors, cut & good)

    def _texts(self, column: pa.Array, errors: list[str | None], cut: np.ndarray) -> list[str]:
        """Return the texts, "" where there is an error."""
        found = strings(column, errors)
        for row, text in enumerate(found):
            if len(text) > MOST_CHARACTERS:
                found[row], cut[row] = text[:MOST_CHARACTERS], True
        if self.functions:
            for row, text in enumerate(found):
                found[row] = "" if errors[row] else self._apply(row, text, errors)
        return found

    def _apply(self, row: int, text: str, errors: list[str | None]) -> str:
        try:
            return _apply(self.functions, text)
        except UnicodeEncodeError:
            errors[row] = NOT_UTF8
        except ValueError as error:
            errors[row] = str(error)
        return ""

    def _ids(self, texts: list[str]) -> Ids:
        """Return the ids of all texts, int32, one text after the other, and how many each has, int64."""
        found = [(np.zeros(0, np.int32), np.zeros(0, np.int64))]
        for part in parts(texts):
            table = self._lookup
            found.append(self._by_library(part) if table is None else table.ids(part, self._by_library))
        ids, counts = zip(*found, strict=True)
        return np.concatenate(ids), np.concatenate(counts)

    def _by_library(self, texts: list[str]) -> Ids:
        found: list[Encoding] = self._encode(texts)
        counts = np.fromiter(map(len, found), np.int64, len(found))
        each = (encoding.ids for encoding in found)
        return np.fromiter(chain.from_iterable(each), np.int32, int(counts.sum())), counts


def one_thread() -> None:
    """Let tokenizers use the one core that a Spark task has, unless the environment says otherwise."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _read(tokenizer_json: str) -> Tokenizer:
    """Return the tokenizer; it neither cuts nor pads. Raises: BundleError."""
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the library's errors have no class of their own
        raise BundleError(f"this is no tokenizer.json of the tokenizers library: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _apply(functions: Sequence[Function], text: str) -> str:
    """Raises: ValueError with the reason, as one of the functions does, or UnicodeEncodeError for half a surrogate."""
    for function in functions:
        try:
            text = function(text)
        except (ArithmeticError, LookupError, SparkNNError) as error:
            raise ValueError(str(error)) from error
        if not isinstance(text, str):
            raise ValueError(f"a preprocessor makes a {type(text).__name__} of a text")
    text.encode()
    return text


def special_ids(tokenizer_json: str, *, pair: bool) -> list[np.ndarray]:
    """Return the special ids before the first text, behind it, and behind the second of a pair: int32 each."""
    return _around(_read(tokenizer_json), pair)


def _around(tokenizer: Tokenizer, pair: bool) -> list[np.ndarray]:
    """Return the special ids before the first text, behind it, and behind the second of a pair."""
    words = ("a", "1", "中", "?", *sorted(tokenizer.get_vocab()))
    text = next((word for word in words if len(tokenizer.encode(word, add_special_tokens=False))), None)
    if text is None:
        raise BundleError("the tokenizer makes no token of any text.")
    found = tokenizer.encode(text, text) if pair else tokenizer.encode(text)
    places, ids = found.sequence_ids, np.array(found.ids, np.int32)
    edges = [0]
    for number in range(1 + pair):
        inside = [n for n, place in enumerate(places) if place == number]
        edges += [inside[0], inside[-1] + 1]
    edges.append(len(ids))
    return [ids[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def strings(column: pa.Array, errors: list[str | None]) -> list[str]:
    """Return the texts, "" for those that are null or not UTF-8."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    try:
        found = column.to_pylist()
    except UnicodeDecodeError:  # then one by one
        found = [_decoded(value) for value in column.cast(pa.binary()).to_pylist()]
    for row, text in enumerate(found):
        if not isinstance(text, str):
            errors[row] = errors[row] or (NULL if text is None else NOT_UTF8)
            found[row] = ""
    return found


def _decoded(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return value


def parts(texts: list[str]) -> Iterator[list[str]]:
    """Yield runs of texts of at most AT_ONCE characters, or of one text."""
    start = total = 0
    for row, text in enumerate(texts):
        total += len(text)
        if total > AT_ONCE and row > start:
            yield texts[start:row]
            start, total = row, len(text)
    if start < len(texts):
        yield texts[start:]


def _shortened(lengths: np.ndarray, room: int) -> np.ndarray:
    """Return how many tokens stay of each text, int64[1 or 2, rows]: the longer of a pair is cut first."""
    if len(lengths) == 1:
        return np.minimum(lengths, room)
    first, second = lengths
    half = room // 2
    kept_first = np.minimum(first, np.maximum(room - second, room - half))
    return np.stack([kept_first, np.minimum(second, np.maximum(room - first, half))])


def _joined(
    texts: list[np.ndarray], lengths: np.ndarray, kept: np.ndarray, around: list[np.ndarray], good: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and offsets: of each good row what is kept of its texts, with the special ids around them."""
    kept, specials = kept * good, [good * len(ids) for ids in around]
    offsets = np.concatenate([[0], np.cumsum(kept.sum(0) + sum(specials))])
    ids = np.empty(offsets[-1], np.int32)
    place = offsets[:-1].copy()
    for n, special in enumerate(around):
        ids[(place[good][:, None] + np.arange(len(special))).reshape(-1)] = np.tile(special, int(good.sum()))
        place += specials[n]
        if n < len(texts):
            starts = np.cumsum(lengths[n]) - lengths[n]
            ids[ranges(place, kept[n])] = texts[n][ranges(starts, kept[n])]
            place += kept[n]
    return ids, offsets


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return start, start + 1, ... of each range, one after the other."""
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
