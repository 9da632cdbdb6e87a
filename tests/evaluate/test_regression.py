"""Every figure against scikit-learn, on random predictions and on awkward ones."""

import math

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, median_absolute_error, r2_score

from sparknn_magic.errors import DataError
from sparknn_magic.evaluate.regression import regression_metrics

PREDICTION = pa.struct([("prediction", pa.float64()), ("error", pa.string())])


def frame(spark, labels, predicted, errors=None, label="label", prediction="prediction"):
    """A row whose prediction is None has none; `errors` gives some of them a reason."""
    reasons = errors or {}
    answers = [{"prediction": p, "error": reasons.get(i)} for i, p in enumerate(predicted)]
    columns = [labels if isinstance(labels, pa.Array) else pa.array(labels), pa.array(answers, PREDICTION)]
    return spark.createDataFrame(pa.Table.from_arrays(columns, names=[label, prediction]))


def assert_equals_scikit_learn(metrics, true, guess, rel=1e-9):
    assert metrics["rows"] == len(true)
    assert metrics["mse"] == pytest.approx(mean_squared_error(true, guess), rel=rel)
    assert metrics["rmse"] == pytest.approx(math.sqrt(mean_squared_error(true, guess)), rel=rel)
    assert metrics["mae"] == pytest.approx(mean_absolute_error(true, guess), rel=rel)
    assert metrics["median_absolute_error"] == pytest.approx(median_absolute_error(true, guess), rel=rel)
    assert metrics["mean_error"] == pytest.approx(float(np.mean(guess - true)), rel=1e-6, abs=1e-9)
    if len(true) > 1:
        assert metrics["r2"] == pytest.approx(r2_score(true, guess), rel=rel, abs=1e-12)


@pytest.mark.parametrize(("rows", "offset"), [(1000, 0.0), (1001, 0.0), (2, 3.0), (600, 1e9), (600, -1e12)])
def test_every_figure_of_random_rows_equals_scikit_learn_however_far_from_zero(spark, rows, offset):
    rng = np.random.default_rng(rows)
    true = rng.normal(size=rows) * 10 + offset
    guess = true + rng.normal(size=rows) + 0.1
    metrics = regression_metrics(frame(spark, true, guess), baseline=offset + 1)
    assert_equals_scikit_learn(metrics, true, guess)
    assert metrics["baseline_mae"] == pytest.approx(np.abs(true - (offset + 1)).mean())
    assert metrics["baseline_rmse"] == pytest.approx(math.sqrt(((true - (offset + 1)) ** 2).mean()))
    assert (metrics["errors"], metrics["unknown_labels"]) == (0, 0)


def test_the_median_of_many_rows_in_many_partitions_is_exact(spark):
    rng = np.random.default_rng(0)
    true, guess = rng.normal(size=40_000), rng.normal(size=40_000)
    metrics = regression_metrics(frame(spark, true, guess).repartition(7))
    assert metrics["median_absolute_error"] == pytest.approx(median_absolute_error(true, guess), rel=1e-12)


def test_rows_without_a_prediction_or_a_finite_label_are_counted_apart(spark):
    true = [1.0, 2.0, None, math.nan, math.inf, 6.0, 7.0, None]
    guess = [1.5, 2.0, 3.0, 4.0, 5.0, None, math.nan, None]
    rows = frame(spark, pa.array(true, pa.float64(), from_pandas=False), guess, {5: "price is null"})
    metrics = regression_metrics(rows)
    assert (metrics["rows"], metrics["errors"], metrics["unknown_labels"]) == (2, 3, 3)
    assert_equals_scikit_learn(metrics, np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    assert "baseline_rmse" not in metrics


def test_a_null_in_place_of_the_whole_prediction_is_a_row_without_one(spark):
    columns = [pa.array([1.0, 2.0]), pa.array([None, {"prediction": 2.0, "error": None}], PREDICTION)]
    rows = spark.createDataFrame(pa.Table.from_arrays(columns, names=["label", "prediction"]))
    metrics = regression_metrics(rows)
    assert (metrics["rows"], metrics["errors"], metrics["mse"]) == (1, 1, 0)


def test_one_row_has_no_r2(spark):
    metrics = regression_metrics(frame(spark, [3.0], [2.5]))
    assert metrics["r2"] is None
    assert metrics["median_absolute_error"] == metrics["mae"] == metrics["rmse"] == 0.5


@pytest.mark.parametrize("guess", [[2.0, 2.0, 2.0], [2.0, 2.5, 2.0]])
def test_equal_labels_have_the_r2_of_scikit_learn(spark, guess):
    true = np.array([2.0, 2.0, 2.0])
    assert_equals_scikit_learn(regression_metrics(frame(spark, true, guess)), true, np.array(guess))


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.float32(), pa.decimal128(23, 2)])
def test_labels_of_any_numeric_type_are_taken(spark, kind):
    true = np.array([1.0, 2.0, 5.0])
    metrics = regression_metrics(frame(spark, pa.array([1, 2, 5]).cast(kind), true + 0.5))
    assert_equals_scikit_learn(metrics, true, true + 0.5)


@pytest.mark.parametrize("name", ["product.price", "the label", "back`tick", "select"])
def test_columns_may_have_dots_spaces_and_backticks_in_their_names(spark, name):
    rows = frame(spark, [1.0, 2.0], [1.0, 3.0], label=name, prediction=f"{name} guess")
    assert regression_metrics(rows, label=name, prediction=f"{name} guess")["mae"] == 0.5


def test_a_label_that_is_text_says_how_to_make_a_number_of_it(spark):
    with pytest.raises(DataError) as error:
        regression_metrics(frame(spark, ["1"], [1.0], label="price"), label="price")
    assert str(error.value) == (
        "column 'price' is string, not a number: a regression learns numbers.\n"
        "CAST(price AS double) AS price makes one of it."
    )


def test_the_prediction_of_a_classifier_is_refused(spark):
    rows = frame(spark, [1.0], [1.0]).selectExpr("label", "struct(prediction.error AS label) AS prediction")
    with pytest.raises(DataError, match="not a predicted number: it has no prediction and no error"):
        regression_metrics(rows)


def test_no_rows_say_what_to_check(spark):
    with pytest.raises(DataError, match="there are no rows to evaluate"):
        regression_metrics(frame(spark, pa.array([], pa.float64()), []))


def test_rows_that_cannot_be_evaluated_say_why(spark):
    rows = frame(spark, [1.0, 2.0, None], [None, None, 3.0], {0: "age is not a number"})
    with pytest.raises(DataError) as error:
        regression_metrics(rows)
    assert str(error.value) == (
        "none of the 3 rows can be evaluated: 2 have no prediction (age is not a number), "
        "and in 1 the label 'label' is null or not a finite number.\n"
        "Check that the columns are those the model was trained on."
    )


MODEL = """
import pandas as pd
from pyspark.sql import functions as F
from sparknn_magic.evaluate.regression import regression_metrics

@F.pandas_udf("struct<prediction: double, error: string>")
def model(ids: pd.Series) -> pd.DataFrame:
    with open(calls, "a") as log:
        log.write("".join(f"{i}\\n" for i in ids))
    return pd.DataFrame({"prediction": ids * 2.0 + 1, "error": None})

rows = spark.range(300).select("id", (F.col("id") * 2.0).alias("label"))
"""


def test_the_model_runs_once_a_row(spark, tmp_path):
    calls = tmp_path / "calls"
    scope = {"spark": spark, "calls": str(calls)}
    exec(MODEL, scope)
    scored = scope["rows"].where("id < 200").withColumn("prediction", scope["model"]("id"))
    metrics = scope["regression_metrics"](scored.drop("id"), baseline=0.0)
    assert sorted(map(int, calls.read_text().split())) == list(range(200))
    assert (metrics["rows"], metrics["mae"], metrics["mean_error"]) == (200, 1.0, 1.0)


def test_a_connect_session_gives_the_same_figures_in_one_pass(run_script, tmp_path):
    calls = tmp_path / "calls"
    code = f"calls = {str(calls)!r}\n{MODEL}\n" + (
        'found = regression_metrics(rows.select("label", model("id").alias("prediction")), baseline=299.0)\n'
        "print([found[name] for name in ('rows', 'mse', 'median_absolute_error', 'r2', 'baseline_mae')])\n"
    )
    said = run_script(code, connect=True).stdout.strip().splitlines()[-1]
    assert sorted(map(int, calls.read_text().split())) == list(range(300))
    true = np.arange(300) * 2.0
    expected = [300, 1.0, 1.0, r2_score(true, true + 1), 150.0]
    assert eval(said) == pytest.approx(expected)
