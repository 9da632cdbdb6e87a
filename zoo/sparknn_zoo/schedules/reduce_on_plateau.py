"""Down by a factor when training no longer gets better."""

import math
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import NonNegativeInt

from sparknn_magic.plugin import schedule


class Plateau:
    """The factor on the learning rate; `update` is called after every epoch, on every rank with the same figure."""

    def __init__(self, factor: float, patience: int, threshold: float, relative: bool, cooldown: int, least: float):
        self.cut, self.patience, self.cooldown, self.least = factor, patience, cooldown, least
        self.threshold, self.relative = threshold, relative
        self.factor = 1.0
        self.best: float | None = None
        self.bad = self.cooling = 0  # epochs without a better figure, epochs of a cool-down that are left

    def __call__(self, step: int) -> float:
        """Return the factor, whatever the step."""
        return self.factor

    def update(self, value: float, lower: bool) -> None:
        """Take in an epoch's watched figure; `lower`: less of it is better."""
        if self._better(value, lower):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.bad = 0
        if self.bad > self.patience:
            self.factor = max(self.factor * self.cut, self.least)
            self.cooling, self.bad = self.cooldown, 0

    def _better(self, value: float, lower: bool) -> bool:
        if self.best is None or not math.isfinite(value):
            return math.isfinite(value)
        margin = self.best * self.threshold if self.relative else self.threshold
        return value < self.best - margin if lower else value > self.best + margin


@schedule("reduce_on_plateau", main="factor", source="torch's ReduceLROnPlateau; LeCun et al. 1998, Efficient BackProp")
def reduce_on_plateau(
    steps: int,
    epoch_steps: int,
    *,
    factor: Annotated[float, Gt(0), Lt(1)] = 0.1,
    patience: NonNegativeInt = 10,
    threshold: Annotated[float, Ge(0)] = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: NonNegativeInt = 0,
    min_factor: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Plateau:
    """Step number from 0 -> factor on the learning rate: cut down after epochs in which nothing got better.

    It looks at the figure that chooses the best epoch, and without validation rows at the training loss. The values
    are those of torch's ReduceLROnPlateau, stepped once an epoch.

    factor: what the rate is multiplied by at a cut.
    patience: epochs without a better figure that are let pass.
    threshold: how much better a figure must be to count.
    threshold_mode: rel takes the threshold as a share of the best figure, abs as it is.
    cooldown: epochs after a cut in which none is counted.
    min_factor: the smallest factor.
    """
    return Plateau(factor, patience, threshold, threshold_mode == "rel", cooldown, min_factor)
