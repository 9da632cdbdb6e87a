"""Figures are drawn without a warning (warnings are errors here), whatever the classes are called."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from sparknn_magic.show import figures
from sparknn_magic.show.example import Example
from sparknn_magic.show.lettering import lettered


def words_in(figure):
    """Every text that stands in a figure."""
    figure.canvas.draw()
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text()]


def colours(figure):
    """The PNG of a figure as pixels."""
    return np.asarray(Image.open(io.BytesIO(figures.figure_png(figure, dpi=60))).convert("RGB"))


@pytest.mark.parametrize("classes", [1, 2, 20, 48, 200])
@pytest.mark.parametrize("dark", [False, True])
def test_matrix_and_bars_are_drawn_for_any_number_of_classes(make_metrics, classes, dark):
    names = [f"class {i}" for i in range(classes)]
    metrics = make_metrics(names)
    for figure in (figures.confusion_matrix(metrics, names, dark=dark), figures.per_class_bars(metrics, dark=dark)):
        assert colours(figure).std() > 3


def test_cells_have_counts_up_to_twenty_classes(make_metrics):
    few, many = ([f"c{i}" for i in range(n)] for n in (20, 21))
    metrics = make_metrics(few, rows=100_000)
    assert f"{metrics['confusion'][3][3]:,}" in words_in(figures.confusion_matrix(metrics, few))
    metrics = make_metrics(many, rows=100_000)
    assert f"{metrics['confusion'][3][3]:,}" not in words_in(figures.confusion_matrix(metrics, many))


def test_a_class_without_rows_leaves_its_line_empty():
    metrics = {"confusion": [[0, 0], [1, 2]]}
    assert sorted(w for w in words_in(figures.confusion_matrix(metrics, ["a", "b"])) if w.isdigit()) == ["1", "2"]


def test_labels_in_every_script_and_with_dollars_are_drawn_without_a_warning(make_metrics, strange):
    metrics = make_metrics(strange)
    figure = figures.confusion_matrix(metrics, strange)
    assert "$x^2$ & $\\frac" in words_in(figure)
    figures.figure_svg(figure)
    figures.figure_png(figures.per_class_bars(metrics))
    image = np.zeros((8, 8, 3), np.uint8)
    grid = figures.prediction_grid([Example(image, a, b, 0.5) for a, b in zip(strange, reversed(strange), strict=True)])
    figures.figure_png(grid)


def test_a_label_of_characters_that_no_font_has_becomes_its_number():
    names, _ = lettered(["a", "\U000e0100x", "\U0010fffd\U0010fffd", "b"], 18, numbered=True)
    assert names[2] == "class 2"
    assert lettered(["\U0010fffd shoe"], 18)[0] == ["□ shoe"]


@pytest.mark.parametrize("epochs", [0, 1, 2, 100])
@pytest.mark.parametrize("validated", [True, False])
def test_curves_are_drawn_for_any_number_of_epochs(make_history, epochs, validated):
    history = make_history(epochs, validated=validated)
    figure = figures.learning_curves(history, min(7, epochs) or None)
    said = words_in(figure)
    assert ("validation" in said) == (validated and epochs > 0)
    assert ("no epochs recorded" in said) == (epochs == 0)
    assert (f"best epoch: {min(7, epochs)}" in said) == (epochs > 0)
    assert colours(figure).std() > 1


def test_a_loss_that_is_not_finite_leaves_a_gap(make_history):
    history = make_history(4)
    history[1]["train_loss"], history[2]["train_loss"] = float("nan"), float("inf")
    line = figures.learning_curves(history).axes[0].lines[0]
    assert np.isnan(line.get_ydata()).tolist() == [False, True, True, False]


def test_one_point_and_one_marker_stand_for_one_epoch(make_history):
    axes = figures.learning_curves(make_history(1), 1).axes[0]
    assert axes.get_xlim() == (0.5, 1.5)
    assert all(line.get_marker() not in ("", "None") for line in axes.lines[:2])


def test_mistakes_are_marked_by_a_cross_and_the_truth_and_not_by_colour_alone():
    image = np.zeros((4, 4, 1), np.uint8)
    figure = figures.prediction_grid([Example(image, "cat", "cat", 0.9), Example(image, "cat", "dog", 0.8)])
    said = words_in(figure)
    assert "✓ cat\n90%" in said
    assert "✗ dog\n80%" in said
    assert "is cat" in said
    right, wrong = (axes.spines["left"] for axes in figure.axes)
    assert right.get_linestyle() != wrong.get_linestyle()


def test_the_grid_takes_no_pictures_one_and_coloured_ones():
    for pictures in ([], [np.zeros((5, 7, 3), np.uint8)], [np.zeros((5, 7, 1), np.uint8)] * 13):
        figures.figure_png(figures.prediction_grid([Example(p, "a", "b", 1.0) for p in pictures]))


def test_of_many_classes_the_bars_are_the_lowest_and_are_numbered_by_their_true_place(make_metrics):
    names = ["\U0010fffd"] * 200
    metrics = make_metrics(names, rows=20_000)
    worst = min(range(200), key=lambda i: metrics["per_class"][i]["f1"])
    axes = figures.per_class_bars(metrics).axes[0]
    assert axes.get_title(loc="left") == "F1: the lowest 40 of 200 classes"
    assert axes.get_yticklabels()[0].get_text() == f"class {worst}"


def test_the_users_own_settings_neither_reach_the_figures_nor_change(make_history):
    mine = {"text.usetex": True, "font.family": ["serif"], "axes.facecolor": "red", "lines.linewidth": 9.0}
    expected = figures.figure_png(figures.learning_curves(make_history(3), 2))
    with matplotlib.rc_context(mine):
        before = dict(matplotlib.rcParams)
        assert figures.figure_png(figures.learning_curves(make_history(3), 2)) == expected
        assert dict(matplotlib.rcParams) == before


def test_the_same_figure_is_the_same_svg_and_names_no_date(make_history):
    first, second = (figures.figure_svg(figures.learning_curves(make_history(3), 2)) for _ in range(2))
    assert first == second
    assert "<dc:date>" not in first


def test_pyplot_is_never_imported(run_script):
    done = run_script(
        "import sys\n"
        "from sparknn_magic.show import figures, report\n"
        "figures.figure_png(figures.learning_curves([]))\n"
        "print([m for m in ('matplotlib.pyplot', 'pyspark', 'IPython', 'torch') if m in sys.modules])\n"
    )
    assert done.stdout.strip() == "[]"
