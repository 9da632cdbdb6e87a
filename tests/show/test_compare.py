"""Models side by side, and whether a difference is chance: numbers from books, papers and other programs."""

import io
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import sparknn_magic
from sparknn_magic.bundle.folder import write_meta
from sparknn_magic.comparing import Comparison, Pair, compare
from sparknn_magic.errors import SpecError
from sparknn_magic.evaluate.paired import McNemar, discordant_test, error_differences, mcnemar
from sparknn_magic.show.comparison import figures
from tests.infer.models import CLASSES, write_model


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
    assert "McNemar" in html
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


def test_the_interval_of_squared_errors_is_that_of_the_differences(spark):
    from pyspark.sql import functions as F

    errors = [(0.1 * i, 0.2 * i) for i in range(40)] + [(None, 1.0)]
    frame = spark.createDataFrame(errors, "a double, b double")
    (found,) = error_differences(frame, [F.col("a"), F.col("b")], [(0, 1)])
    each = [0.01 * i * i - 0.04 * i * i for i in range(40)]
    mean = sum(each) / 40
    half = 1.959963984540054 * math.sqrt(sum((d - mean) ** 2 for d in each) / 39 / 40)
    assert found.rows == 40
    assert (found.mean, found.low, found.high) == pytest.approx((mean, mean - half, mean + half))


@pytest.fixture
def bundles(spark, tmp_path, make_metrics):
    """Two model folders: one sees colours as they are, the other takes red for green and green for red."""
    rng = np.random.default_rng(5)
    pictures = [np.full((4, 5, 3), colour, np.uint8) for colour in np.eye(3)[rng.integers(0, 3, 60)] * 200]
    rows = [(png(p), CLASSES[int(p[0, 0].argmax())] if n % 10 else "blue") for n, p in enumerate(pictures)]
    spark.createDataFrame(rows, "image binary, label string").createOrReplaceTempView("colours")
    folders = []
    for name, classes in (("honest", CLASSES), ("mixed_up", ["green", "red", *CLASSES[2:]])):
        folder = tmp_path / name
        folder.mkdir()
        write_model(folder).rename(folder / "model.onnx")
        data = {"train": "colours", "test": "colours"}
        meta = {
            "name": name,
            "task": "image-classification",
            "spec": {
                "task": "image-classification",
                "data": {**data, "image": "image", "label": "label"},
                "model": "x",
            },
            "classes": classes,
            "input": {"height": 4, "width": 5, "channels": 3},
            "preprocess": [],
            "metrics": make_metrics(classes),
            "evaluated_on": "test",
        }
        write_meta(folder, meta)
        folders.append(folder)
    return folders, [label for _, label in rows], [CLASSES[int(p[0, 0].argmax())] for p in pictures]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_models_are_tested_on_the_rows_that_both_were_evaluated_on(spark, bundles):
    folders, labels, seen = bundles
    swapped = {"red": "green", "green": "red"}
    honest = sum(a == b for a, b in zip(labels, seen, strict=True))
    mixed = sum(a == swapped.get(b, b) for a, b in zip(labels, seen, strict=True))
    shown = compare(folders, spark=spark)
    (pair,) = shown.pairs
    assert shown.rows == "the test rows of all"
    assert pair.test.only_first - pair.test.only_second == honest - mixed
    assert pair.test.both_right == sum(a == b == "blue" for a, b in zip(labels, seen, strict=True))
    given = compare(folders, "SELECT * FROM colours WHERE label = 'blue'", spark=spark)
    assert given.models[0].metrics["accuracy"] == given.models[1].metrics["accuracy"] < 1
    assert given.pairs[0].test.p == 1.0
    assert "on the rows given" in repr(given)


def test_models_of_different_tasks_are_refused(spark, bundles):
    folders, *_ = bundles
    models = [sparknn_magic.load(folder, spark=spark, register=False) for folder in folders]
    models[1].meta["task"] = "object-detection"
    with pytest.raises(SpecError, match=r"only models of one task .*'mixed_up' is object-detection"):
        compare(models)
