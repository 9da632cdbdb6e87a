"""Models side by side, and whether a difference is chance: numbers from books, papers and other programs."""

import math
from types import SimpleNamespace

import pytest

from sparknn_magic.comparing import Comparison, Pair, compare
from sparknn_magic.errors import SpecError
from sparknn_magic.evaluate.paired import McNemar, discordant_test, error_differences, mcnemar, right_or_wrong
from sparknn_magic.show.comparison import figures


@pytest.fixture
def two(make_meta, make_metrics):
    """Two classifiers, the second better in accuracy."""
    found = []
    for name, right in (("small", 0.8), ("large", 0.95)):
        meta = make_meta(["cat", "dog", "owl"], 6) | {"name": name}
        found.append(SimpleNamespace(name=name, meta=meta, metrics=make_metrics(["cat", "dog", "owl"], right=right)))
    return found


@pytest.mark.parametrize(
    ("b", "c", "statistic", "p"),
    [
        # The tests of statsmodels 0.14, stats/tests/test_contingency_tables.py, whose numbers are R's mcnemar.test.
        (121, 59, 20.67222, 5.450095e-06),
        (70, 59, 0.7751938, 0.3786151),
        (80, 59, 2.87769784, 0.08981434),
    ],
)
def test_many_differing_rows_give_the_corrected_chi_square_of_r(b, c, statistic, p):
    assert discordant_test(b, c) == (pytest.approx(statistic, rel=1e-6), pytest.approx(p, rel=1e-6))


def test_few_differing_rows_give_the_exact_p_of_fagerland_lydersen_and_laake():
    # Fagerland et al. 2013, The McNemar test for binary matched-pairs data, BMC Med Res Methodol 13:91, table 1:
    # airway hyper-responsiveness before and after transplantation, 1 and 7 discordant pairs.
    statistic, p = discordant_test(1, 7)
    assert statistic is None
    assert p == pytest.approx(0.0703, abs=5e-5)


def test_models_that_never_differ_are_equal():
    assert discordant_test(0, 0) == (None, 1.0)
    assert discordant_test(40, 40) == (0.0, 1.0)


def test_a_row_that_one_model_cannot_answer_counts_for_neither():
    test = mcnemar([((1, 0), 30), ((0, 1), 2), ((1, 1), 60), ((0, 0), 5), ((1, None), 900)], 0, 1)
    assert (test.only_first, test.only_second, test.rows) == (30, 2, 97)
    assert test.difference == pytest.approx(28 / 97)


def test_the_best_figure_of_each_line_is_marked_and_a_smaller_loss_is_better(two):
    two[0].metrics["log_loss"] = 0.1
    best = {each.name: each.best for each in figures(two)}
    assert best["accuracy"] == {1}
    assert best["log loss"] == {0}
    assert best["parameters"] == frozenset()


def test_a_comparison_tells_figures_tests_and_curves(two):
    test = McNemar(1500, 40, 160, 300, *discordant_test(40, 160))
    shown = Comparison("image-classification", tuple(two), (Pair("small", "large", test),), "the test rows of all", ())
    text, html = repr(shown), shown._repr_html_()
    assert "small / large" in text
    assert "40 / 160 of 2,000" in text
    assert "large is better, by 6.00% of the rows" in text
    assert "McNemar's test" in html
    assert html.count("<polyline") == 4  # loss and accuracy of two models
    assert 'class="best"' in html


def test_a_small_difference_is_called_chance(two):
    test = McNemar(1500, 40, 44, 300, *discordant_test(40, 44))
    shown = Comparison("image-classification", tuple(two), (Pair("small", "large", test),), "the rows given", ())
    assert "comes by chance" in repr(shown)


def test_what_models_are_called_is_text_in_html(two):
    two[0].name = "<img src=x onerror=alert(1)>"
    html = Comparison("image-classification", tuple(two), (), None, ("<b>note</b>",))._repr_html_()
    assert "<img" not in html
    assert "<b>note" not in html


def test_a_comparison_is_saved_as_a_page_of_its_own(two, tmp_path):
    file = Comparison("image-classification", tuple(two), (), None, ()).save(tmp_path / "new" / "compared.html")
    text = file.read_text()
    assert text.startswith("<!doctype html>")
    assert "http" not in text.replace("http://www.w3.org", "")


def test_one_model_alone_is_compared_with_nothing():
    with pytest.raises(SpecError, match="compare takes 2 to 8 models, not 0"):
        compare([])


def test_spark_counts_who_is_right_and_how_far_numbers_are_off(spark):
    from pyspark.sql import functions as F

    rows = [(True, True)] * 5 + [(True, False)] * 3 + [(False, True)] * 2 + [(False, False), (None, True)]
    frame = spark.createDataFrame(rows, "a boolean, b boolean")
    test = mcnemar(right_or_wrong(frame, [F.col("a"), F.col("b")]), 0, 1)
    assert (test.both_right, test.only_first, test.only_second, test.both_wrong) == (5, 3, 2, 1)
    assert test.p == 1.0
    errors = [(0.1 * i, 0.2 * i) for i in range(40)] + [(None, 1.0)]
    frame = spark.createDataFrame(errors, "a double, b double")
    (found,) = error_differences(frame, [F.col("a"), F.col("b")], [(0, 1)])
    each = [0.01 * i * i - 0.04 * i * i for i in range(40)]
    mean = sum(each) / 40
    half = 1.959963984540054 * math.sqrt(sum((d - mean) ** 2 for d in each) / 39 / 40)
    assert found.rows == 40
    assert (found.mean, found.low, found.high) == pytest.approx((mean, mean - half, mean + half))
