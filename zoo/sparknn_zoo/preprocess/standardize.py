"""Mean 0 and standard deviation 1."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.columns import VECTORS, Columns, Limited


class Standardize(Limited):
    """float64[rows, columns] in the columns' units -> the same shape, unitless."""

    aggregates = {"mean": "avg(x)", "std": "stddev_pop(x)"}  # noqa: RUF012 (as the base class has it)

    def apply(self, xp: Any, x: Any, fitted: Mapping[str, Any]) -> Any:
        """Return (x - mean) / std; a column that never changes is only shifted."""
        std = fitted["std"]
        return (x - fitted["mean"]) / xp.where(std > 0, std, xp.ones_like(std))


@preprocessor("standardize", task=VECTORS, source="LeCun et al. 1998, Efficient BackProp, sec. 4.3")
def standardize(*, columns: Columns = None) -> Standardize:
    """Numbers -> (number - mean) / standard deviation of the training rows; nulls stay null.

    columns: the only ones it works on.
    """
    return Standardize(columns)
