"""Numbers over several orders of magnitude, brought together."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.columns import VECTORS, Columns, Limited


class Log1p(Limited):
    """float64[rows, columns] -> the same shape, in nats."""

    def apply(self, xp: Any, x: Any, fitted: Mapping[str, Any]) -> Any:
        """Return sign(x) ln(1 + |x|)."""
        return xp.sign(x) * xp.log1p(xp.abs(x))


@preprocessor("log1p", task=VECTORS, source="Webber 2012, A bi-symmetric log transformation for wide-range data")
def log1p(*, columns: Columns = None) -> Log1p:
    """Numbers -> ln(1 + number), and below 0 the mirror image, -ln(1 - number); nulls stay null.

    For amounts and counts that go over several orders of magnitude.

    columns: the only ones it works on.
    """
    return Log1p(columns)
