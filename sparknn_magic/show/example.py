"""Scored rows, as the report and the figures show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Example:
    """A picture, its true class, and what the model said of it."""

    image: np.ndarray  # uint8[H, W, C], C is 1 or 3
    label: str
    predicted: str
    score: float  # the probability of `predicted`, 0..1

    @property
    def right(self) -> bool:
        """Whether the model found the true class."""
        return self.label == self.predicted


@dataclass(frozen=True)
class Row:
    """The columns of a row, what is true of it, and what the model said."""

    columns: Mapping[str, Any]
    label: Any  # a class, or a number
    predicted: Any
    score: float | None = None  # the probability of the class `predicted`


@dataclass(frozen=True, eq=False)
class Numbers:
    """True and predicted values of some rows."""

    true: np.ndarray  # float64[N]
    predicted: np.ndarray  # float64[N]
