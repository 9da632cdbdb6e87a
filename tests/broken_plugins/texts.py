"""Tokenizers and preprocessors of texts with one fault each, and the sentence that names it."""

import os
import random
import time

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import preprocessor, tokenizer

WHOLE = {"source": "Nobody 2026", "licence": "Apache-2.0"}
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def step(name, build):
    """Mark what builds a step as a plugin."""

    def made():
        """Text -> text."""
        return build()

    made.__qualname__ = name
    globals()[name] = preprocessor(f"broken_{name}", task="text-classification", **WHOLE)(made)
    return globals()[name]


class Removed:
    """A normalizer in Python, which tokenizer.json cannot hold."""

    def normalize(self, text):
        text.lowercase()


def refuse(text):
    raise SpecError("not this one.")


def rewrite(text):
    return "".join(random.sample(text, len(text)))


def sleep(text):
    """Take half a second for a long text."""
    time.sleep(0.5 * (len(text) > 10_000))
    return text


slow = step("slow", lambda: sleep)
STEPS = [
    (step("word", lambda: "lowercase"), "it builds a str, not a Normalizer or a function of one text"),
    (step("split_text", lambda: str.split), "into a list, not a str"),
    (step("surrogate", lambda: lambda text: text + "\ud800"), "into half a surrogate, which no file can hold"),
    (step("shuffled", lambda: rewrite), "it gives another result for the same text"),
    (step("refusing", lambda: refuse), "it refuses every text"),
    (step("crashing", lambda: lambda text: text[0] + text), "it fails on an empty text: IndexError"),
    (step("in_python", lambda: normalizers.Normalizer.custom(Removed())), "it cannot be written into tokenizer.json"),
]


def trained(
    texts,
    normalizer,
    *,
    specials=tuple(SPECIALS),
    added=tuple(SPECIALS),
    single="[CLS] $A [SEP]",
    pair="[CLS] $A [SEP] $B [SEP]",
    split=None,
    vocabulary=200,
):
    """Return a tokenizer of words that keeps to the contract; each fault below is one change to it."""
    made = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    made.pre_tokenizer = split or pre_tokenizers.BertPreTokenizer()
    if normalizer is not None:
        made.normalizer = normalizer
    characters = made.pre_tokenizer if split else pre_tokenizers.Split("", "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([made.pre_tokenizer, characters])
    trainer = trainers.WordLevelTrainer(vocab_size=vocabulary, special_tokens=list(specials), show_progress=False)
    made.train_from_iterator(texts, trainer)
    again = Tokenizer(made.model)  # without the special tokens that training adds
    again.pre_tokenizer, again.model.unk_token = made.pre_tokenizer, "[UNK]"
    if normalizer is not None:
        again.normalizer = normalizer
    again.add_special_tokens(list(added))
    ids = [(token, again.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    again.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    return again


def broken(name, build, **facts):
    """Mark what trains as a plugin."""

    def made(texts, normalizer):
        """Texts -> tokens."""
        return build(texts, normalizer)

    made.__qualname__ = name
    globals()[name] = tokenizer(f"broken_{name}", **WHOLE, **facts)(made)
    return globals()[name]


@tokenizer("broken_greedy", **WHOLE)
def greedy(texts, normalizer, *, vocabulary: int = 200):
    """Texts -> tokens, more of them than it is told.

    vocabulary: tokens, or so.
    """
    return trained(texts, normalizer, vocabulary=2 * vocabulary)


@tokenizer("broken_modest", **WHOLE)
def modest(texts, normalizer, *, vocabulary: int = 200):
    """Texts -> tokens, but no more than ten thousand.

    vocabulary: tokens.
    """
    if vocabulary > 10_000:
        raise MemoryError("too many")
    return trained(texts, normalizer, vocabulary=vocabulary)


def padded(texts, normalizer):
    made = trained(texts, normalizer)
    made.enable_padding(length=8)
    return made


def library_wordpiece(texts, normalizer):
    """The library's trainer as it is, whose ids are in the order of a hash map."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizer or normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIALS, show_progress=False)
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def by_process(texts, normalizer):
    """The order of a set of words, which is another one in each process."""
    words = {word for text in texts for word in text.split()}
    made = trained([*words], normalizer)
    known = {token: n for n, token in enumerate([*SPECIALS, *words, str(os.getpid())])}
    made.model = models.WordLevel(known, unk_token="[UNK]")
    return made


def unnormalized(texts, normalizer):
    return trained(texts, None)


def no_split(texts, normalizer):
    return trained(texts, normalizer, split=pre_tokenizers.WhitespaceSplit())


def few(texts, normalizer):
    made = trained(texts, normalizer)
    made.model = models.WordLevel({token: n for n, token in enumerate(SPECIALS)}, unk_token="[UNK]")
    return made


TOKENIZERS = [
    (broken("no_tokenizer", lambda texts, normalizer: list(texts)), "returns a list, not a tokenizers.Tokenizer"),
    (broken("no_training", lambda texts, normalizer: texts.nothing), "it does not train: AttributeError"),
    (
        broken("other_ids", lambda texts, n: trained(texts, n, specials=SPECIALS[::-1])),
        "the ids of [PAD], [UNK], [CLS], [SEP] are [3, 2, 1, 0]; they must be 0, 1, 2 and 3",
    ),
    (
        broken("plain_names", lambda texts, n: trained(texts, n, added=SPECIALS[1:])),
        "[PAD] are not among its special tokens",
    ),
    (broken("padded", padded), "it cuts or pads texts"),
    (
        broken("no_end", lambda texts, n: trained(texts, n, single="[CLS] $A")),
        "an empty text is not [CLS] [SEP]",
    ),
    (
        broken("no_pair", lambda texts, n: trained(texts, n, pair="[CLS] $A $B [SEP]")),
        "its post-processor does not give [CLS] A [SEP] B [SEP] for a pair",
    ),
    (
        broken("odd_most", lambda texts, n: trained(texts, n), notes={"most": 0}),
        "its notes say that a text has at most 0 tokens",
    ),
    (broken("hash_order", library_wordpiece), "it gives another tokenizer for the same texts: sort"),
    (broken("by_process", by_process), "it gives another tokenizer for the same texts in another process"),
    (broken("unnormalized", unnormalized), "it leaves out the normalizer that it is given"),
    (broken("few", few), "it knows no token of 'Where is my order?"),
    (broken("no_split", no_split), "a long text without spaces (Thai) is one token"),
    (greedy, "with vocabulary 64 it has 128 tokens"),
    (modest, "it does not train with vocabulary 1000000000000: MemoryError"),
]
FAULTS = [*STEPS, *TOKENIZERS]
