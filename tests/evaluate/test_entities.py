"""Figures of entities by Spark, against seqeval's on the same tags."""

import warnings

import numpy as np
import pytest
from seqeval.metrics import classification_report
from seqeval.metrics.sequence_labeling import get_entities

from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.entities import entity_metrics
from sparknn_magic.infer.job import ENTITIES

TAGS = ["O", "O", "B-loc", "I-loc", "B-per", "I-per", "B-a-b", "I-a-b"]
SCHEMA = f"text array<string>, label array<string>, prediction {ENTITIES}"


def found(tags: list[str]) -> tuple:
    """What a model says that gives these tags to words."""
    return [(a, b + 1, label, "", 1.0) for label, a, b in get_entities(tags)], None


def sequences(seed: int, rows: int = 400, tags=TAGS) -> tuple[list, list]:
    """True and predicted tags; predictions are right more often than not."""
    draw = np.random.default_rng(seed)
    true = [draw.choice(tags, draw.integers(1, 15)).tolist() for _ in range(rows)]
    return true, [[t if draw.random() < 0.8 else str(draw.choice(tags)) for t in row] for row in true]


def frame(spark, true, predicted):
    rows = [(["w"] * len(t), t, found(p)) for t, p in zip(true, predicted, strict=True)]
    return spark.createDataFrame(rows, SCHEMA)


def reported(true, predicted) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of labels that only one side has
        return classification_report(true, predicted, output_dict=True)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_figure_is_seqevals_on_random_sequences(spark, seed):
    true, predicted = sequences(seed)
    if seed:  # labels that only the one or the other has
        true.append(["B-only", "I-only"])
        predicted.append(["O", "I-else"])
    ours, theirs = entity_metrics(frame(spark, true, predicted)), reported(true, predicted)
    for row in ours["per_class"]:
        expected = theirs.pop(row["label"])
        assert row["support"] == expected["support"]
        for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert row[name] == pytest.approx(expected[key], abs=1e-12)
    assert sorted(theirs) == ["macro avg", "micro avg", "weighted avg"]
    for name in ("micro", "macro", "weighted"):
        expected = theirs[f"{name} avg"]
        assert ours["entities"] == expected["support"]
        for key, theirs_key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert ours[name][key] == pytest.approx(expected[theirs_key], abs=1e-12)
    same = [get_entities(t) == get_entities(p) for t, p in zip(true, predicted, strict=True)]
    assert ours["rows_right"] == pytest.approx(np.mean(same))
    assert (ours["rows"], ours["errors"], ours["unknown_labels"]) == (len(true), 0, 0)


def test_spans_of_characters_count_where_start_end_and_label_are_right(spark):
    spans = [
        ("in Rome", [(3, 7, "loc")], ([(3, 7, "loc", "Rome", 1.0)], None)),
        ("in Rome", [(3, 7, "loc")], ([(3, 7, "per", "Rome", 1.0)], None)),
        ("in Rome", [(3, 7, "loc")], ([(2, 7, "loc", " Rome", 1.0)], None)),
        ("to Rome, Paris", [(9, 14, "loc"), (3, 7, "loc")], ([(3, 7, "loc", "Rome", 1.0)], None)),
        ("nothing", [], ([], None)),
    ]
    wrong = [
        ("", [], (None, "empty text")),
        ("in Rome", None, ([], None)),
        ("in Rome", [(3, 8, "loc")], ([], None)),
        ("in Rome", [(3, 3, "loc")], ([], None)),
        ("in Rome", [(1, 4, "loc"), (3, 7, "loc")], ([], None)),
        ("in Rome", [(3, 7, None)], ([], None)),
    ]
    schema = f"text string, label array<struct<start:int,end:bigint,label:string>>, prediction {ENTITIES}"
    ours = entity_metrics(spark.createDataFrame(spans + wrong, schema))
    assert (ours["rows"], ours["errors"], ours["unknown_labels"]) == (5, 1, 5)
    assert (ours["entities"], ours["predicted_entities"]) == (5, 4)
    assert ours["micro"] == pytest.approx({"precision": 2 / 4, "recall": 2 / 5, "f1": 4 / 9})
    assert ours["rows_right"] == 2 / 5


def test_tags_of_other_number_than_words_do_not_count_and_rows_of_none_are_told(spark):
    rows = [(["a", "b"], ["O"], ([], None)), (["a"], None, ([], None)), (["a"], ["x"], ([], None))]
    with pytest.raises(DataError, match="none of the 3 rows can be evaluated: 3 have in 'label' null"):
        entity_metrics(spark.createDataFrame(rows, SCHEMA))
    with pytest.raises(DataError, match="there are no rows to evaluate"):
        entity_metrics(spark.createDataFrame([], SCHEMA))
    one = [(["a"], ["O"], ([], None))]
    ours = entity_metrics(spark.createDataFrame(one, SCHEMA))
    assert (ours["f1"], ours["macro"]["f1"], ours["per_class"], ours["rows_right"]) == (0.0, 0.0, [], 1.0)


def test_columns_of_other_types_are_refused(spark):
    one = spark.createDataFrame([("a", "b", ([], None))], f"text string, label string, prediction {ENTITIES}")
    with pytest.raises(DataError, match="'text' is string and 'label' string; spans are array<struct"):
        entity_metrics(one)
    with pytest.raises(DataError, match="it has no entities"):
        entity_metrics(one.withColumn("prediction", one.label))
