"""Texts -> predictions on an executor, without Spark: batches by length, put back in order, a reason for each row."""

import hashlib
import time
from dataclasses import replace

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer

from sparknn_magic.data.text.tokenizing import text_inputs, train_tokenizer
from sparknn_magic.data.text.worker import BATCH_TOKENS, text_reader
from sparknn_magic.errors import DataError, InferenceError
from sparknn_magic.export.graph import TextClassifier
from sparknn_magic.export.texts import export_texts
from sparknn_magic.infer.job import SEVERAL, InferJob
from sparknn_magic.infer.worker import predict
from sparknn_magic.plugin import Part
from tests.training.test_ragged import Bag

WORDS = ["where", "is", "my", "parcel", "the", "refund", "of", "order", "late", "please", "help", "订单", "在", "哪里"]
CLASSES = ["delivery", "refund", "other"]
LENGTH = 48


def messages(count: int, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(1, 90))) for _ in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder's two files, and the network."""
    folder = tmp_path_factory.mktemp("model")
    part = Part("sparknn_zoo.tokenizers.words:words", {"vocabulary": 200})
    json = train_tokenizer(part, messages(200, seed=9), [])
    (folder / "tokenizer.json").write_text(json, encoding="utf-8")
    torch.manual_seed(3)
    network = TextClassifier(Bag(text_inputs(json, LENGTH), len(CLASSES))).eval()
    export_texts(network, LENGTH, folder / "model.onnx", {"name": "m"})
    return folder


def job(folder, **changed) -> InferJob:
    whole = InferJob(
        digest=hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        read=Part("sparknn_magic.data.text.worker:text_reader", {"length": LENGTH}),
        write=Part("sparknn_magic.infer.worker:classification_writer", {"classes": CLASSES}),
        files=(("tokenizer", "tokenizer.json"),),
    )
    return replace(whole, **changed)


def score(folder, *columns, **changed):
    arrays = tuple(c if isinstance(c, pa.Array) else pa.array(c, pa.string()) for c in columns)
    (found,) = predict(iter([arrays]), job(folder, **changed), str(folder / "model.onnx"))
    return found.to_pylist()


def one_by_one(folder, texts):
    """The same by the libraries alone, a text at a time."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    found = []
    for text in texts:
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        found.append(session.run(["probabilities"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
    return np.stack(found)


def test_every_text_gets_what_it_gets_alone_in_the_order_of_the_rows(model):
    texts = messages(9000)  # more than are sorted together
    found = score(model, texts)
    expected = one_by_one(model, texts)
    np.testing.assert_allclose([row["probabilities"] for row in found], expected, atol=1e-6)
    assert [row["label"] for row in found] == [CLASSES[n] for n in expected.argmax(1)]
    assert not any(row["error"] for row in found)


def test_batches_stay_within_the_budget_and_hold_texts_of_like_length(model):
    reader = text_reader(tokenizer=str(model / "tokenizer.json"), length=LENGTH)
    errors: list[str | None] = []
    seen = list(reader.batches(pa.array([*messages(500), None]), errors=errors))
    assert errors == [None] * 500 + ["null text"]
    assert sorted(n for rows, _ in seen for n in rows.tolist()) == list(range(500))
    assert all(inputs["input_ids"].size <= BATCH_TOKENS for _, inputs in seen)
    padding = sum(int((inputs["attention_mask"] == 0).sum()) for _, inputs in seen)
    tokens = sum(int(inputs["attention_mask"].sum()) for _, inputs in seen)
    # In the order of the rows nearly every batch has a text of full length.
    assert padding < (500 * LENGTH - tokens) / 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "null text"),
        ("", "empty text"),
        (" \t\n ", "empty text"),
        ("order \x00\x1b[31m\u202e late", None),
        ("🧑‍🚀👨‍👩‍👧‍👦 订单", None),
        ("parcel " * 20_000, None),
        ("x" * 100_000, None),
        ("[SEP] [PAD] parcel", None),
    ],
)
def test_odd_texts_get_an_answer_or_a_reason_and_harm_no_other(model, text, reason):
    beside = "where is my parcel"
    started = time.perf_counter()
    first, odd, last = score(model, [beside, text, beside])
    assert time.perf_counter() - started < 2
    (alone,) = one_by_one(model, [beside])
    np.testing.assert_allclose([first["probabilities"], last["probabilities"]], [alone, alone], atol=1e-6)
    assert odd["error"] == reason
    assert (odd["label"] is None) == (reason is not None)


def test_bytes_that_are_no_utf_8_are_a_reason_of_their_row(model):
    surrogate = b"parcel \xed\xa0\x80 late"  # half a surrogate pair, as a JVM may hold it
    bad = pa.array([b"parcel", surrogate, b"refund"], pa.binary()).view(pa.string())
    found = score(model, bad)
    assert [row["error"] for row in found] == [None, "not valid UTF-8", None]
    assert found[0]["score"] == pytest.approx(one_by_one(model, ["parcel"]).max(), abs=1e-6)


def test_a_second_argument_is_the_least_score_below_which_there_is_no_answer(model):
    texts = messages(50)
    plain = score(model, texts)
    middle = sorted(row["score"] for row in plain)[25]
    found = score(model, [*texts, None], pa.array([middle] * 51))
    assert [row is None for row in found[:50]] == [row["score"] < middle for row in plain]
    assert [row for row in found[:50] if row] == [row for row in plain if row["score"] >= middle]
    assert found[50]["error"] == "null text"
    assert score(model, texts[:1], pa.array([None], pa.float64())) == plain[:1]
    with pytest.raises(InferenceError, match="takes 1 column, and one more for the least score; it was given 3"):
        score(model, texts[:1], texts[:1], texts[:1])
    with pytest.raises(InferenceError, match="a number from 0 to 1, not string"):
        score(model, texts[:1], ["high"])


def test_of_several_labels_those_of_one_half_and_more_are_given(model):
    write = Part("sparknn_magic.infer.worker:classification_writer", {"classes": CLASSES, "several": True})
    build = write.build()
    outputs = {"probabilities": np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.3]], np.float32), "index": np.array([0, 2])}
    found = build(outputs, np.array([0, 2]), [None, "empty text", None]).to_pylist()
    assert [row["labels"] for row in found] == [["delivery", "refund"], None, []]
    assert [row["label"] for row in found] == ["delivery", None, "other"]
    assert "labels:array<string>" in SEVERAL


def test_a_column_of_numbers_is_refused_and_a_null_one_is_not(model):
    with pytest.raises(DataError, match="holds strings, not int64"):
        score(model, pa.array([1, 2]))
    assert score(model, pa.nulls(1))[0]["error"] == "null text"


def test_failfast_names_the_reason(model):
    with pytest.raises(InferenceError, match="a row cannot be scored: empty text"):
        score(model, ["parcel", ""], mode="failfast")
