"""The training rows' range, moved to 0..1."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.columns import VECTORS, Columns, Limited


class MinMax(Limited):
    """float64[rows, columns] in the columns' units -> the same shape, unitless."""

    aggregates = {"min": "min(x)", "max": "max(x)"}  # noqa: RUF012 (as the base class has it)

    def __init__(self, low: float, high: float, columns: Columns):
        super().__init__(columns)
        self.low, self.high = low, high

    def apply(self, xp: Any, x: Any, fitted: Mapping[str, Any]) -> Any:
        """Return x with min at `low` and max at `high`; a column that never changes is at `low`."""
        span = fitted["max"] - fitted["min"]
        share = (x - fitted["min"]) / xp.where(span > 0, span, xp.ones_like(span))
        return self.low + share * (self.high - self.low)


@preprocessor(
    "min_max", task=VECTORS, source="Aksoy and Haralick 2001, Feature normalization; scikit-learn's MinMaxScaler"
)
def min_max(*, low: float = 0.0, high: float = 1.0, columns: Columns = None) -> MinMax:
    """Numbers -> low..high, where the training rows have their least and greatest; nulls stay null.

    Rows of later on may lie outside.

    low: what the least number becomes.
    high: what the greatest number becomes.
    columns: the only ones it works on.
    Raises: SpecError unless low is less than high.
    """
    if not low < high:
        raise SpecError(f"min_max: high is {high}; it must be above low, {low}.")
    return MinMax(low, high, columns)
