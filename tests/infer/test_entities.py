"""Tags of tokens -> entities on an executor, without Spark: batches of any width, places in the user's own text."""
# ruff: noqa: RUF001 (full-width letters)

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from seqeval.metrics.sequence_labeling import get_entities
from torch import nn

from sparknn_magic.data.entities.worker import entity_reader
from sparknn_magic.data.text.spans import labels_of, tags_of
from sparknn_magic.data.text.tokenizing import text_inputs, train_tokenizer
from sparknn_magic.errors import DataError, InferenceError
from sparknn_magic.export.tokens import Tagger, export_tags, run_both
from sparknn_magic.infer.entities import entity_writer
from sparknn_magic.infer.job import ENTITIES, InferJob
from sparknn_magic.infer.worker import NO_NUMBER, predict
from sparknn_magic.plugin import Part, TextInputs
from sparknn_zoo.preprocess.lowercase import lowercase
from sparknn_zoo.preprocess.nfkc import nfkc

TAGS = tags_of(["loc", "num"])
LENGTH = 24
# What the network below says of each word.
SAYS = {"berlin": "B-loc", "new": "B-loc", "york": "I-loc", "seven": "I-num", "twelve": "I-num", "rome": "B-loc"}
PLAIN = ["my", "parcel", "goes", "to", "from", "a", "is", "late", "订", "单"]


class Lookup(nn.Module):
    """A tag for each token by its id alone."""

    def __init__(self, tags: list[int], sure: float = 4.0):
        super().__init__()
        table = torch.zeros(len(tags), len(TAGS))
        table[torch.arange(len(tags)), torch.tensor(tags)] = sure
        self.table = nn.Embedding.from_pretrained(table)

    def forward(self, ids, mask):
        return self.table(ids) * mask.unsqueeze(2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    steps = [nfkc(), lowercase()]
    json = train_tokenizer(
        Part("sparknn_zoo.tokenizers.words:words", {"min_count": 1}), [" ".join([*SAYS, *PLAIN])], steps
    )
    (folder / "tokenizer.json").write_text(json, encoding="utf-8")
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_str(json).get_vocab()
    tags = [0] * len(vocabulary)
    for word, tag in SAYS.items():
        tags[vocabulary[word]] = TAGS.index(tag)
    assert text_inputs(json, LENGTH) == TextInputs(len(vocabulary), LENGTH, separator=3)
    export_tags(Tagger(Lookup(tags)).eval(), LENGTH, folder / "model.onnx", {"name": "m"})
    return folder


def job(folder, **changed) -> InferJob:
    whole = InferJob(
        digest=hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        read=Part("sparknn_magic.data.entities.worker:entity_reader", {"length": LENGTH}),
        write=Part("sparknn_magic.infer.entities:entity_writer", {"tags": TAGS}),
        result=ENTITIES,
        files=(("tokenizer", "tokenizer.json"),),
    )
    return replace(whole, **changed)


def score(folder, *columns, **changed):
    (found,) = predict(iter([columns]), job(folder, **changed), str(folder / "model.onnx"))
    return found.to_pylist()


def of(row) -> list[tuple]:
    return [(e["label"], e["start"], e["end"], e["text"]) for e in row["entities"]]


def test_places_are_those_of_the_characters_that_the_user_wrote(folder):
    text = "  Ｍｙ parcel goes to ＮＥＷ  York from berlin 🧑‍🚀 seven Twelve"
    (row,) = score(folder, pa.array([text]))
    assert [(label, words) for label, _, _, words in of(row)] == [
        ("loc", "ＮＥＷ  York"),
        ("loc", "berlin"),
        ("num", "seven Twelve"),  # an I- that no B- stands before begins one
    ]
    assert all(text[start:end] == words for _, start, end, words in of(row))
    assert all(e["score"] == pytest.approx(np.exp(4) / (np.exp(4) + 4), abs=1e-6) for e in row["entities"])
    assert row["error"] is None


def test_of_words_the_places_are_words(folder):
    words = [["to", "New", "York", "berlin"], ["a"], ["new", "", "york"], [], None, ["a", None], ["new-york", "seven"]]
    rows = score(folder, pa.array(words))
    assert of(rows[0]) == [("loc", 1, 3, "New York"), ("loc", 3, 4, "berlin")]
    assert of(rows[1]) == []
    assert of(rows[2]) == [("loc", 0, 1, "new"), ("loc", 2, 3, "york")]  # a word between them has no token
    assert [row["error"] for row in rows] == [None, None, None, "empty text", "null text", "null word", None]
    assert [row["entities"] is None for row in rows] == [row["error"] is not None for row in rows]
    assert of(rows[6]) == [("loc", 0, 1, "new-york"), ("num", 1, 2, "seven")]  # a word has the tag of its first token


def test_rows_of_every_length_are_put_back_in_order(folder):
    draw = np.random.default_rng(0)
    words = [draw.choice([*SAYS, *PLAIN], draw.integers(1, 20)).tolist() for _ in range(6000)]
    rows = score(folder, pa.array([" ".join(each) for each in words]))
    for each, row in zip(words, rows, strict=True):
        expected = get_entities([SAYS.get(word, "O") for word in each])
        assert [(e["label"], e["text"]) for e in row["entities"]] == [
            (n, " ".join(each[a : b + 1])) for n, a, b in expected
        ]
    same = score(folder, pa.array(words))
    assert [[(e["label"], e["start"], e["end"] - 1) for e in row["entities"]] for row in same] == [
        [(n, a, b) for n, a, b in get_entities([SAYS.get(word, "O") for word in each])] for each in words
    ]


def test_what_is_behind_the_last_token_that_is_read_is_no_entity(folder):
    assert of(score(folder, pa.array(["a " * 100 + "berlin"]))[0]) == []
    assert len(score(folder, pa.array(["berlin a " * 100]))[0]["entities"]) == (LENGTH - 2) // 2


def test_a_second_argument_leaves_out_entities_with_a_lower_score(folder):
    texts = pa.array(["berlin", "berlin", "berlin", None])
    least = pa.array([0.5, 0.99, None, 0.5])
    assert [r["entities"] and len(r["entities"]) for r in score(folder, texts, least)] == [1, [], 1, None]
    with pytest.raises(InferenceError, match="a number from 0 to 1, not string"):
        score(folder, texts, pa.array(["high"] * 4))


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "null text"), ("", "empty text"), (" \t", "empty text"), ("x\x00\x1b", None), ("berlin " * 20_000, None)],
)
def test_odd_texts_get_an_answer_or_a_reason_and_harm_no_other(folder, text, reason):
    first, odd, last = score(folder, pa.array(["berlin", text, "berlin"], pa.string()))
    assert of(first) == of(last) == [("loc", 0, 6, "berlin")]
    assert odd["error"] == reason
    assert (odd["entities"] is None) == (reason is not None)


def test_bytes_that_are_no_utf_8_and_columns_of_other_types(folder):
    raw = pa.array([b"berlin", b"a \xed\xa0\x80 b"], pa.binary()).view(pa.string())
    assert [row["error"] for row in score(folder, raw)] == [None, "not valid UTF-8"]
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2]), raw)
    assert [row["error"] for row in score(folder, lists)] == [None, "not valid UTF-8"]
    with pytest.raises(DataError, match="holds strings, not int64"):
        score(folder, pa.array([1]))
    with pytest.raises(DataError, match="lists of strings, not list<"):
        score(folder, pa.array([[1]]))
    assert score(folder, pa.nulls(1)) == [{"entities": None, "error": "null text"}]
    with pytest.raises(InferenceError, match="a row cannot be scored: empty text"):
        score(folder, pa.array(["berlin", ""]), mode="failfast")


def test_no_rows_are_no_predictions_of_the_same_type(folder):
    (found,) = predict(iter([(pa.array([], pa.string()),)]), job(folder), str(folder / "model.onnx"))
    assert len(found) == 0
    (full,) = predict(iter([(pa.array(["berlin"]),)]), job(folder), str(folder / "model.onnx"))
    assert found.type == full.type


def test_a_probability_that_is_no_number_is_the_rows_reason(folder):
    reader = entity_reader(tokenizer=str(folder / "tokenizer.json"), length=LENGTH)
    errors: list[str | None] = []
    ((index, batch),) = reader.batches(pa.array(["berlin a", "rome a"]), errors=errors)
    size = batch["input_ids"].shape
    probabilities = np.full((*size, len(TAGS)), 0.2, np.float32)
    probabilities[0, 1] = np.nan
    gather = entity_writer(tags=TAGS).begin()
    gather.take(index, batch, {"probabilities": probabilities, "index": np.ones(size, np.int64)}, errors)
    found = gather.finish(errors).to_pylist()
    assert errors == [NO_NUMBER, None]
    assert found[0]["entities"] is None
    assert [e["text"] for e in found[1]["entities"]] == ["rome", "a"]


def test_both_engines_agree_on_rows_of_several_lengths(folder):
    draw = np.random.default_rng(1)
    tokens = [draw.integers(1, 15, draw.integers(1, LENGTH)).astype(np.int32) for _ in range(130)]
    network = Tagger(Lookup([int(n) for n in draw.integers(0, len(TAGS), 20)])).eval()
    export_tags(network, LENGTH, folder / "other.onnx", {"name": "m"})
    here, there = run_both(network, folder / "other.onnx", tokens, 0)
    assert here.shape == there.shape == (sum(map(len, tokens)), len(TAGS))
    np.testing.assert_allclose(here, there, atol=1e-6)
    assert labels_of(TAGS) == ("loc", "num")
