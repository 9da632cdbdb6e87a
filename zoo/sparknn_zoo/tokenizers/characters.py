"""Single characters, with a mark before each word."""

from collections.abc import Iterator
from typing import Any

from pydantic import PositiveInt
from tokenizers import Tokenizer, decoders, models

from sparknn_magic.data.text.words import WORD_START, started_words, words
from sparknn_magic.plugin import tokenizer
from sparknn_zoo.tokenizers import common


@tokenizer(
    "characters",
    main="vocabulary",
    notes={"most": 2048},
    source="Zhang et al. 2015, Character-level Convolutional Networks for Text Classification, arXiv:1509.01626",
)
def characters(
    texts: Iterator[str], normalizer: Any, *, vocabulary: common.Vocabulary = 10_000, min_count: PositiveInt = 2
) -> Tokenizer:
    """Texts -> a token for each character, and "▁" before each word; a character that is not known is [UNK].

    A word is a run of letters and digits, a punctuation mark, an emoji or a Chinese character; where scripts meet a
    new one begins. White space is gone.

    vocabulary: tokens at most, the four special ones and "▁" among them; the most frequent characters are kept.
    min_count: a character that occurs less often in the training texts is [UNK].
    Raises: DataError where no character occurs `min_count` times.
    """
    most = vocabulary - len(common.SPECIALS) - 1
    counts = common.count_characters(common.count_words(texts, normalizer, words()))
    counts.pop(WORD_START, None)
    found = common.something("characters", common.frequent(counts, min_count, most), min_count)
    known = common.vocabulary_of([WORD_START, *found])
    # BPE without merges gives a word's characters, and remembers them: much faster than a split into characters.
    model = models.BPE(known, [], unk_token=common.UNKNOWN)
    return common.finished(model, normalizer, started_words(), decoders.Metaspace())
