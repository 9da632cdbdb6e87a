"""Ids of single characters and of bytes by look-up in a table, the same that the library gives, many times as fast.

For tokenizers whose model joins nothing: the built-in `characters` and `bytes`. Runs on executors: numpy, tokenizers.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models

from sparknn_magic.data.text.words import LONGEST, WORD_START, started_words

Ids = tuple[np.ndarray, np.ndarray]  # int32[tokens], text after text; int64[texts], how many each has
Library = Callable[[list[str]], Ids]

SPACE, STRANGE, ALONE = range(3)  # what characters are, beside letters: numbers from 3, one for each of RUNS
RUNS = ("a", "あ", "ア", "ก")  # letters that make words with those of their kind alone, see `words`
FOLLOWS, UNSEEN = 64, 255  # added for what may belong to a character that stands alone; not looked at yet
PLAIN: dict[str, Any] = {"type": "BPE", "merges": [], "dropout": None, "fuse_unk": False, "byte_fallback": False}
BARE = ("continuing_subword_prefix", "end_of_word_suffix")


def lookup(tokenizer: Tokenizer) -> "Characters | Bytes | None":
    """Return what gives this tokenizer's ids by look-up; None where none of them does."""
    file = json.loads(tokenizer.to_str())
    model, splits = file["model"], file["pre_tokenizer"]
    if any(model.get(name) != value for name, value in PLAIN.items()) or any(model.get(name) for name in BARE):
        return None
    if not all(token["special"] for token in file["added_tokens"]):  # others are found in the text first
        return None
    if splits == _written(started_words()) and model["unk_token"] in model["vocab"] and WORD_START in model["vocab"]:
        return Characters(tokenizer, model)
    if model["unk_token"] is None and _keeps_bytes(splits) and set(byte_characters()) <= model["vocab"].keys():
        return Bytes(tokenizer, model)
    return None


def byte_characters() -> list[str]:
    """Return for each byte the character that the library has for it.

    Those are the printable ones of Latin-1 for themselves, and for the others 256, 257, ...
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256)]


class Bytes:
    """Each byte of UTF-8 has an id."""

    def __init__(self, tokenizer: Tokenizer, model: dict[str, Any]):
        self.normalizer = tokenizer.normalizer
        self.table = np.array([model["vocab"][each] for each in byte_characters()], np.int32)

    def ids(self, texts: list[str], library: Library) -> Ids:
        """Return the ids of texts; `library` is not needed."""
        encoded = [text.encode() for text in _normalized(self.normalizer, texts)]
        counts = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return self.table[np.frombuffer(b"".join(encoded), np.uint8)], counts


class Characters:
    """Each character of a word has an id, with that of "▁" before the first; words are those of `started_words`.

    A character begins a word where the one before it is of another kind, or where it stands alone. Only what may belong
    to a character that stands alone, such as the skin tone of an emoji or a mark on a Chinese character, needs more:
    texts in which it does are left to the library, and so are those with flags.
    """

    def __init__(self, tokenizer: Tokenizer, model: dict[str, Any]):
        self.normalizer, self.splits = tokenizer.normalizer, tokenizer.pre_tokenizer
        self.table = np.full(0x110000, model["vocab"][model["unk_token"]], np.int32)
        for token, number in model["vocab"].items():
            if len(token) == 1:
                self.table[ord(token)] = number
        self.kinds = np.full(0x110000, UNSEEN, np.uint8)
        self.kinds[ord(WORD_START)] = STRANGE  # no other one is put before it

    def ids(self, texts: list[str], library: Library) -> Ids:
        """Return the ids of texts, of some of them by the library."""
        found = _normalized(self.normalizer, texts)
        ends = np.cumsum(np.fromiter(map(len, found), np.int64, len(found)) + 1)  # behind the space after each
        points = np.frombuffer(" ".join([*found, ""]).encode("utf-32-le"), np.uint32)
        kinds = self._kinds(points)
        follows, kinds = kinds >= FOLLOWS, kinds % FOLLOWS
        before = np.concatenate([[SPACE], kinds[:-1]]) if len(kinds) else kinds
        strange = np.flatnonzero((kinds == STRANGE) | (follows & (before == ALONE)))
        left = np.unique(np.searchsorted(ends, strange, side="right"))
        ids, counts = self._of_points(points, kinds, before, ends)
        return _with(ids, counts, left, library([texts[row] for row in left])) if len(left) else (ids, counts)

    def _of_points(self, points: np.ndarray, kinds: np.ndarray, before: np.ndarray, ends: np.ndarray) -> Ids:
        places = np.arange(len(points))
        inside = kinds != SPACE
        starts = inside & ((kinds != before) | (kinds == ALONE))
        within = places - np.maximum.accumulate(np.where(starts, places, 0))
        starts |= inside & (within % LONGEST == 0)  # a long run is several words
        behind = np.cumsum(inside.astype(np.int64) + starts)
        ids = np.empty(behind[-1] if len(behind) else 0, np.int32)
        ids[behind[inside] - 1] = self.table[points[inside]]
        ids[behind[starts] - 2] = self.table[ord(WORD_START)]
        return ids, np.diff(behind[ends - 1], prepend=0)

    def _kinds(self, points: np.ndarray) -> np.ndarray:
        kinds = self.kinds[points]
        new = kinds == UNSEEN
        if new.any():
            for point in np.unique(points[new]).tolist():
                self.kinds[point] = self._kind(chr(point))
            kinds = self.kinds[points]
        return kinds

    def _kind(self, one: str) -> int:
        """Ask the library how a character stands beside others: its version of Unicode decides."""
        if not self._words(one):
            return SPACE
        follows = FOLLOWS if self._words(f"我{one}我") != 3 or self._words(f"😀{one}😀") != 3 else 0
        for number, letter in enumerate(RUNS):
            if self._words(letter + one + letter) == 1:
                return ALONE + 1 + number + follows
        return (ALONE if self._words(one + one) == 2 else STRANGE) + follows

    def _words(self, text: str) -> int:
        return len(self.splits.pre_tokenize_str(text))


def _normalized(normalizer: Any, texts: list[str]) -> list[str]:
    return texts if normalizer is None else [normalizer.normalize_str(text) for text in texts]


def _with(ids: np.ndarray, counts: np.ndarray, rows: np.ndarray, others: Ids) -> Ids:
    """Return the ids with those of some texts replaced."""
    pieces = np.split(ids, np.cumsum(counts)[:-1])
    theirs = np.split(others[0], np.cumsum(others[1])[:-1])
    counts = counts.copy()
    for row, piece in zip(rows.tolist(), theirs, strict=True):
        pieces[row], counts[row] = piece, len(piece)
    return np.concatenate(pieces), counts


def _written(splits: Any) -> Any:
    """Return a pre-tokenizer as tokenizer.json has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splits
    return json.loads(tokenizer.to_str())["pre_tokenizer"]


def _keeps_bytes(splits: dict[str, Any] | None) -> bool:
    """Tell whether a pre-tokenizer makes bytes of texts and loses and adds none."""
    if splits is None or splits["type"] not in ("Sequence", "ByteLevel"):
        return False
    *before, last = splits["pretokenizers"] if splits["type"] == "Sequence" else [splits]
    parted = all(each["type"] == "Split" and each["behavior"] == "Isolated" for each in before)
    return parted and last["type"] == "ByteLevel" and not last["add_prefix_space"]
