"""Calibration and coverage against scikit-learn and against plain numpy, written another way."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from sparknn_magic.evaluate.metrics import from_scores
from sparknn_magic.evaluate.spark import classification_metrics
from tests.evaluate.rows import frame, predicted, random_rows


def error_by_hand(score, right, bins=15):
    """Guo et al. 2017, equation 3, as a loop over the rows of each bin."""
    total = 0.0
    for m in range(bins):
        inside = (score > m / bins) & (score <= (m + 1) / bins)
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - score[inside].mean())
    return total / len(score)


def scored(true, probabilities):
    score = probabilities.max(axis=1).astype(np.float64)
    return score, probabilities.argmax(axis=1) == true


@pytest.mark.parametrize(("rows", "count", "sharpness"), [(2000, 4, 1.0), (900, 30, 3.0), (40, 2, 0.5)])
def test_the_figures_of_random_rows_equal_scikit_learns_and_those_by_hand(spark, rows, count, sharpness):
    classes = [f"class {i}" for i in range(count)]
    true, probabilities = random_rows(rows, classes, seed=rows, sharpness=sharpness)
    data = frame(spark, [classes[t] for t in true], predicted(classes, probabilities)).repartition(3)
    metrics = classification_metrics(data, classes)
    score, right = scored(true, probabilities)
    assert metrics["calibration_error"] == pytest.approx(error_by_hand(score, right), abs=1e-8)
    accuracy, mean = calibration_curve(right, score, n_bins=15)
    found = metrics["reliability"]
    assert [b["accuracy"] for b in found] == pytest.approx(accuracy.tolist())
    assert [b["score"] for b in found] == pytest.approx(mean.tolist())
    assert sum(b["rows"] for b in found) == rows
    assert all(b["above"] < b["score"] <= b["to"] for b in found)
    assert_is_the_curve(metrics["coverage"], score, right)
    assert metrics["coverage"][0]["accuracy"] == pytest.approx(metrics["accuracy"])


def assert_is_the_curve(points, score, right):
    """Each point says what its threshold does to the rows, to the last row."""
    assert 1 <= len(points) <= 50
    for point in points:
        kept = score >= point["threshold"]
        assert point["coverage"] == pytest.approx(kept.mean())
        assert point["accuracy"] == pytest.approx(right[kept].mean())
    assert points[0]["coverage"] == 1
    coverage, threshold = [p["coverage"] for p in points], [p["threshold"] for p in points]
    assert coverage == sorted(set(coverage), reverse=True)
    assert threshold == sorted(set(threshold))


def test_of_many_rows_the_curve_has_a_point_near_each_fiftieth(spark):
    rng = np.random.default_rng(1)
    score = rng.uniform(0.2, 1, 20_000)
    right = rng.random(20_000) < score
    points = from_scores(*histogram(score, right))["coverage"]
    assert len(points) == 50
    assert [p["coverage"] for p in points] == pytest.approx([n / 50 for n in range(50, 0, -1)], abs=0.003)
    assert_is_the_curve(points, score, right)


def histogram(score, right):
    bins, at, n = np.unique(np.ceil(score * 1500), return_inverse=True, return_counts=True)
    lowest = np.array([score[at == b].min() for b in range(len(bins))])
    return bins, n, np.bincount(at, right), np.bincount(at, score), lowest


def test_scores_that_are_the_accuracy_have_no_calibration_error():
    said = from_scores(np.array([1125]), np.array([400]), np.array([300]), np.array([300.0]), np.array([0.75]))
    assert said["calibration_error"] == 0
    assert said["reliability"] == [
        {"above": 11 / 15, "to": 12 / 15, "rows": 400, "score": 0.75, "accuracy": 0.75},
    ]
    assert said["coverage"] == [{"threshold": 0.75, "coverage": 1.0, "accuracy": 0.75}]


def test_a_model_that_is_sure_and_always_wrong_is_off_by_one(spark):
    probabilities = np.eye(2, dtype=np.float32)[[1, 1, 0]]
    metrics = classification_metrics(frame(spark, ["a", "a", "b"], predicted(["a", "b"], probabilities)), ["a", "b"])
    assert metrics["calibration_error"] == 1
    assert metrics["coverage"] == [{"threshold": 1.0, "coverage": 1.0, "accuracy": 0.0}]


def test_rows_that_do_not_count_have_no_say(spark):
    classes = ["a", "b", "c"]
    true, probabilities = random_rows(60, classes)
    labels: list[str | None] = [classes[t] for t in true]
    labels[0], labels[1] = "stranger", None
    data = frame(spark, labels, predicted(classes, probabilities, errors={2: "null", 3: "not a picture"}))
    metrics = classification_metrics(data, classes)
    score, right = scored(true[4:], probabilities[4:])
    assert metrics["calibration_error"] == pytest.approx(error_by_hand(score, right), abs=1e-8)
    assert sum(b["rows"] for b in metrics["reliability"]) == metrics["rows"] == 56


def test_the_figures_are_the_same_to_the_last_digit_in_any_order_of_the_rows(spark):
    classes = ["a", "b", "c"]
    true, probabilities = random_rows(3000, classes, sharpness=1.0)
    data = frame(spark, [classes[t] for t in true], predicted(classes, probabilities))
    first, second = (classification_metrics(data.repartition(n), classes) for n in (1, 7))
    for name in ("calibration_error", "reliability", "coverage"):
        assert first[name] == second[name]
