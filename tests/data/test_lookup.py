"""Ids by look-up are those of the library, for any text."""

import random

import pyarrow as pa
import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from sparknn_magic.data.text.lookup import lookup
from sparknn_magic.data.text.tokenizing import Encoder, train_tokenizer
from sparknn_magic.plugin import Part

TEXTS = [
    "I want a refund, please! 123",
    "我想退款。",
    "アカウントを削除",
    "ขอเงินคืน",
    "أريد استرداد",
    "😀👍🏽🇩🇪",
    "▁ é",
] * 2
FAMILY = "👩‍👩‍👧❤️‍🔥🏴󠁧󠁢󠁳󠁣󠁴󠁿"
# Blocks with everything that decides what a word is: marks, joiners, flags, tags, wide and half-wide letters, spaces.
BLOCKS = [
    (0x0, 0x250),
    (0x300, 0x370),
    (0x600, 0x660),
    (0x900, 0x980),
    (0xE00, 0xE80),
    (0x1000, 0x1050),
    (0x1780, 0x17F0),
    (0x2000, 0x2070),
    (0x20D0, 0x20F0),
    (0x2580, 0x2585),
    (0x2600, 0x2670),
    (0x3000, 0x3100),
    (0x4E00, 0x4E40),
    (0xFE00, 0xFE10),
    (0xFF00, 0xFFA0),
    (0x1F1E6, 0x1F200),
    (0x1F3F0, 0x1F410),
    (0x1F600, 0x1F620),
    (0xE0020, 0xE0080),
    (0xE0100, 0xE0110),
]


def trained(name, steps=()):
    return train_tokenizer(Part(f"sparknn_zoo.tokenizers.{name}:{'bytes_' * (name == 'bytes') or name}"), TEXTS, steps)


def strange_texts(seed, count=400):
    """Texts of characters from one to three blocks, and some of real ones."""
    draw = random.Random(seed)
    texts = []
    for _ in range(count):
        blocks = draw.choices(BLOCKS, k=draw.randint(1, 3))
        texts.append("".join(chr(draw.randrange(*draw.choice(blocks))) for _ in range(draw.randint(0, 30))))
    return [*texts, *TEXTS, FAMILY, f"ok {FAMILY}", "x" * 200, "ก" * 64 + "a" * 65 + "我" * 70, "", " "]


STEPS = {"nothing": [], "normalizers": [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace("a", " ")]}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", ["characters", "bytes"])
def test_look_up_gives_the_ids_of_the_library_for_any_text(name, steps):
    made = trained(name, STEPS[steps])
    library = Tokenizer.from_str(made)
    library.encode_special_tokens = True
    encoder = Encoder(made, STEPS[steps], 10_000)
    assert encoder._lookup is not None
    for seed in range(5):
        texts = strange_texts(seed)
        found = encoder.encode(pa.array(texts))
        for row, text in enumerate(texts):
            ids = found.ids[found.offsets[row] : found.offsets[row + 1]].tolist()
            wanted = library.encode(text).ids
            assert ids == (wanted if len(wanted) > 2 else []), repr(text)


def test_look_up_gives_the_ids_of_the_library_for_every_character_beside_others():
    encoder = Encoder(trained("characters"), (), 10_000)
    points = [n for n in range(0x30000) if not 0xD800 <= n < 0xE000]
    texts = [f"a{chr(n)}a 我{chr(n)} 😀{chr(n)}{chr(n)}" for n in points[::37]]
    fast, library = encoder._lookup.ids(texts, encoder._by_library), encoder._by_library(texts)
    assert [each.tolist() for each in fast] == [each.tolist() for each in library]


def test_few_texts_are_left_to_the_library():
    encoder = Encoder(trained("characters"))
    left = []

    def library(texts):
        left.extend(texts)
        return encoder._by_library(texts)

    encoder._lookup.ids([*TEXTS, "हिन्दी", "e\u0301a", "a\u200db", FAMILY, "我\u0301"], library)
    assert left == ["😀👍🏽🇩🇪", "▁ é"] * 2 + [FAMILY, "我\u0301"]


def test_tokenizers_that_join_characters_or_find_other_words_are_the_librarys():
    for name in ("bpe", "unigram", "wordpiece", "words"):
        assert lookup(Tokenizer.from_str(trained(name))) is None
    made = Tokenizer.from_str(trained("characters"))
    made.add_tokens(["refund"])
    assert lookup(made) is None, "a token that is found in the text first"
    made = Tokenizer.from_str(trained("characters"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\S+"), "removed", invert=True), pre_tokenizers.Metaspace()]
    )
    assert lookup(made) is None, "other words"
    made = Tokenizer.from_str(trained("bytes"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert lookup(made) is None, "a byte that the text has not"
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert lookup(made) is not None
    made.model = models.BPE({**made.get_vocab(), "ab": 300}, [("a", "b")])
    assert lookup(made) is None, "merges"
