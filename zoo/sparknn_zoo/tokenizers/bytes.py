"""The bytes of UTF-8, or byte-pair encoding of them."""

from collections.abc import Iterator
from typing import Any

from pydantic import NonNegativeInt
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from sparknn_magic.data.text.lookup import byte_characters
from sparknn_magic.data.text.words import words
from sparknn_magic.plugin import tokenizer
from sparknn_zoo.tokenizers import common


@tokenizer(
    "bytes",
    main="merges",
    notes={"most": 2048},
    source="Xue et al. 2022, ByT5, arXiv:2105.13626; merges: Radford et al. 2019, sec. 2.2 (GPT-2)",
)
def bytes_(texts: Iterator[str], normalizer: Any, *, merges: NonNegativeInt = 0) -> Tokenizer:
    """Texts -> a token for each byte of UTF-8, id 4 + byte; nothing is ever unknown, in whatever script.

    White space at both ends of a text is left out.

    merges: so many frequent pairs, each seen twice or more, become tokens too (byte-level BPE); 0: bytes alone.
    """
    normalizer = common.sequence(normalizer, normalizers.Strip())
    # Words with the space before them; what is between words stays too, for no byte is lost.
    split = words(alone="", before=" ?", between=True)
    split = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    single = byte_characters()
    if merges:
        model = _trained(common.count_words(texts, normalizer, split), single, merges)
    else:  # nothing to learn
        model = models.BPE(common.vocabulary_of(single), [])
    return common.finished(model, normalizer, split, decoders.ByteLevel())


def _trained(counts: Any, single: list[str], merges: int) -> Any:
    trainer = trainers.BpeTrainer(
        vocab_size=min(len(common.SPECIALS) + len(single) + merges, common.most_tokens(counts, len(single))),
        min_frequency=2,
        show_progress=False,
        special_tokens=[*common.SPECIALS, *single],  # in this order they get their ids
        initial_alphabet=single,
        max_token_length=3 * common.LONGEST_PIECE,  # most scripts have two or three bytes a character
    )
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # the words are found already
    made.train_from_iterator(common.repeated(counts), trainer)
    return made.model
