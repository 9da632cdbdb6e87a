"""Every figure of rows with any number of labels against scikit-learn, on random predictions and on awkward ones."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score, hamming_loss, log_loss, precision_recall_fscore_support

from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.multilabel import multilabel_metrics

PREDICTION = pa.struct(
    [
        ("label", pa.string()),
        ("score", pa.float32()),
        ("probabilities", pa.list_(pa.float32())),
        ("error", pa.string()),
        ("labels", pa.list_(pa.string())),
    ]
)


def named(row, classes):
    return [name for name, has in zip(classes, row, strict=True) if has]


def predicted(classes, probabilities, errors=None):
    """Probabilities float32[N, K] -> the model's answers; a row with an error has none."""
    answers = []
    for i, row in enumerate(probabilities):
        error, best = (errors or {}).get(i), int(np.argmax(row))
        answers.append(
            {"error": error}
            if error
            else {
                "label": classes[best],
                "score": float(row[best]),
                "probabilities": row.tolist(),
                "labels": named(row >= 0.5, classes),
            }
        )
    return answers


def frame(spark, labels, answers, label="labels", kind=None):
    columns = [pa.array(labels, kind or pa.list_(pa.string())), pa.array(answers, PREDICTION)]
    return spark.createDataFrame(pa.Table.from_arrays(columns, names=[label, "prediction"]))


def random_rows(rows, count, seed=0):
    """True labels bool[N, K] of which the first classes are frequent, and probabilities float32[N, K]."""
    rng = np.random.default_rng(seed)
    true = rng.random((rows, count)) < np.linspace(0.6, 0.02, count)
    logits = rng.normal(size=(rows, count)) * 1.5 + np.where(true, 1.2, -1.2)
    return true, (1 / (1 + np.exp(-logits))).astype(np.float32)


def assert_equals_scikit_learn(metrics, classes, true, probabilities):
    """`true` bool[N, K] and `probabilities` float32[N, K] of the rows that count."""
    guess = probabilities >= 0.5
    assert metrics["rows"] == len(true)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(true, guess))
    assert metrics["hamming_loss"] == pytest.approx(hamming_loss(true, guess))
    most = Counter(map(tuple, true.tolist())).most_common(1)[0][0]
    assert metrics["baseline_accuracy"] == pytest.approx(accuracy_score(true, np.tile(most, (len(true), 1))))
    each = precision_recall_fscore_support(true, guess, average=None, zero_division=0)
    for column, name in enumerate(("precision", "recall", "f1", "support")):
        assert [c[name] for c in metrics["per_class"]] == pytest.approx(each[column].tolist())
    for average in ("micro", "macro", "weighted"):
        p, r, f1, _ = precision_recall_fscore_support(true, guess, average=average, zero_division=0)
        assert metrics[average] == pytest.approx({"precision": p, "recall": r, "f1": f1})
    losses = [
        log_loss(true[:, k], np.stack([1 - probabilities[:, k], probabilities[:, k]], axis=1), labels=[False, True])
        for k in range(len(classes))
    ]
    assert metrics["log_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert [c["label"] for c in metrics["per_class"]] == classes


@pytest.mark.parametrize(("rows", "count"), [(500, 6), (300, 1), (120, 40), (1, 3)])
def test_every_figure_of_random_rows_equals_scikit_learn(spark, rows, count):
    classes = [f"class {i}" for i in range(count)]
    true, probabilities = random_rows(rows, count, seed=count)
    labels = [named(row, classes) for row in true]
    if count > 1:
        assert_equals_scikit_learn(
            multilabel_metrics(frame(spark, labels, predicted(classes, probabilities)).repartition(3), classes),
            classes,
            true,
            probabilities,
        )
    else:  # scikit-learn takes one column for the labels of two classes
        metrics = multilabel_metrics(frame(spark, labels, predicted(classes, probabilities)), classes)
        assert metrics["accuracy"] == pytest.approx(accuracy_score(true[:, 0], probabilities[:, 0] >= 0.5))
        assert metrics["hamming_loss"] == pytest.approx(1 - metrics["accuracy"])


def test_rows_without_labels_and_classes_without_rows_or_predictions_give_zeros_as_in_scikit_learn(spark):
    classes = ["a", "b", "c", "d"]
    true, probabilities = random_rows(60, 4)
    true[:, 1], probabilities[:, 1] = False, 0.1  # neither said nor true
    probabilities[:, 2] = 0.2  # never said
    true[:20] = False
    labels = [named(row, classes) for row in true]
    assert labels[0] == []
    metrics = multilabel_metrics(frame(spark, labels, predicted(classes, probabilities)), classes)
    assert_equals_scikit_learn(metrics, classes, true, probabilities)
    assert metrics["per_class"][1] == {"label": "b", "precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_no_labels_anywhere_is_right_when_none_is_said(spark):
    answers = predicted(["a", "b"], np.full((3, 2), 0.25, np.float32))
    metrics = multilabel_metrics(frame(spark, [[], [], []], answers), ["a", "b"])
    assert metrics["accuracy"] == metrics["baseline_accuracy"] == 1
    assert metrics["micro"] == metrics["weighted"] == {"precision": 0, "recall": 0, "f1": 0}
    assert metrics["log_loss"] == pytest.approx(-np.log(0.75))


def test_the_order_of_labels_and_how_often_one_stands_there_do_not_matter(spark):
    classes = ["it's", "猫", "a,b", ""]
    answers = predicted(classes, np.array([[0.9, 0.8, 0.1, 0.7]] * 3, np.float32))
    labels = [["猫", "it's", ""], ["", "", "it's", "猫"], ["it's", "猫", ""]]
    metrics = multilabel_metrics(frame(spark, labels, answers), classes)
    assert metrics["accuracy"] == metrics["baseline_accuracy"] == 1
    assert [c["support"] for c in metrics["per_class"]] == [3, 3, 0, 3]


def test_rows_without_a_prediction_and_rows_with_an_unknown_label_are_counted_apart(spark):
    classes = ["a", "b", "c"]
    true, probabilities = random_rows(40, 3)
    labels: list = [named(row, classes) for row in true]
    labels[0], labels[1], labels[2] = ["a", "stranger"], None, ["a", None]
    answers = [*predicted(classes, probabilities, errors={2: "null", 3: "too long"})[:-1], None]
    metrics = multilabel_metrics(frame(spark, labels, answers), classes)
    assert (metrics["rows"], metrics["errors"], metrics["unknown_labels"]) == (35, 3, 2)
    assert_equals_scikit_learn(metrics, classes, true[4:-1], probabilities[4:-1])


def test_no_rows_say_what_to_check(spark):
    with pytest.raises(DataError, match="there are no rows to evaluate"):
        multilabel_metrics(frame(spark, [], []), ["a"])


def test_rows_that_cannot_be_evaluated_say_why(spark):
    answers = predicted(["a", "b"], np.full((3, 2), 0.7, np.float32), errors={0: "the text is null"})
    with pytest.raises(DataError) as error:
        multilabel_metrics(frame(spark, [["a"], ["z"], None], answers, label="tags"), ["a", "b"], label="tags")
    first, second = str(error.value).split("\n")
    assert first.startswith("none of the 3 rows can be evaluated: 1 have no prediction (the text is null), and 2 have ")
    assert "labels in 'tags' that are not among the 2 classes (" in first
    assert second == "Check that the input and label columns are those the model was trained on."


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["a", "x"], "2 predictions have labels, 'b' for one, that are not among the 2 classes"),
        (["a", "b", "x"], "rows whose prediction is not 3 probabilities between 0 and 1: 2"),
    ],
)
def test_predictions_of_another_model_are_refused(spark, classes, said):
    answers = predicted(["a", "b"], np.full((2, 2), 0.7, np.float32))
    with pytest.raises(DataError, match=said):
        multilabel_metrics(frame(spark, [["a"], ["a"]], answers), classes)


def test_a_column_of_single_labels_says_what_makes_an_array_of_it(spark):
    answers = predicted(["a", "b"], np.full((1, 2), 0.7, np.float32))
    with pytest.raises(DataError, match=r"column 'labels' is string, not array<string>.*\nsplit\(labels, ','\)"):
        multilabel_metrics(frame(spark, ["a"], answers, kind=pa.string()), ["a", "b"])


def test_the_prediction_of_one_label_is_refused(spark):
    rows = frame(spark, [["a"]], predicted(["a"], np.ones((1, 1), np.float32)))
    single = rows.selectExpr(
        "labels", "struct(prediction.label, prediction.probabilities, prediction.error) AS prediction"
    )
    with pytest.raises(DataError, match="not a prediction of labels: it has no labels"):
        multilabel_metrics(single, ["a"])


MODEL = """
import numpy as np, pandas as pd
from pyspark.sql import functions as F
from sparknn_magic.evaluate.multilabel import multilabel_metrics

classes = ["c0", "c1", "c2"]

@F.pandas_udf("struct<labels: array<string>, probabilities: array<float>, error: string>")
def model(ids: pd.Series) -> pd.DataFrame:
    with open(calls, "a") as log:
        log.write("".join(f"{i}\\n" for i in ids))
    p = np.stack([np.random.default_rng(i).random(3) for i in ids]).astype(np.float32)
    labels = [[c for c, x in zip(classes, row) if x >= 0.5] for row in p]
    return pd.DataFrame({"labels": labels, "probabilities": list(p), "error": None})

rows = spark.range(300).select("id", F.array(F.concat(F.lit("c"), F.col("id") % 3)).alias("labels"))
found = multilabel_metrics(rows.select("labels", model("id").alias("prediction")), classes)
"""


@pytest.mark.parametrize("connect", [False, True])
def test_the_model_runs_once_a_row(spark, run_script, tmp_path, connect):
    calls = tmp_path / "calls"
    scope = {"spark": spark, "calls": str(calls)}
    if connect:
        code = f"calls = {str(calls)!r}\n{MODEL}\nprint('ROWS', found['rows'], found['baseline_accuracy'])\n"
        assert run_script(code, connect=True).stdout.split("ROWS")[1].split()[:2] == ["300", str(1 / 3)]
    else:
        exec(MODEL, scope)
        assert (scope["found"]["rows"], scope["found"]["baseline_accuracy"]) == (300, pytest.approx(1 / 3))
    assert sorted(map(int, calls.read_text().split())) == list(range(300))
