"""Texts on Spark -> prepared shards: tokens, labels, what is dropped and why, and the length that is read."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from sparknn_magic.data.text.spark import inspect, plan, prepare, sample_rows
from sparknn_magic.errors import SparkNNError
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve

CELL = """\
task: text-classification
data:
  train: "SELECT * FROM questions WHERE split <> 'late'"
  validation: "SELECT * FROM questions WHERE split = 'late'"
  {more}
tokenizer: words
preprocess:
- lowercase
model:
- embedding: {{dim: 4}}
- flatten
- dense
"""


@pytest.fixture(scope="module")
def questions(spark):
    rows = [
        (f"Where is order {n % 7} now" + " please" * (n % 4), "where" if n % 2 else "when", "early") for n in range(80)
    ]
    rows += [("one two three four five six seven eight nine ten " * 4, "when", "early")]
    rows += [("When is order 3 due", "when", "late"), ("Whose is it", "whose", "late"), (None, "when", "late")]
    rows += [("", "where", "early"), ("no label", None, "early")]
    frame = spark.createDataFrame(rows, "text string, label string, split string").persist()
    frame.createOrReplaceTempView("questions")
    yield rows
    frame.unpersist()


def planned(spark, more="max_length: auto"):
    experiment = Experiment.parse(CELL.format(more=more))
    return plan(spark, experiment, resolve(experiment))


@pytest.fixture(scope="module")
def prepared(spark, questions, tmp_path_factory):
    return prepare(planned(spark), str(tmp_path_factory.mktemp("prepared")))


def test_tokens_are_those_of_the_library_for_the_text_after_the_steps(spark, prepared, questions):
    tokenizer = Tokenizer.from_str(prepared.tokenizer)
    tokenizer.enable_truncation(prepared.inputs.length)
    sample = sample_rows(prepared, spark, 0, 1000)
    found = sorted((tuple(row.tolist()), int(label)) for row, label in zip(sample.tokens, sample.labels, strict=True))
    used = [(text, label) for text, label, split in questions if split == "early" and text and label]
    assert prepared.classes == ("when", "where")
    assert found == sorted((tuple(tokenizer.encode(text).ids), prepared.classes.index(label)) for text, label in used)


def test_rows_that_cannot_be_used_are_counted_by_reason(prepared):
    assert prepared.rows == {"train": 81, "validation": 1}
    assert {each["reason"]: each["rows"] for each in prepared.dropped} == {
        "empty text": 1,
        "null label": 1,
        "null text": 1,
        "label not among the training classes": 1,
    }
    assert prepared.class_rows == {"when": 41, "where": 40}


def test_the_length_covers_the_texts_and_longer_ones_are_said_to_be_cut(spark, questions, tmp_path):
    found = inspect(planned(spark))
    tokenizer = Tokenizer.from_str(found.tokenizer)
    lengths = [len(tokenizer.encode(text).ids) for text, _, side in questions if side == "early" and text]
    assert found.quantiles == tuple(int(q) for q in np.quantile(lengths, [0.5, 0.95, 1.0], method="higher"))
    assert found.inputs.length % 8 == 0
    assert found.inputs.length >= max(lengths)
    short = prepare(planned(spark, "max_length: 6"), str(tmp_path))
    assert short.inputs.length == 6
    assert short.cut == sum(length > 6 for length in lengths) + 1  # one is a validation row
    assert short.notes[0].endswith("texts have more than 6 tokens; the network reads the first 6.")


def test_the_same_rows_and_steps_are_found_again_and_others_are_not(spark, questions, tmp_path):
    first, second = (prepare(planned(spark), str(tmp_path)) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    assert first.tokenizer == second.tokenizer
    assert not prepare(planned(spark, "max_length: 7"), str(tmp_path)).reused


def test_texts_that_are_all_null_are_said(spark, questions, tmp_path):
    cell = CELL.format(more="max_length: auto").replace(
        "SELECT * FROM", "SELECT CAST(NULL AS STRING) text, label, split FROM", 1
    )
    experiment = Experiment.parse(cell)
    with pytest.raises(SparkNNError, match="every training row's 'text' is null"):
        prepare(plan(spark, experiment, resolve(experiment)), str(tmp_path))


def test_labels_of_two_kinds_are_refused(spark, questions):
    experiment = Experiment.parse(
        CELL.format(more="max_length: auto").replace(
            "SELECT * FROM questions WHERE split = 'late'", "SELECT text, array(label) label FROM questions"
        )
    )
    with pytest.raises(SparkNNError, match=r"data\.validation has several labels a row, and data\.train one label"):
        plan(spark, experiment, resolve(experiment))
