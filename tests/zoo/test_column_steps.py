"""The steps on columns: the same numbers in numpy and in torch, and those of scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sparknn_magic import registry
from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import CategoryStep

X = load_diabetes(scaled=False).data[:, [0, 2, 3, 6]]  # age, bmi, blood pressure, hdl
GAPS = np.where(np.arange(X.size).reshape(X.shape) % 17 == 0, np.nan, X)


def applied(name, fitted, x=X, **options):
    """What a step gives, in numpy; that torch gives the same is checked on the way."""
    step = registry.get("preprocessor", name).build(**options)
    assert set(step.aggregates) == set(fitted)
    here = step.apply(np, x, fitted)
    there = step.apply(torch, torch.from_numpy(x), {k: torch.from_numpy(v) for k, v in fitted.items()})
    assert there.dtype == torch.float64
    np.testing.assert_allclose(there.numpy(), here, rtol=1e-15)
    return here


def test_standardize_is_scikit_learns_and_leaves_nulls():
    fitted = {"mean": np.nanmean(GAPS, axis=0), "std": np.nanstd(GAPS, axis=0)}
    np.testing.assert_allclose(applied("standardize", fitted, GAPS), StandardScaler().fit_transform(GAPS), rtol=1e-12)
    constant = applied("standardize", {"mean": X[0], "std": np.zeros(4)}, X[:1])
    assert constant.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
def test_min_max_is_scikit_learns_and_leaves_nulls(low, high):
    fitted = {"min": np.nanmin(GAPS, axis=0), "max": np.nanmax(GAPS, axis=0)}
    expected = MinMaxScaler((low, high)).fit_transform(GAPS)
    np.testing.assert_allclose(applied("min_max", fitted, GAPS, low=low, high=high), expected, rtol=1e-12, atol=1e-12)
    assert (applied("min_max", {"min": X[0], "max": X[0]}, X[:1], low=low, high=high) == low).all()


def test_nulls_are_filled_with_what_was_fitted_or_given():
    fitted = {"value": np.array([1.0, 2.0, 3.0, 4.0])}
    for value in ("mean", "median"):
        found = applied("fill_nulls", fitted, GAPS, value=value)
        np.testing.assert_array_equal(found, np.where(np.isnan(GAPS), [1, 2, 3, 4], X))
    np.testing.assert_array_equal(applied("fill_nulls", {}, GAPS, value=-7.5), np.where(np.isnan(GAPS), -7.5, X))
    np.testing.assert_array_equal(applied("fill_nulls", {}, GAPS, value="drop"), GAPS)
    assert registry.get("preprocessor", "fill_nulls").build(value="drop").drops


def test_outliers_are_moved_to_the_bounds_and_nulls_stay():
    low, high = np.nanquantile(GAPS, [0.1, 0.9], axis=0)
    found = applied("clip_outliers", {"low": low, "high": high}, GAPS, quantiles=(0.1, 0.9))
    np.testing.assert_array_equal(found, np.clip(GAPS, low, high))
    mean, std = np.nanmean(GAPS, axis=0), np.nanstd(GAPS, axis=0)
    found = applied("clip_outliers", {"mean": mean, "std": std}, GAPS, deviations=1.5)
    np.testing.assert_allclose(found, np.clip(GAPS, mean - 1.5 * std, mean + 1.5 * std), rtol=1e-15)


def test_the_logarithm_is_mirrored_below_zero():
    x = np.array([[-1e6, -1.0, 0.0, np.e - 1, 1e6, np.nan]])
    expected = [[-np.log(1e6 + 1), -np.log(2), 0.0, 1.0, np.log(1e6 + 1), np.nan]]
    np.testing.assert_allclose(applied("log1p", {}, x), expected, rtol=1e-12)


def test_categories_are_one_hot_or_embedded():
    build = {name: registry.get("preprocessor", name).build for name in ("one_hot", "embed")}
    assert build["one_hot"](columns="city", most=5) == CategoryStep(width=0, most=5, columns=("city",))
    assert build["embed"](columns=("city", "sex")) == CategoryStep(width=None, columns=("city", "sex"))
    assert build["embed"](width=7).width == 7


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("clip_outliers", {"quantiles": (0.5, 0.5)}, r"quantiles is \[0.5, 0.5\]; it must be two shares"),
        ("clip_outliers", {"deviations": 0}, "deviations is 0; it must be above 0"),
        ("min_max", {"low": 1, "high": 1}, "high is 1; it must be above low, 1"),
        ("embed", {"width": 0}, "width is 0; it must be at least 1"),
        ("one_hot", {"most": 0}, "most is 0; it must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(name, options, words):
    with pytest.raises(SpecError, match=words):
        registry.get("preprocessor", name).build(**options)
