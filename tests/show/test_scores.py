"""What the report, the tables and the card say of scores, and of rows with any number of labels."""

import matplotlib
import pytest

from sparknn_magic.show import figures
from sparknn_magic.show.card import model_card
from sparknn_magic.show.html import metrics_html
from sparknn_magic.show.report import report_html
from sparknn_magic.show.score_curves import coverage_curve, reliability_diagram
from sparknn_magic.show.text import metrics_table
from sparknn_magic.show.words import coverage_point

BINS = [
    {"above": 0.4, "to": 7 / 15, "rows": 10, "score": 0.44, "accuracy": 0.3},
    {"above": 14 / 15, "to": 1.0, "rows": 90, "score": 0.98, "accuracy": 0.95},
]
CURVE = [
    {"threshold": 0.41, "coverage": 1.0, "accuracy": 0.885},
    {"threshold": 0.52346, "coverage": 0.96, "accuracy": 0.9},
    {"threshold": 0.94, "coverage": 0.9, "accuracy": 0.9512},
    {"threshold": 0.99, "coverage": 0.4, "accuracy": 0.97},
]
SCORES = {"calibration_error": 0.04123, "reliability": BINS, "coverage": CURVE}


def words_in(figure):
    figure.canvas.draw()
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text()]


def test_the_table_has_a_line_for_the_calibration_error_and_one_for_the_accuracy_at_nine_tenths(make_metrics):
    lines = metrics_table(make_metrics(["a", "b"]) | SCORES).split("\n")
    assert "calibration error         0.0412  mean gap of score and accuracy" in lines
    assert "accuracy at 90% coverage  0.9512  of the rows with a score of 0.94 or more" in lines


def test_the_coverage_that_is_said_is_the_one_there_is(make_metrics):
    few = metrics_table(make_metrics(["a", "b"]) | SCORES | {"coverage": [CURVE[0], CURVE[1], CURVE[3]]})
    assert "accuracy at 96% coverage  0.9000  of the rows with a score of 0.5235 or more" in few
    none = metrics_table(make_metrics(["a", "b"]) | SCORES | {"coverage": [CURVE[0], CURVE[3]]})
    assert "calibration error" in none
    assert "coverage" not in none


def test_metrics_of_a_model_from_before_say_nothing_of_scores(make_meta):
    meta = make_meta()
    for name in SCORES:
        del meta["metrics"][name]
    for said in (metrics_table(meta["metrics"]), metrics_html(meta["metrics"]), report_html(meta), model_card(meta)):
        assert "calibration" not in said.lower()
        assert "None" not in said


def test_report_card_and_notebook_say_the_same(make_meta):
    meta = make_meta()
    meta["metrics"] |= SCORES
    report = report_html(meta)
    assert "The mean gap of score and accuracy, the calibration error, is 0.0412." in report
    assert (
        "Answered only from a score of 0.94 on, 90.0% of the rows get an answer, and 95.12% of these are right."
        in report
    )
    assert 'alt="Accuracy by score"' in report
    assert 'alt="Accuracy by coverage"' in report
    assert "| calibration error, mean gap of score and accuracy | 0.0412 |" in model_card(meta)
    assert "<b>0.9512</b> <span>accuracy at 90% coverage</span>" in metrics_html(meta["metrics"])


@pytest.mark.parametrize("dark", [False, True])
def test_both_curves_are_drawn_light_and_dark_of_many_rows_and_of_one(make_metrics, dark):
    one = {"reliability": BINS[1:], "coverage": CURVE[:1]}
    for metrics in (make_metrics(["a", "b", "c"]), SCORES, one):
        for draw in (reliability_diagram, coverage_curve):
            assert figures.figure_svg(draw(metrics, dark=dark), transparent=True)


def test_bars_marks_and_line_have_names_and_not_colours_alone():
    said = words_in(reliability_diagram(SCORES))
    assert {"accuracy", "mean score", "score = accuracy", "score", "rows"} <= set(said)


def test_the_curve_names_thresholds_at_some_coverages():
    said = words_in(coverage_curve(SCORES))
    assert "score ≥ 0.94" in said  # the one that the words are of
    assert coverage_point(SCORES) == CURVE[2]
    assert "rows that get an answer" in said


def test_rows_with_any_number_of_labels_have_a_table_of_classes_and_no_matrix(make_meta, make_label_metrics):
    meta = make_meta(["late", "broken", "rude"])
    meta["metrics"] = make_label_metrics(meta["classes"]) | {"accuracy": 0.8123, "baseline_accuracy": 0.3}
    report = report_html(meta)
    assert "Confusion matrix" not in report
    assert "the most frequent set of labels alone gives 30.0%" in report
    assert "micro average" in report
    card = model_card(meta)
    assert "all labels are right in **81.23%**, and its micro F1 is **0.8680**" in card
    assert "| Hamming loss, share of wrong decisions | 0.0312 |" in card
    assert "all labels right: accuracy (baseline 30.0%)" in metrics_html(meta["metrics"])


def test_the_table_of_rows_with_any_number_of_labels_word_for_word(make_label_metrics):
    metrics = make_label_metrics(["late", "broken"]) | {
        "accuracy": 0.8123,
        "baseline_accuracy": 0.3,
        "log_loss": 0.1,
        "macro": {"precision": 0.9, "recall": 0.8, "f1": 0.85},
        "errors": 0,
        "unknown_labels": 0,
    }
    assert metrics_table(metrics).split("\n")[:9] == [
        "rows           2,000",
        "accuracy      0.8123  all labels of a row right; always the most frequent set of labels: 0.3000",
        "micro F1      0.8680  over all decisions",
        "macro F1      0.8500  mean over the classes",
        "Hamming loss  0.0312  share of wrong decisions, one for each row and class",
        "log loss      0.1000  nats a decision",
        "",
        "class             precision  recall      F1   rows",
        "-" * 50,
    ]
    assert "micro average        0.9100  0.8300  0.8680  2,000" in metrics_table(metrics)
