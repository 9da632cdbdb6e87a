"""WordPiece: frequent words whole, others in pieces."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import PositiveInt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sparknn_magic.data.text.words import LONGEST, words
from sparknn_magic.plugin import tokenizer
from sparknn_zoo.tokenizers import common

INSIDE = "##"


@tokenizer(
    "wordpiece",
    main="vocabulary",
    source="Schuster and Nakajima 2012; Devlin et al. 2019 (BERT), arXiv:1810.04805; pieces are found as in BPE",
)
def wordpiece(
    texts: Iterator[str], normalizer: Any, *, vocabulary: common.Vocabulary = 16_000, min_count: PositiveInt = 2
) -> Tokenizer:
    """Texts -> a token for each frequent word, and several for others: "refunding" is "refund" and "##ing".

    Chinese characters are words of their own; a run of another script without spaces is a word. A word with a character
    that is not known is [UNK].

    vocabulary: tokens at most, the four special ones among them. A quarter of them at most are single characters.
    min_count: a character, or a pair of pieces, that occurs less often in the training texts is not known.
    Raises: DataError where no character occurs `min_count` times.
    """
    split = words()
    counts = common.count_words(texts, normalizer, split)
    single = common.frequent(common.count_characters(counts), min_count, vocabulary // 4)
    known = _trained(counts, common.something("wordpiece", single, min_count), vocabulary, min_count)
    model = models.WordPiece(known, unk_token=common.UNKNOWN, max_input_chars_per_word=2 * LONGEST)
    return common.finished(model, normalizer, split, decoders.WordPiece(INSIDE))


def _trained(counts: Counter[str], single: list[str], vocabulary: int, min_count: int) -> dict[str, int]:
    """Return piece -> id.

    The library numbers characters inside words in the order of a hash map, and the numbers decide between equal pairs.
    So all characters are given to it in our order, as special tokens, which it numbers first.
    """
    within = {character for word in counts if len(word) > 1 for character in word}
    first = [*sorted(single), *(INSIDE + character for character in sorted(single) if character in within)]
    trainer = trainers.BpeTrainer(  # what the library's own trainer of word pieces is, too
        vocab_size=min(vocabulary, common.most_tokens(counts, len(first))),
        min_frequency=min_count,
        show_progress=False,
        special_tokens=[*common.SPECIALS, *first],
        initial_alphabet=single,  # the limit keeps these, and no others
        limit_alphabet=len(single),
        continuing_subword_prefix=INSIDE,
        max_token_length=len(INSIDE) + common.LONGEST_PIECE,
    )
    made = Tokenizer(models.BPE(continuing_subword_prefix=INSIDE))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # the words are found already
    made.train_from_iterator(common.repeated(counts), trainer)
    return made.get_vocab()
