"""Values far from the others, moved to the edge of what is usual."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import preprocessor
from sparknn_zoo.checks import above
from sparknn_zoo.preprocess.columns import ACCURACY, VECTORS, Columns, Limited


class ClipOutliers(Limited):
    """float64[rows, columns] -> the same, within two bounds a column; NaN stays."""

    def __init__(self, quantiles: tuple[float, float] | None, deviations: float | None, columns: Columns):
        super().__init__(columns)
        self.deviations = deviations
        if deviations is not None:
            self.aggregates = {"mean": "avg(x)", "std": "stddev_pop(x)"}
        elif quantiles is not None:
            ranks = dict(zip(("low", "high"), quantiles, strict=True))
            self.aggregates = {n: f"percentile_approx(x, {share!r}D, {ACCURACY})" for n, share in ranks.items()}

    def apply(self, xp: Any, x: Any, fitted: Mapping[str, Any]) -> Any:
        """Return x between the bounds."""
        if self.deviations is None:
            low, high = fitted["low"], fitted["high"]
        else:
            low = fitted["mean"] - self.deviations * fitted["std"]
            high = fitted["mean"] + self.deviations * fitted["std"]
        # By comparison: with a NaN it is false, and the value stays.
        return xp.where(x < low, low, xp.where(x > high, high, x))


@preprocessor(
    "clip_outliers",
    task=VECTORS,
    main="quantiles",
    source="Tukey 1962, The Future of Data Analysis, sec. 14: winsorizing",
)
def clip_outliers(
    *, quantiles: tuple[float, float] | None = None, deviations: float | None = None, columns: Columns = None
) -> ClipOutliers:
    """Numbers beyond two bounds -> the nearer bound, which Spark finds in the training rows.

    quantiles: the shares of values below each bound, by default [0.01, 0.99]; approximate, to a ten-thousandth.
    deviations: instead of quantiles, the distance of the bounds from the mean in standard deviations.
    columns: the only ones it works on.
    Raises: SpecError where both are given, or are out of range.
    """
    if deviations is not None:
        if quantiles is not None:
            raise SpecError("clip_outliers: quantiles and deviations are two ways to say the same; give one of them.")
        above("clip_outliers", "deviations", deviations, 0)
        return ClipOutliers(None, deviations, columns)
    low, high = quantiles or (0.01, 0.99)
    if not 0 <= low < high <= 1:
        raise SpecError(
            f"clip_outliers: quantiles is [{low}, {high}]; it must be two shares, the smaller first, between 0 and 1."
        )
    return ClipOutliers((low, high), None, columns)
