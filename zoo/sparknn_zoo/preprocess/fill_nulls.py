"""Numbers in place of missing ones, or no such rows."""

from collections.abc import Mapping
from typing import Any, Literal

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.columns import ACCURACY, VECTORS, Columns, Limited

AGGREGATES = {"mean": "avg(x)", "median": f"percentile_approx(x, 0.5D, {ACCURACY})"}


class FillNulls(Limited):
    """float64[rows, columns] -> the same, NaN replaced."""

    def __init__(self, value: str | float, columns: Columns):
        super().__init__(columns)
        self.value = value
        self.drops = value == "drop"
        if value in AGGREGATES:
            self.aggregates = {"value": AGGREGATES[str(value)]}

    def apply(self, xp: Any, x: Any, fitted: Mapping[str, Any]) -> Any:
        """Return x with the value where x is NaN; unchanged where such rows are dropped."""
        if self.drops:
            return x
        return xp.where(xp.isnan(x), fitted["value"] if self.aggregates else self.value, x)


@preprocessor(
    "fill_nulls",
    task=VECTORS,
    main="value",
    source="Little and Rubin 2019, Statistical Analysis with Missing Data; scikit-learn's SimpleImputer",
)
def fill_nulls(*, value: Literal["drop", "mean", "median"] | float = "mean", columns: Columns = None) -> FillNulls:
    """Nulls and NaN -> a number; or the rows that have one are dropped.

    The median is one of the values: of two in the middle the lower one.

    value: the column's mean or median over the training rows, a number, or drop, which leaves such rows out.
    columns: the only ones it works on; a categorical one can stand here with drop alone.
    """
    return FillNulls(value, columns)
