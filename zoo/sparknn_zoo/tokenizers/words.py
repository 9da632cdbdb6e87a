"""Whole words, the frequent ones."""

from collections.abc import Iterator
from typing import Any

from pydantic import PositiveInt
from tokenizers import Tokenizer, models

from sparknn_magic.data.text.words import CHINESE, HIRAGANA, SOUTH_EAST
from sparknn_magic.data.text.words import words as by_words
from sparknn_magic.plugin import tokenizer
from sparknn_zoo.tokenizers import common


@tokenizer(
    "words",
    main="vocabulary",
    source="Salton et al. 1975, A Vector Space Model for Automatic Indexing; scripts: Unicode Standard Annex 24",
)
def words(
    texts: Iterator[str], normalizer: Any, *, vocabulary: common.Vocabulary = 30_000, min_count: PositiveInt = 2
) -> Tokenizer:
    """Texts -> a token for each word, each punctuation mark and each emoji; a word that is not known is [UNK].

    Characters of Chinese, hiragana, Thai, Lao, Khmer and Burmese are words of their own, as these scripts have no
    spaces; runs of katakana are words.

    vocabulary: tokens at most, the four special ones among them; the most frequent words are kept.
    min_count: a word that occurs less often in the training texts is [UNK], which is what teaches the network what
        an unknown word means.
    Raises: DataError where no word occurs `min_count` times.
    """
    most = vocabulary - len(common.SPECIALS)
    split = by_words(alone=CHINESE + HIRAGANA + SOUTH_EAST)
    found = common.frequent(common.count_words(texts, normalizer, split), min_count, most)
    known = common.vocabulary_of(common.something("words", found, min_count))
    return common.finished(models.WordLevel(known, unk_token=common.UNKNOWN), normalizer, split)
