"""Texts -> ids, row by row: what is cut, what is wrong with a row, and the tokenizers library as the reference."""

import os
import random
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from sparknn_magic.data.text import tokenizing
from sparknn_magic.data.text.tokenizing import Encoder, split_steps, text_inputs, train_tokenizer, with_normalizers
from sparknn_magic.errors import BundleError, DataError, PluginError, SpecError
from sparknn_magic.plugin import Part, TextInputs

WORDS = Part("sparknn_zoo.tokenizers.words:words", {"min_count": 1})
CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def letters():
    """A tokenizer for which every letter is a word: a is 4, b is 5, ..."""
    texts = [" ".join("a" * 9 + "b" * 8 + "c" * 7 + "d" * 6)]
    return train_tokenizer(WORDS, iter(texts), [])


def roberta():
    """A pretrained tokenizer as RoBERTa's files have it: other names, two separators, cut and padded."""
    known = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, **{letter: n + 4 for n, letter in enumerate("abcdefgh")}}
    made = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    made.enable_truncation(4)
    made.enable_padding(length=4, pad_id=1, pad_token="<pad>")
    return made.to_str()


def rows(found):
    return [found.ids[start:end].tolist() for start, end in zip(found.offsets, found.offsets[1:], strict=False)]


def random_texts(count, most, seed):
    draw = random.Random(seed)
    return [" ".join(draw.choices("abcd", k=draw.randint(1, most))) for _ in range(count)]


def test_each_row_has_its_ids_or_a_reason(letters):
    found = Encoder(letters).encode(pa.array(["a b", None, "", " \t\x00", "d", "z"]))
    assert rows(found) == [[CLS, 4, 5, SEP], [], [], [], [CLS, 7, SEP], [CLS, 1, SEP]]
    assert found.errors == [None, "null text", "empty text", "empty text", None, None]
    assert found.ids.dtype == np.int32
    assert found.offsets.dtype == np.int64
    assert not found.cut.any()


def test_a_pair_is_read_as_one_and_needs_both_texts(letters):
    first, second = pa.array(["a", "a", None, "", "a", ""]), pa.array(["b c", None, "b", "b", "", " "])
    found = Encoder(letters).encode(first, second)
    assert rows(found) == [[2, 4, 3, 5, 6, 3], [], [], [2, 3, 5, 3], [2, 4, 3, 3], []]
    assert found.errors == [None, "null text", "null text", None, None, "empty text"]


def test_bytes_that_are_no_text_are_that_rows_reason_alone(letters):
    raw = [b"a", b"\xff\xfe", b"b", b"\xed\xa0\x80", b"c \xf0\x9f", None]  # half a surrogate, half an emoji
    broken = pa.array(raw, pa.binary()).view(pa.string())
    for array in (broken, broken.cast(pa.binary()).cast(pa.large_binary()).view(pa.large_string())):
        found = Encoder(letters).encode(array)
        wrong = "not valid UTF-8"
        assert found.errors == [None, wrong, None, wrong, wrong, "null text"]
        assert rows(found) == [[CLS, 4, SEP], [], [CLS, 5, SEP], [], [], []]


def test_slices_chunks_and_no_rows_are_arrays_too(letters):
    encoder = Encoder(letters)
    whole = pa.array(["x", "a", "b", "x"])
    assert rows(encoder.encode(whole[1:3])) == [[CLS, 4, SEP], [CLS, 5, SEP]]
    assert rows(encoder.encode(pa.chunked_array([whole[1:2], whole[2:3]]))) == [[CLS, 4, SEP], [CLS, 5, SEP]]
    nothing = encoder.encode(pa.array([], pa.string()))
    assert (rows(nothing), nothing.errors, nothing.offsets.tolist()) == ([], [], [0])
    assert encoder.encode(pa.array([None, None], pa.null())).errors == ["null text"] * 2


@pytest.mark.parametrize("length", [3, 4, 7, 12, 40])
@pytest.mark.parametrize("file", ["letters", "roberta"])
def test_long_texts_are_cut_as_the_library_cuts_them(length, file, letters):
    made = letters if file == "letters" else roberta()
    texts = random_texts(200, 20, seed=length)
    found = Encoder(made, (), length).encode(pa.array(texts))
    library = Tokenizer.from_str(made)
    library.no_padding()
    library.no_truncation()
    whole = [len(library.encode(text).ids) for text in texts]
    library.enable_truncation(length)
    assert rows(found) == [library.encode(text).ids for text in texts]
    assert found.cut.tolist() == [size > length for size in whole]


@pytest.mark.parametrize("length", [8, 9, 13, 40])
@pytest.mark.parametrize("file", ["letters", "roberta"])
def test_the_longer_text_of_a_pair_is_cut_first_as_the_library_does(length, file, letters):
    made = letters if file == "letters" else roberta()
    first, second = random_texts(300, 20, seed=length), random_texts(300, 20, seed=-length)
    found = Encoder(made, (), length).encode(pa.array(first), pa.array(second))
    library = Tokenizer.from_str(made)
    library.no_padding()
    library.enable_truncation(length, strategy="longest_first")
    wanted = [library.encode(a, b).ids for a, b in zip(first, second, strict=True)]
    assert [len(row) for row in rows(found)] == [len(row) for row in wanted]
    odd = (length - (3 if file == "letters" else 4)) % 2  # then either may keep the token that is left over
    assert odd or rows(found) == wanted


def test_a_length_without_room_for_text_is_refused(letters):
    with pytest.raises(SpecError, match="max_length is 2; this tokenizer needs at least 3 for a token of text"):
        Encoder(letters, (), 2)
    with pytest.raises(SpecError, match="max_length is 4; a pair of texts needs at least 5"):
        Encoder(letters, (), 4).encode(pa.array(["a"]), pa.array(["b"]))


def test_texts_are_encoded_in_parts_with_the_same_result(letters, monkeypatch):
    texts = pa.array(random_texts(50, 9, seed=1))
    whole = rows(Encoder(letters).encode(texts))
    monkeypatch.setattr(tokenizing, "AT_ONCE", 20)
    assert rows(Encoder(letters).encode(texts)) == whole


def test_a_text_of_more_than_a_million_characters_is_cut(letters):
    found = Encoder(letters, (), 8).encode(pa.array(["a " * 600_000, "b"]))
    assert found.cut.tolist() == [True, False]
    assert rows(found) == [[2, 4, 4, 4, 4, 4, 4, 3], [2, 5, 3]]


def test_special_tokens_that_a_user_writes_are_text(letters):
    found = Encoder(letters).encode(pa.array(["a [SEP] b"]))
    assert rows(found) == [[CLS, 4, 1, 1, 1, 5, SEP]]


def test_what_stands_before_a_plain_function_runs_before_the_tokenizer():
    lower, upper = normalizers.Lowercase(), str.upper
    functions, normalizer = split_steps([lower, upper, normalizers.NFKC(), normalizers.Replace("1", "one")])
    assert [function("aB") for function in functions] == ["ab", "AB"]
    assert normalizer.normalize_str("\u2460") == "one"
    assert split_steps([]) == ([], None)
    assert split_steps([lower])[1] is lower
    with pytest.raises(PluginError, match="a preprocessor of texts is a int, not a function or a Normalizer"):
        split_steps([3])


def test_functions_and_normalizers_work_alike_in_training_and_encoding():
    steps = [normalizers.Lowercase(), lambda text: text.replace("one", "two"), normalizers.Replace("three", "four")]
    made = train_tokenizer(WORDS, iter(["ONE Three"]), steps)
    known = Tokenizer.from_str(made)
    assert set(known.get_vocab()) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "two", "four"}
    found = Encoder(made, steps).encode(pa.array(["oNe tHrEe", "ONE"]))
    two, four = known.token_to_id("two"), known.token_to_id("four")
    assert rows(found) == [[CLS, two, four, SEP], [CLS, two, SEP]]


def fails(text):
    if text == "a":
        raise ValueError("no a")
    if text == "b":
        return text.encode()
    if text == "c":
        return "\ud800"
    return 1 / 0 if text == "d" else text


def test_what_a_function_cannot_read_is_that_rows_reason(letters):
    found = Encoder(letters, [fails]).encode(pa.array(["a", "b", "c", "d", "a b", None]))
    reasons = ["no a", "a preprocessor makes a bytes of a text", "not valid UTF-8", "division by zero", None]
    assert found.errors == [*reasons, "null text"]
    assert rows(found)[4] == [CLS, 4, 5, SEP]


def test_a_tokenizer_of_no_texts_is_refused():
    for texts in ([], ["", " \n"]):
        with pytest.raises(DataError, match="there are no texts to train the tokenizer on: all are null or empty"):
            train_tokenizer(WORDS, iter(texts), [])


def nothing(texts, normalizer):
    return None


def without_specials(texts, normalizer):
    return Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))


def test_a_tokenizer_that_breaks_its_contract_is_named():
    with pytest.raises(PluginError, match=r"nothing returns a NoneType, not a tokenizers\.Tokenizer"):
        train_tokenizer(Part(f"{__name__}:nothing"), iter(["a"]), [])
    with pytest.raises(PluginError, match=r"are \[None, None, None, None\]; they must be 0, 1, 2 and 3"):
        train_tokenizer(Part(f"{__name__}:without_specials"), iter(["a"]), [])


def test_a_pretrained_tokenizer_gets_our_normalizers_and_neither_cuts_nor_pads():
    made = Tokenizer.from_str(with_normalizers(roberta(), [normalizers.Replace("X", "A"), normalizers.NFKC()]))
    assert made.truncation is None
    assert made.padding is None
    assert made.encode("X b C d e f").ids == [0, 4, 5, 6, 7, 8, 9, 2], "ours first, then its own lowercase"
    assert made.encode("a", "b").ids == [0, 4, 2, 2, 5, 2]
    assert Tokenizer.from_str(with_normalizers(roberta(), [])).encode("X").ids == [0, 3, 2]


def test_what_is_no_tokenizer_is_said_in_a_line():
    for text in ("", "{}", "[1]", "not json"):
        with pytest.raises(BundleError, match=r"this is no tokenizer\.json of the tokenizers library: "):
            Encoder(text)


def test_the_inputs_of_a_network_are_those_of_its_tokenizer(letters):
    assert text_inputs(letters, 32) == TextInputs(vocabulary=8, length=32, pad=0, separator=3, word_start=None)
    assert text_inputs(roberta(), 9) == TextInputs(vocabulary=12, length=9, pad=1, separator=2, word_start=None)


def test_a_tokenizer_that_knows_no_text_is_refused():
    made = Tokenizer(models.BPE({"ab": 0}, []))
    with pytest.raises(BundleError, match="the tokenizer makes no token of any text"):
        Encoder(made.to_str())


def test_the_padding_is_an_id_that_no_text_has():
    made = Tokenizer(models.WordLevel({"a": 0, "b": 7, "<end>": 8, "<mask>": 9}, unk_token="a"))
    with pytest.raises(BundleError, match=r"no token to fill short rows with, such as \[PAD\] or <pad>"):
        text_inputs(made.to_str(), 9)
    made.add_special_tokens(["<end>", "<mask>"])
    made.post_processor = processors.TemplateProcessing("$A <end>", "$A $B <end>", [("<end>", 8)])
    assert text_inputs(made.to_str(), 9) == TextInputs(vocabulary=10, length=9, pad=9, separator=None, word_start=None)


@pytest.mark.parametrize(("name", "start"), [("characters", 4), ("bpe", None), ("unigram", None), ("bytes", None)])
def test_the_start_of_a_word_is_told_where_tokens_are_single_characters(name, start):
    attribute = {"bytes": "bytes_"}.get(name, name)
    made = train_tokenizer(Part(f"sparknn_zoo.tokenizers.{name}:{attribute}"), iter(["we ate 退款 at 😀"] * 3), [])
    assert text_inputs(made, 8).word_start == start


@pytest.mark.parametrize("name", ["bpe", "bytes", "characters", "unigram", "wordpiece", "words"])
def test_a_message_of_100_000_characters_takes_well_under_a_second(name):
    texts = ["I want a refund for my order, please", "我想退款", "ขอเงินคืน"] * 3
    attribute = {"bytes": "bytes_"}.get(name, name)
    encoder = Encoder(train_tokenizer(Part(f"sparknn_zoo.tokenizers.{name}:{attribute}"), iter(texts), []))
    for long in ("refund " * 15_000, "我想退款" * 25_000, "ขอเงินคืน" * 12_000, "x" * 100_000, "(" * 100_000):
        start = time.process_time()
        found = encoder.encode(pa.array([long]))
        assert time.process_time() - start < 0.8
        assert (found.cut.tolist(), len(found.ids)) == ([True], 512)


def test_a_fresh_interpreter_needs_no_spark_and_no_torch_and_uses_one_thread():
    code = (
        "import os, sys\nfrom sparknn_magic.data.text import tokenizing\ntokenizing.one_thread()\n"
        "print(os.environ['TOKENIZERS_PARALLELISM'], sorted({'torch', 'pyspark', 'pandas'} & sys.modules.keys()))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "false []\n"
    assert done.stderr == ""
