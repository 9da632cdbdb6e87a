"""Byte-pair encoding, of characters."""

from collections.abc import Iterator
from typing import Any

from pydantic import PositiveInt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sparknn_magic.data.text.words import WORD_START, spaced_words
from sparknn_magic.plugin import tokenizer
from sparknn_zoo.tokenizers import common


@tokenizer(
    "bpe",
    main="vocabulary",
    source="Sennrich et al. 2016, Neural Machine Translation of Rare Words with Subword Units, arXiv:1508.07909",
)
def bpe(
    texts: Iterator[str], normalizer: Any, *, vocabulary: common.Vocabulary = 16_000, min_count: PositiveInt = 2
) -> Tokenizer:
    """Texts -> tokens of one or more characters, joined as the pairs that were most frequent in the training texts.

    White space before a word is the "▁" at its start. Runs of a script without spaces, Chinese too, are words, so that
    a token may hold several Chinese characters. A character that is not known is [UNK].

    vocabulary: tokens at most, the four special ones among them. Half of them at most are single characters.
    min_count: a character, or a pair of tokens, that occurs less often in the training texts is not known.
    Raises: DataError where no character occurs `min_count` times.
    """
    normalizer, split = common.one_space(normalizer), spaced_words()
    counts = common.count_words(texts, normalizer, split)
    single = common.frequent(common.count_characters(counts), min_count, vocabulary // 2)
    single = sorted({WORD_START, *common.something("bpe", single, min_count)})
    trainer = trainers.BpeTrainer(
        vocab_size=min(vocabulary, common.most_tokens(counts, len(single))),
        min_frequency=min_count,
        show_progress=False,
        special_tokens=list(common.SPECIALS),
        initial_alphabet=single,  # the limit keeps these, and no others
        limit_alphabet=len(single),
        max_token_length=common.LONGEST_PIECE,
    )
    made = Tokenizer(models.BPE(unk_token=common.UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # the words are found already
    made.train_from_iterator(common.repeated(counts), trainer)
    return common.finished(made.model, normalizer, split, decoders.Metaspace())
