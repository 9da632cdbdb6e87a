"""Tokenizers: what a word is in any script, and each model against a plain implementation of its paper."""
# ruff: noqa: RUF001 (other scripts have letters that look like Latin ones)

import itertools
import json
import math
import os
import random
import subprocess
import sys
from collections import Counter

import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer, normalizers

from sparknn_magic import registry
from sparknn_magic.data.text.tokenizing import train_tokenizer
from sparknn_magic.data.text.words import CHINESE, HIRAGANA, SOUTH_EAST, spaced_words
from sparknn_magic.data.text.words import words as by_words
from sparknn_magic.errors import DataError, UnknownName
from sparknn_magic.plugin import Part
from sparknn_magic.show.zoo_listing import zoo
from sparknn_magic.spec.schema import options_model

NAMES = ["bpe", "bytes", "characters", "unigram", "wordpiece", "words"]
FAMILY = "👩‍👩‍👧"
SCRIPTS = [
    "Where is my order, please? I'm waiting.",
    "我想退款，我的订单还没有到。",
    "アカウントを削除したいのですが。",
    "ฉันต้องการขอเงินคืนเพราะสินค้ายังไม่มาถึง",
    "أريد استرداد أموالي لأن الطلب لم يصل",
    f"Great 👍🏽 {FAMILY}🇩🇪❤️‍🔥!",
]


def trained(name, texts, normalizer=None, **options):
    part = Part(f"sparknn_zoo.tokenizers.{name}:{'bytes_' if name == 'bytes' else name}", options)
    return Tokenizer.from_str(train_tokenizer(part, iter(texts), [normalizer] if normalizer else []))


def tokens(made, text):
    made.encode_special_tokens = True
    return made.encode(text, add_special_tokens=False).tokens


def split(made, text):
    return [piece for piece, _ in made.pre_tokenize_str(text)]


def test_every_tokenizer_is_tested_here():
    found = [claim.name for claim in registry.claims("tokenizer") if claim.ref.startswith("sparknn_zoo.")]
    assert found == NAMES


def test_the_zoo_lists_tokenizers_and_guesses_which_was_meant():
    items, _ = registry.select("tokenizers")
    assert "tokenizers (" in repr(zoo("tokenizers"))
    assert set(NAMES) <= {item.name for item in items}
    with pytest.raises(UnknownName, match=r"no task or kind 'tokenisers'\. Did you mean 'tokenizers'"):
        registry.select("tokenisers")
    with pytest.raises(UnknownName, match=r"no tokenizer named 'wordpeice'\. Did you mean 'wordpiece'"):
        registry.get("tokenizer", "wordpeice")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello,  world!", "Hello , world !"),
        ("I'd pay 3.50€", "I ' d pay 3 . 50 €"),
        ("Grüße aus Zürich", "Grüße aus Zürich"),
        ("我想退款，谢谢", "我 想 退 款 ， 谢 谢"),
        ("iPhone坏了", "iPhone 坏 了"),
        ("アカウントを削除してください", "アカウント を 削 除 してください"),
        ("ﾊﾝｶｸ スーパー", "ﾊﾝｶｸ スーパー"),
        ("สวัสดีครับ ขอบคุณ", "สวัสดีครับ ขอบคุณ"),
        ("مرحبا، كيف حالك؟", "مرحبا ، كيف حالك ؟"),
        ("환불을 받고", "환불을 받고"),
        ("नमस्ते दुनिया।", "नमस्ते दुनिया ।"),
        (f"ok👍🏽{FAMILY}🇩🇪🇫🇷❤️‍🔥x", f"ok 👍🏽 {FAMILY} 🇩🇪 🇫🇷 ❤️‍🔥 x"),
        ("a\x00b\u200bc\ufeffd\u00a0e\u3000f\tg\nh", "a b c d e f g h"),
        ("", ""),
        (" \x07\u200b ", ""),
    ],
)
def test_a_word_is_what_a_reader_takes_for_one_in_any_script(text, words):
    assert split(by_words(), text) == words.split()


def test_scripts_without_spaces_are_words_by_the_character_or_in_runs_as_it_is_asked():
    alone = by_words(alone=CHINESE + HIRAGANA + SOUTH_EAST)
    assert split(alone, "退款をスーパーで") == ["退", "款", "を", "スーパー", "で"]
    assert split(alone, "วันดี") == ["วั", "น", "ดี"], "marks stay with their letters"
    assert split(spaced_words(), "我想退款, thanks (a lot)") == [
        "▁我想退款",
        ",",
        "▁thanks",
        "▁(",
        "a",
        "▁lot",
        ")",
    ]


def test_no_word_has_more_than_64_characters():
    found = split(by_words(), "x" * 200 + "ก" * 130)
    assert [len(word) for word in found] == [64, 64, 64, 8, 64, 64, 2]


def test_words_are_kept_by_how_often_they_occur_and_then_by_their_letters():
    texts = ["b a c a, d", "b a c, e"]
    assert trained("words", texts).get_vocab() == {
        token: n for n, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", ",", "b", "c"])
    }
    assert tokens(trained("words", texts, min_count=1), "e d x") == ["e", "d", "[UNK]"]
    many = trained("words", [f"w{n:03} " * 2 for n in range(100)], vocabulary=20).get_vocab()
    assert sorted(many, key=many.get)[4:] == [f"w{n:03}" for n in range(16)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", SCRIPTS, ids=["English", "Chinese", "Japanese", "Thai", "Arabic", "emoji"])
def test_texts_of_every_script_are_known_after_training_on_them(name, text):
    made = trained(name, SCRIPTS * 2)
    assert "[UNK]" not in tokens(made, text)
    assert len(tokens(made, text)) >= 2


@pytest.mark.parametrize("name", ["bpe", "bytes", "characters", "unigram", "wordpiece"])
def test_a_long_run_of_thai_is_not_one_unknown_word(name):
    made = trained(name, SCRIPTS * 2)
    found = tokens(made, "เงินคืน" * 40)
    assert "[UNK]" not in found
    assert "".join(found).count("ง") or name == "bytes"


@pytest.mark.parametrize("name", ["bpe", "unigram", "wordpiece"])
def test_a_message_that_occurs_often_does_not_become_one_piece(name):
    made = trained(name, SCRIPTS * 20)
    longest = max(len(piece.removeprefix("##")) for piece in made.get_vocab())
    assert 8 <= longest <= 18
    assert len(tokens(made, SCRIPTS[3])) >= 3


def greedy(word, known):
    """WordPiece of Devlin et al. 2019: the longest known piece, again and again."""
    start, pieces = 0, []
    while start < len(word):
        ends = (end for end in range(len(word), start, -1) if ("##" if start else "") + word[start:end] in known)
        end = next(ends, None)
        if end is None:
            return ["[UNK]"]
        pieces.append(("##" if start else "") + word[start:end])
        start = end
    return pieces


def test_wordpiece_takes_the_longest_known_piece():
    draw = random.Random(0)
    words = ["".join(draw.choices("abcde", k=draw.randint(1, 9))) for _ in range(300)]
    made = trained("wordpiece", words * 2, vocabulary=60)
    known = set(made.get_vocab())
    assert len(known) == 60
    new = ["".join(draw.choices("abcdez", k=draw.randint(1, 9))) for _ in range(300)]
    assert [tokens(made, word) for word in new] == [greedy(word, known) for word in new]


def test_wordpiece_knows_every_letter_at_the_start_of_a_word_and_inside():
    made = trained("wordpiece", ["ab ab", "(x) (x)"])
    assert {"a", "b", "x", "(", ")", "##a", "##b"} <= set(made.get_vocab())
    assert "##(" not in made.get_vocab(), "what only stands alone needs no second form"
    assert tokens(made, "ba") == ["b", "##a"]


def pairs(counts, merges):
    """BPE of Sennrich et al. 2016, algorithm 1: the most frequent pair, of equal ones that of the earliest tokens."""
    words = {word: list(word) for word in counts}
    order = sorted({letter for word in words for letter in word})
    found = []
    for _ in range(merges):
        seen = Counter()
        for word, parts in words.items():
            for pair in itertools.pairwise(parts):
                seen[pair] += counts[word]
        if not seen or max(seen.values()) < 2:
            break
        best = min(seen, key=lambda pair: (-seen[pair], order.index(pair[0]), order.index(pair[1])))
        found.append(list(best))
        order += [] if "".join(best) in order else ["".join(best)]
        for parts in words.values():
            n = 0
            while n < len(parts) - 1:
                if (parts[n], parts[n + 1]) == best:
                    parts[n : n + 2] = ["".join(best)]
                n += 1
    return found


def test_bpe_merges_the_pairs_that_the_papers_algorithm_merges():
    texts = ["low " * 5 + "lower " * 2 + "newest " * 6 + "widest " * 3]
    counts = {"▁low": 5, "▁lower": 2, "▁newest": 6, "▁widest": 3}
    made = trained("bpe", texts, vocabulary=4 + 11 + 10)
    assert json.loads(made.to_str())["model"]["merges"] == pairs(counts, 10)


def likeliest(word, scores):
    best = [(0.0, [])] + [(-math.inf, [])] * len(word)
    for end in range(1, len(word) + 1):
        for start in range(end):
            piece = word[start:end]
            if piece in scores and best[start][0] + scores[piece] > best[end][0]:
                best[end] = (best[start][0] + scores[piece], [*best[start][1], piece])
    return best[-1]


def test_unigram_cuts_words_into_the_likeliest_pieces_and_its_probabilities_add_up_to_1():
    draw = random.Random(1)
    syllables = ["ka", "to", "mi", "ren", "sul", "po"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(400)]
    made = trained("unigram", words * 2, vocabulary=60)
    model = json.loads(made.to_str())["model"]
    scores = dict(model["vocab"][4:])
    assert made.get_vocab_size() == 60
    assert sum(math.exp(score) for score in scores.values()) == pytest.approx(1, abs=0.02)  # what is unused counts 0.1
    for word in words[:100]:
        assert sum(scores[piece] for piece in tokens(made, word)) == pytest.approx(likeliest(f"▁{word}", scores)[0])
    assert sum(any(s in piece for s in syllables) for piece in scores) > 20, "its pieces are made of the syllables"


def test_unigram_needs_fewer_pieces_the_more_it_may_have():
    draw = random.Random(4)
    texts = ["".join(draw.choices(["ka", "to", "mi", "ren", "sul", "po"], k=4)) for _ in range(200)]
    lengths = [
        sum(len(tokens(made, text)) for text in texts)
        for made in (trained("unigram", texts * 2, vocabulary=size) for size in (20, 40, 80, 160, 10_000))
    ]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 2 * lengths[-1]


def strange_texts(count):
    draw = random.Random(2)
    places = [*range(32, 0x250), *range(0x3040, 0x3100), *range(0x4E00, 0x4F00), *range(0x1F600, 0x1F650), 0x10FFFF, 0]
    return ["".join(chr(draw.choice(places)) for _ in range(draw.randint(0, 40))) for _ in range(count)]


@pytest.mark.parametrize("merges", [0, 100])
def test_bytes_are_what_utf_8_says_and_come_back(merges):
    made = trained("bytes", SCRIPTS * 5, merges=merges)
    for text in strange_texts(200):
        text = text.strip()
        ids = made.encode(text, add_special_tokens=False).ids
        if not merges:
            assert ids == [4 + byte for byte in text.encode()]
        assert made.decode(ids) == text
    assert made.get_vocab_size() == 260 + merges


def test_characters_are_single_with_a_mark_before_each_word():
    made = trained("characters", ["to be, 我是"] * 2)
    assert tokens(made, " to  be,我x") == ["▁", "t", "o", "▁", "b", "e", "▁", ",", "▁", "我", "▁", "[UNK]"]
    assert made.get_vocab()["▁"] == 4
    assert made.decode(made.encode("to be").ids) == "to be"


@pytest.mark.parametrize("name", ["bpe", "characters", "unigram", "wordpiece", "words"])
def test_the_names_of_special_tokens_are_text_where_a_user_writes_them(name):
    made = trained(name, [*SCRIPTS, "the [SEP] token"] * 2)
    made.encode_special_tokens = True  # as the encoder does
    assert not {2, 3} & set(made.encode("the [SEP] and [CLS] tokens", add_special_tokens=False).ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_normalizer_is_part_of_the_file(name):
    made = trained(name, ["Refund ÜBER all"] * 2, normalizers.Lowercase())
    assert made.encode("REFUND über").ids == made.encode("refund ÜBER").ids
    assert "[UNK]" not in tokens(made, "REFUND ÜBER")


@pytest.mark.parametrize("name", ["bpe", "characters", "unigram", "wordpiece", "words"])
def test_too_few_texts_say_what_to_do(name):
    with pytest.raises(DataError, match=rf"{name}: nothing occurs 7 times in the training texts\.\nLower min_count"):
        trained(name, ["a b", "c"], min_count=7)
    assert trained(name, ["a b"], min_count=1).get_vocab_size() >= 6


@pytest.mark.parametrize("name", ["bpe", "characters", "unigram", "wordpiece", "words"])
def test_a_vocabulary_below_16_is_refused_before_anything_runs(name):
    with pytest.raises(ValidationError, match="greater than or equal to 16"):
        options_model(registry.get("tokenizer", name))(vocabulary=15)
    assert trained(name, SCRIPTS * 2, vocabulary=16).get_vocab_size() <= 16


MAKE = """
import hashlib, random
from sparknn_magic.data.text.tokenizing import train_tokenizer
from sparknn_magic.data.text.words import CHINESE, HIRAGANA, SOUTH_EAST, spaced_words
from sparknn_magic.data.text.words import words as by_words
from sparknn_magic.plugin import Part
draw = random.Random(3)
words = ["".join(draw.choices("etaoinshrdlu退款订单我想", k=draw.randint(1, 9))) for _ in range(3000)]
texts = [" ".join(draw.choices(words, k=8)) for _ in range(2000)]
for name in ("words", "wordpiece", "bpe", "unigram", "characters"):
    part = Part(f"sparknn_zoo.tokenizers.{name}:{name}", {"vocabulary": 700})
    print(name, hashlib.sha256(train_tokenizer(part, iter(texts), []).encode()).hexdigest())
"""


def test_the_same_texts_give_the_same_file_in_every_process():
    said = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", MAKE], capture_output=True, text=True, check=True, env=environment)
        said.append(done.stdout.splitlines())
    assert len(said[0]) == 5
    assert said[0] == said[1]
