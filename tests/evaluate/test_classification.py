"""Every figure against scikit-learn, on random predictions and on awkward ones."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.spark import classification_metrics
from tests.evaluate.rows import frame, predicted, random_rows


def assert_equals_scikit_learn(metrics, classes, true, probabilities):
    """`true` int[N] and `probabilities` float32[N, K] of the rows that count, in the order of `classes`."""
    guess, numbers = probabilities.argmax(axis=1), list(range(len(classes)))
    assert metrics["rows"] == len(true)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(true, guess))
    assert metrics["confusion"] == confusion_matrix(true, guess, labels=numbers).tolist()
    assert metrics["baseline_accuracy"] == pytest.approx(np.bincount(true).max() / len(true))
    each = precision_recall_fscore_support(true, guess, labels=numbers, zero_division=0)
    for column, name in enumerate(("precision", "recall", "f1", "support")):
        assert [c[name] for c in metrics["per_class"]] == pytest.approx(each[column].tolist())
    for average in ("macro", "weighted"):
        p, r, f1, _ = precision_recall_fscore_support(true, guess, labels=numbers, average=average, zero_division=0)
        assert metrics[average] == pytest.approx({"precision": p, "recall": r, "f1": f1})
    if len(classes) > 1:
        expected = log_loss(true, y_proba=probabilities.astype(np.float32), labels=numbers)
        assert metrics["log_loss"] == pytest.approx(expected, rel=1e-5)
    if len(classes) > 5:
        assert metrics["top5_accuracy"] == pytest.approx(top_k_accuracy_score(true, probabilities, k=5, labels=numbers))
    else:
        assert metrics["top5_accuracy"] is None
    assert [c["label"] for c in metrics["per_class"]] == classes


@pytest.mark.parametrize(("rows", "count"), [(700, 10), (400, 3), (300, 2), (500, 60)])
def test_every_figure_of_random_rows_equals_scikit_learn(spark, rows, count):
    classes = [f"class {i}" for i in range(count)]
    true, probabilities = random_rows(rows, classes, seed=count)
    labels = [classes[t] for t in true]
    metrics = classification_metrics(frame(spark, labels, predicted(classes, probabilities)), classes)
    assert_equals_scikit_learn(metrics, classes, true, probabilities)
    assert (metrics["errors"], metrics["unknown_labels"]) == (0, 0)


def test_a_class_never_predicted_has_precision_zero_and_one_absent_from_the_rows_has_recall_zero(spark):
    classes = [f"c{i}" for i in range(7)]
    true, probabilities = random_rows(200, classes)
    probabilities[:, 2] = 0  # never predicted
    kept = true != 4  # absent from the rows
    true, probabilities = true[kept], probabilities[kept]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    metrics = classification_metrics(
        frame(spark, [classes[t] for t in true], predicted(classes, probabilities)), classes
    )
    assert_equals_scikit_learn(metrics, classes, true, probabilities)
    assert metrics["per_class"][2]["precision"] == 0
    assert metrics["per_class"][4] | {"precision": 0.0} == {
        "label": "c4",
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "support": 0,
    }


def test_one_row_is_enough(spark):
    classes = list("abcdefgh")
    true, probabilities = random_rows(1, classes)
    metrics = classification_metrics(
        frame(spark, [classes[t] for t in true], predicted(classes, probabilities)), classes
    )
    assert_equals_scikit_learn(metrics, classes, true, probabilities)


def test_a_model_of_one_class_is_always_right(spark):
    metrics = classification_metrics(frame(spark, ["a", "a"], predicted(["a"], np.ones((2, 1), np.float32))), ["a"])
    assert metrics["accuracy"] == metrics["baseline_accuracy"] == 1
    assert metrics["log_loss"] == pytest.approx(0, abs=1e-6)


def test_probability_zero_of_the_true_class_costs_what_scikit_learn_says_and_not_infinity(spark):
    classes = list("abcdef")
    probabilities = np.eye(6, dtype=np.float32)[[0, 1, 2, 3]]
    true = np.array([0, 1, 2, 5])
    metrics = classification_metrics(
        frame(spark, [classes[t] for t in true], predicted(classes, probabilities)), classes
    )
    assert_equals_scikit_learn(metrics, classes, true, probabilities)
    assert metrics["log_loss"] == pytest.approx(15.942385 / 4, rel=1e-5)


def test_of_equal_probabilities_the_later_class_ranks_first_as_in_scikit_learn(spark):
    classes = list("abcdefghij")
    true = np.arange(10)
    flat = np.full((10, 10), 0.1, np.float32)
    metrics = classification_metrics(frame(spark, list(classes), predicted(classes, flat)), classes)
    assert_equals_scikit_learn(metrics, classes, true, flat)
    assert metrics["top5_accuracy"] == 0.5
    rng = np.random.default_rng(5)
    true = rng.integers(0, 10, 300)
    coarse = rng.integers(0, 3, (300, 10)).astype(np.float32) + 1
    coarse /= coarse.sum(axis=1, keepdims=True)
    metrics = classification_metrics(frame(spark, [classes[t] for t in true], predicted(classes, coarse)), classes)
    assert_equals_scikit_learn(metrics, classes, true, coarse)


def test_rows_without_a_prediction_and_rows_of_unknown_or_null_label_are_counted_apart(spark):
    classes = list("abcdefg")
    true, probabilities = random_rows(50, classes)
    labels: list[str | None] = [classes[t] for t in true]
    labels[3], labels[4], labels[5] = "stranger", None, "A"  # labels are compared letter for letter
    answers = predicted(classes, probabilities, errors={5: "the file is cut short", 6: "null", 7: "not a picture"})
    metrics = classification_metrics(frame(spark, labels, answers), classes)
    assert (metrics["rows"], metrics["errors"], metrics["unknown_labels"]) == (45, 3, 2)
    kept = np.setdiff1d(np.arange(50), [3, 4, 5, 6, 7])
    assert_equals_scikit_learn(metrics, classes, true[kept], probabilities[kept])


def test_a_null_in_place_of_the_whole_prediction_is_a_row_without_one(spark):
    classes = ["a", "b"]
    answers = [*predicted(classes, np.array([[0.9, 0.1]], np.float32)), None]
    metrics = classification_metrics(frame(spark, ["a", "a"], answers), classes)
    assert (metrics["rows"], metrics["errors"]) == (1, 1)


STRANGE = ["it's", 'say "hi"', "back`tick", "a.b.c", "👟 shoe", "", " ", "null", "<img src=x>", "$x^2$", "a\nb", "猫"]


def test_labels_with_quotes_backticks_dots_and_emoji_are_compared_as_they_are(spark):
    true, probabilities = random_rows(300, STRANGE, seed=9)
    metrics = classification_metrics(
        frame(spark, [STRANGE[t] for t in true], predicted(STRANGE, probabilities)), STRANGE
    )
    assert_equals_scikit_learn(metrics, STRANGE, true, probabilities)


@pytest.mark.parametrize("name", ["product.kind", "the label", "back`tick", "été", "a-b", "select"])
def test_columns_may_have_dots_spaces_and_backticks_in_their_names(spark, name):
    classes = ["a", "b", "c"]
    true, probabilities = random_rows(12, classes)
    rows = frame(spark, [classes[t] for t in true], predicted(classes, probabilities), name, f"{name} guess")
    metrics = classification_metrics(rows, classes, label=name, prediction=f"{name} guess")
    assert metrics["accuracy"] == pytest.approx(accuracy_score(true, probabilities.argmax(axis=1)))


def test_a_column_is_found_in_another_case_as_sql_finds_it(spark):
    rows = frame(spark, ["a"], predicted(["a", "b"], np.array([[0.7, 0.3]], np.float32)), "Label", "Prediction")
    assert classification_metrics(rows, ["a", "b"])["accuracy"] == 1


@pytest.mark.parametrize("labels", [[0, 1, 2, 1], [True, False, True, True]])
def test_labels_that_are_numbers_or_booleans_are_compared_as_spark_writes_them(spark, labels):
    classes = ["0", "1", "2"] if isinstance(labels[0], int) and not isinstance(labels[0], bool) else ["false", "true"]
    true = np.array([classes.index(str(v).lower()) for v in labels])
    _, probabilities = random_rows(4, classes)
    metrics = classification_metrics(frame(spark, labels, predicted(classes, probabilities)), classes)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(true, probabilities.argmax(axis=1)))


def test_no_rows_say_what_to_check(spark):
    rows = frame(spark, pa.array([], pa.string()), [])
    with pytest.raises(DataError) as error:
        classification_metrics(rows, ["a", "b"])
    assert str(error.value) == "there are no rows to evaluate.\nCheck the query or table that gives the rows."


def test_rows_that_all_failed_say_so_with_a_reason(spark):
    classes = ["a", "b"]
    _, probabilities = random_rows(3, classes)
    answers = predicted(classes, probabilities, errors=dict.fromkeys(range(3), "the file is cut short"))
    with pytest.raises(DataError) as error:
        classification_metrics(frame(spark, ["a", "b", "a"], answers), classes)
    assert str(error.value) == (
        "none of the 3 rows can be evaluated: 3 have no prediction (the file is cut short).\n"
        "Check that the image and label columns are those the model was trained on."
    )


def test_labels_that_are_all_unknown_say_so_with_an_example(spark):
    classes = ["a", "b"]
    _, probabilities = random_rows(2, classes)
    with pytest.raises(DataError, match=r"2 have a label that is not one of the 2 classes \('Coat' for one\)"):
        classification_metrics(frame(spark, ["Coat", "Coat"], predicted(classes, probabilities)), classes)
    nulls = frame(spark, pa.array([None, None], pa.string()), predicted(classes, probabilities))
    with pytest.raises(DataError, match=r"2 have a label that is not one of the 2 classes \(null for one\)"):
        classification_metrics(nulls, classes)


def test_predictions_of_another_model_are_refused(spark):
    _, probabilities = random_rows(2, ["x", "y"])
    rows = frame(spark, ["a", "b"], predicted(["x", "x"], probabilities))
    with pytest.raises(DataError, match="2 predictions, 'x' for one, are not among the 2 classes"):
        classification_metrics(rows, ["a", "b"])
    with pytest.raises(DataError, match="rows whose prediction is not 3 probabilities between 0 and 1: 2"):
        classification_metrics(rows, ["x", "a", "b"])


@pytest.mark.parametrize("wrong", [[0.5, float("nan")], [None, 0.5], [-0.5, 1.5], [0.5], [], None])
def test_what_is_no_distribution_over_the_classes_is_refused(spark, wrong):
    answers = predicted(["a", "b"], np.full((2, 2), 0.5, np.float32))
    answers[0]["probabilities"] = wrong
    with pytest.raises(DataError, match="rows whose prediction is not 2 probabilities between 0 and 1: 1"):
        classification_metrics(frame(spark, ["a", "b"], answers), ["a", "b"])


def test_a_missing_column_names_the_nearest(spark):
    rows = frame(spark, ["a"], predicted(["a", "b"], np.array([[0.7, 0.3]], np.float32)), "label", "prediction")
    with pytest.raises(DataError, match=r"there is no column 'lable'\. Did you mean 'label'"):
        classification_metrics(rows, ["a", "b"], label="lable")


def test_one_field_of_a_prediction_is_not_a_prediction(spark):
    rows = frame(spark, ["a"], predicted(["a", "b"], np.array([[0.7, 0.3]], np.float32)))
    with pytest.raises(DataError, match="column 'p' is string, not a prediction: it has no label"):
        classification_metrics(rows.selectExpr("label", "prediction.label AS p"), ["a", "b"], prediction="p")
