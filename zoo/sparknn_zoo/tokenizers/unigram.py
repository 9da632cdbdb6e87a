"""Unigram language model: the likeliest way to cut a word into pieces."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from pydantic import PositiveInt
from tokenizers import Tokenizer, decoders, models

from sparknn_magic.data.text.words import WORD_START, spaced_words
from sparknn_magic.plugin import tokenizer
from sparknn_zoo.tokenizers import common

SEEDS = 4  # pieces to begin with, for each that is to stay
KEPT = 0.75  # of the pieces stay from one round to the next
UNSEEN = 0.1  # the count of a piece that no best cut uses


@tokenizer(
    "unigram",
    main="vocabulary",
    source="Kudo 2018, Subword Regularization, arXiv:1804.10959; SentencePiece: Kudo and Richardson 2018",
)
def unigram(
    texts: Iterator[str], normalizer: Any, *, vocabulary: common.Vocabulary = 16_000, min_count: PositiveInt = 2
) -> Tokenizer:
    """Texts -> the likeliest pieces of its words, each piece with a probability of its own.

    White space before a word is the "▁" at its start. Runs of a script without spaces, Chinese too, are words, so that
    a token may hold several Chinese characters. A character that is not known is [UNK]. The pieces are found as
    SentencePiece does it, but counted in the best cut of each word alone: the library's own trainer, which weighs all
    cuts, gives other pieces each time.

    vocabulary: tokens at most, the four special ones among them. Half of them at most are single characters.
    min_count: a character or piece that occurs less often in the training texts is not known.
    Raises: DataError where no character occurs `min_count` times.
    """
    most = vocabulary - len(common.SPECIALS)
    normalizer, split = common.one_space(normalizer), spaced_words()
    counts = common.count_words(texts, normalizer, split)
    single = common.frequent(common.count_characters(counts), min_count, vocabulary // 2)
    single = sorted({WORD_START, *common.something("unigram", single, min_count)})
    pieces = _pieces(counts, single, most, min_count)
    return common.finished(_model(pieces), normalizer, split, decoders.Metaspace())


def _pieces(counts: Counter[str], single: Sequence[str], most: int, min_count: int) -> dict[str, float]:
    """Return piece -> log probability, the single characters among them, at most `most`."""
    words, times = list(counts), np.array(list(counts.values()), float)
    characters, found = set(single), _seeds(counts, set(single), min_count)
    longest_first = sorted(found, key=lambda piece: (-found[piece] * len(piece), piece))[: SEEDS * most]
    own = common.count_characters(counts)
    used = {piece: float(found[piece] * len(piece)) for piece in longest_first} | {
        one: float(own[one]) for one in single
    }
    while True:
        used = _used(_log(used), words, times)
        kept = [piece for piece in used if used[piece] and piece not in characters]
        room = most - len(characters)
        if len(kept) <= room:
            return _log({piece: used[piece] for piece in sorted([*kept, *characters], key=lambda p: (-used[p], p))})
        scores = _log(used)
        lost = {piece: used[piece] * (scores[piece] - _without(piece, scores)) for piece in kept}
        kept = sorted(kept, key=lambda piece: (-lost[piece], piece))[: max(room, int(len(kept) * KEPT))]
        used = {piece: used[piece] for piece in [*kept, *sorted(characters)]}


def _seeds(counts: Counter[str], characters: set[str], min_count: int) -> dict[str, int]:
    """Return how often each run of 2 to LONGEST_PIECE known characters occurs, of those that occur `min_count` times.

    A run is only as frequent as the two runs in it that are one shorter: most are never counted.
    """
    found: dict[str, int] = {}
    alive = [(word, times, {n for n, one in enumerate(word) if one in characters}) for word, times in counts.items()]
    for length in range(2, common.LONGEST_PIECE + 1):
        here: Counter[str] = Counter()
        alive = [(word, times, {n for n in starts if n + 1 in starts}) for word, times, starts in alive]
        alive = [each for each in alive if each[2]]
        for word, times, starts in alive:
            for start in starts:
                here[word[start : start + length]] += times
        frequent = {piece for piece, times in here.items() if times >= max(min_count, 2)}
        found |= {piece: here[piece] for piece in frequent}
        alive = [
            (word, times, {n for n in starts if word[n : n + length] in frequent}) for word, times, starts in alive
        ]
    return found


def _model(scores: dict[str, float]) -> Any:
    rows = [*((token, 0.0) for token in common.SPECIALS), *scores.items()]
    return models.Unigram(rows, common.SPECIALS.index(common.UNKNOWN))


def _used(scores: dict[str, float], words: Sequence[str], times: np.ndarray) -> dict[str, float]:
    """Return how often each piece is used, in the likeliest cut of each word."""
    cuts = Tokenizer(_model(scores)).encode_batch([*words], add_special_tokens=False)
    lengths = np.fromiter(map(len, cuts), np.int64, len(cuts))
    ids = np.fromiter(chain.from_iterable(cut.ids for cut in cuts), np.int64, int(lengths.sum()))
    used = np.bincount(ids, np.repeat(times, lengths), len(common.SPECIALS) + len(scores))
    return dict(zip(scores, used[len(common.SPECIALS) :].tolist(), strict=True))


def _log(used: dict[str, float]) -> dict[str, float]:
    total = sum(used.values())
    return {piece: math.log(max(times, UNSEEN) / total) for piece, times in used.items()}


def _without(piece: str, scores: dict[str, float]) -> float:
    """Return the log probability of the likeliest cut of a piece into others."""
    best = [0.0, *[-math.inf] * len(piece)]
    for end in range(1, len(piece) + 1):
        for start in range(end):
            part = piece[start:end]
            if part in scores and part != piece:
                best[end] = max(best[end], best[start] + scores[part])
    return best[-1]
