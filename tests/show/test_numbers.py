"""Models of numbers, and of columns, wherever results are shown: no accuracy, no pictures, the label's own units."""

import numpy as np
import pytest

from sparknn_magic.show import figures
from sparknn_magic.show.curves import curves
from sparknn_magic.show.example import Numbers, Row
from sparknn_magic.show.html import metrics_html, model_html
from sparknn_magic.show.live import epoch_table
from sparknn_magic.show.progress import event_line
from sparknn_magic.show.report import report_html
from sparknn_magic.show.text import metrics_table, model_text, plan_text
from tests.show.test_figures import colours, words_in
from tests.show.test_live import heard, stage, words
from tests.show.test_report import Reader


def scored(rows=300, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.normal(150, 77, rows)
    return Numbers(true, true * 0.6 + 60 + rng.normal(0, 45, rows))


def epoch(number, mae=41.6, validation=(0.6, 43.21), epochs=4):
    return {
        "event": "epoch",
        "epoch": number,
        "epochs": epochs,
        "figure": "mae",
        "train_loss": 0.5,
        "train_mae": mae,
        "validation_loss": validation[0],
        "validation_mae": validation[1],
        "seconds": 10.0,
        "rows_per_second": 1234.5,
    }


def test_the_metrics_of_numbers_word_for_word(make_columns_meta):
    assert metrics_table(make_columns_meta()["metrics"], evaluated_on="test") == (
        "rows                       500  of the test split, not counted: 3 without a prediction, "
        "2 with an unknown label\n"
        "R2                      0.5123  share of the variance that is explained\n"
        "RMSE                      52.3  always the mean of the training rows: 76.9\n"
        "MAE                      41.61  always the mean of the training rows: 66.04\n"
        "median absolute error     35.2\n"
        "mean error             -0.7321  prediction - label\n"
    )


def test_what_show_prints_of_a_model_of_numbers(make_columns_meta):
    text = model_text(make_columns_meta())
    for line in (
        "wages: vector-regression",
        "input          5 numbers, 1 category",
        "preprocessing  fill_nulls {with: median}, standardize",
        "label          mean 152.1, deviation 77.1",
        "parity         ONNX Runtime and PyTorch differ by at most 3.1e-07 standard deviations on 512 rows",
        "MAE                      41.61  always the mean of the training rows: 66.04",
    ):
        assert line in text.split("\n")
    for word in ("accuracy", "classes", "pixels", "None"):
        assert word not in text


def test_the_plan_of_a_regression_has_no_classes():
    plan = {"name": "wages", "input": {"numbers": 1, "categories": [3, 4], "embedded": [0, 2]}, "classes": 0}
    text = plan_text(plan)
    assert "  input  1 number, 2 categories\n" in text
    assert "classes" not in text


def test_the_lines_of_a_run_give_the_error_in_the_labels_units():
    assert event_line(epoch(1)) == "  epoch   1 of 4: loss 0.5000, MAE 41.6; validation 0.6000, 43.21; 1,234 rows/s"
    assert event_line(epoch(2, validation=(None, None))) == "  epoch   2 of 4: loss 0.5000, MAE 41.6; 1,234 rows/s"
    done = stage("evaluate", "done", seconds=1.0, figure="mae", mae=41.61, r2=0.5123, rows=500)
    assert event_line(done) == "evaluate: 1.0 s, MAE 41.61, R2 0.5123 on 500 rows"
    rows = {"train": 800, "validation": 100}
    prepared = stage("prepare", "done", seconds=3.0, rows=rows, classes=0, reused=True, dropped=[])
    assert event_line(prepared) == "prepare: 3.0 s, 800 training and 100 validation rows, read again from the last run"


def test_a_run_as_it_is_followed_draws_and_lists_the_error():
    state = heard(stage("train", "start"), epoch(1), epoch(2, mae=40.0))
    assert "epoch loss MAE validation loss validation MAE rows/s 1 0.5000 41.6 0.6000 43.21" in words(state.html())
    assert "MAE by epoch: train 40 at the end, validation 43.21 at the end" in state.html()
    assert "accuracy" not in state.html() + state.summary_html(state.epochs)


def test_curves_and_table_of_no_validation_leave_it_out():
    epochs = [epoch(n, validation=(None, None)) for n in (1, 2)]
    assert "validation" not in str(curves(epochs, "mae"))
    assert "validation" not in str(epoch_table(epochs, "mae"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 300, 2000])
def test_points_and_errors_are_drawn_for_any_number_of_rows(rows, dark):
    numbers = scored(rows)
    for figure in (figures.predicted_against_true(numbers, dark=dark), figures.residuals(numbers, dark=dark)):
        assert colours(figure).std() > 1
    assert "predicted - true" in words_in(figures.residuals(numbers, dark=dark))


def test_learning_curves_of_numbers_have_an_axis_in_their_units(make_columns_meta):
    training = make_columns_meta()["training"]
    figure = figures.learning_curves(training["history"], 7, measure="mae")
    assert figure.axes[1].get_title(loc="left") == "MAE"
    assert not any("%" in word for word in words_in(figure))


def test_the_report_on_numbers_says_the_headline_figures_and_shows_them(make_columns_meta):
    html = report_html(make_columns_meta(), numbers=scored())
    read = Reader(html)
    assert all(address.startswith("data:image/") for address in read.loads)
    for said in (
        "0.5123",
        "500 rows of test; the share of the variance that is explained",
        "always the training mean: 76.9",
        "41.61",
        "Of 300 rows, drawn at random where there are more.",
        "5 numbers, 1 category",
        "Label's deviation\n77.1",
    ):
        assert said in read.text
    for word in ("ccuracy", "Confusion", "Classes", "Pixel", "None"):
        assert word not in read.text
    assert "Predicted against true values" in html


def test_the_report_lists_the_largest_errors_with_their_columns(make_columns_meta):
    rows = [Row({"age": 41.0, "job": "<b>nurse</b>", "tests": None}, 10.0, 250.5)]
    read = Reader(report_html(make_columns_meta(), rows=rows))
    assert "The largest errors" in read.text
    assert "10\n250.5\n240.5\n41\n<b>nurse</b>\n" in read.text


def test_the_report_on_columns_lists_the_most_confident_mistakes(make_columns_meta):
    columns = {f"column {i}": i for i in range(11)}
    rows = [Row(columns, "poor", "rich", 0.987), Row(columns, "rich", "poor", 0.6)]
    read = Reader(report_html(make_columns_meta(["poor", "rich"]), rows=rows))
    assert "The most confident mistakes\nOf the columns, 3 more are not shown.\n" in read.text
    assert "poor\nrich\n98.7%\n0\n1\n" in read.text
    assert "Confusion matrix" in read.text
    meta = make_columns_meta(["poor", "rich"], 0)
    del meta["metrics"]["reliability"]  # without epochs and scores there is nothing to draw
    assert "img" not in Reader(report_html(meta, rows=rows)).tags


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_report_on_numbers_takes_one_epoch_and_no_validation(make_columns_meta, epochs, validated):
    assert "NaN" not in Reader(report_html(make_columns_meta(epochs=epochs, validated=validated))).text


def test_the_summary_of_a_model_of_numbers_has_its_figures_and_no_classes(make_columns_meta):
    text = Reader(model_html(make_columns_meta())).text
    for said in ("0.5123", "RMSE (baseline 76.9)", "MAE (baseline 66.04)", "rows, 5 not counted"):
        assert said in text
    assert "Classes" not in text
    assert "accuracy" not in Reader(metrics_html(make_columns_meta()["metrics"])).text


def test_one_row_has_no_r2_and_is_shown(make_columns_meta):
    meta = make_columns_meta()
    meta["metrics"] |= {"r2": None, "rows": 1}
    assert "R2                           -" in metrics_table(meta["metrics"])
    for html in (report_html(meta), model_html(meta)):
        assert "None" not in Reader(html).text
