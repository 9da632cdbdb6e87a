"""Fitted steps on numbers, for numpy and for torch alike. Runs on executors and in exported networks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparknn_magic.data.vectors.job import FittedStep
from sparknn_magic.plugin import ColumnStep


class Applied(NamedTuple):
    """A step with what it was fitted to, as arrays of the library that it works with."""

    step: ColumnStep
    columns: Sequence[int]  # positions among the row's numbers
    order: Any  # None: all columns, in their order; else where each column stands behind [all, those it works on]
    fitted: Mapping[str, Any]  # float64[columns]


def build_steps(steps: Sequence[FittedStep], width: int, array: Callable[[Any], Any] = np.asarray) -> list[Applied]:
    """Build the steps for rows of `width` numbers; `array` makes float64 or int64 arrays of lists."""
    found = []
    for each in steps:
        order = None
        if list(each.columns) != list(range(width)):
            place = {column: width + i for i, column in enumerate(each.columns)}
            order = array([place.get(column, column) for column in range(width)])
        fitted = {name: array(list(values)) for name, values in each.fitted.items()}
        found.append(Applied(each.part.build(), list(each.columns), order, fitted))
    return found


def apply_step(xp: Any, x: Any, each: Applied) -> Any:
    """float64[rows, width] -> the same shape; `xp` is numpy or torch."""
    if each.order is None:
        return each.step.apply(xp, x, each.fitted)
    if not len(each.columns):
        return x
    changed = each.step.apply(xp, x[:, each.columns], each.fitted)
    return xp.concatenate([x, changed], axis=1)[:, each.order]


def apply_steps(xp: Any, x: Any, steps: Sequence[Applied]) -> Any:
    """Apply steps in order: float64[rows, width] -> the same shape."""
    for each in steps:
        x = apply_step(xp, x, each)
    return x


def stays_missing(steps: Sequence[Applied], width: int) -> np.ndarray:
    """Return bool[width]: whether a missing number of that column is still missing after the steps.

    The steps work on each column by itself, so one row without any number tells of all columns.
    """
    with np.errstate(all="ignore"):
        return np.isnan(apply_steps(np, np.full((1, width), np.nan), steps)[0])
