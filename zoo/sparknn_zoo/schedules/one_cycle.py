"""Up, then down to almost nothing."""

import math
from collections.abc import Callable
from typing import Literal

from sparknn_magic.plugin import schedule
from sparknn_zoo import checks


@schedule("one_cycle", main="pct_start", source="Smith and Topin 2018, Super-Convergence; torch's OneCycleLR")
def one_cycle(
    steps: int,
    epoch_steps: int,
    *,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    three_phase: bool = False,
) -> Callable[[int], float]:
    """Step number 0..steps-1 -> factor on the learning rate: 1 / div_factor, up to 1, down to almost 0.

    The values are those of torch's OneCycleLR, whose momentum cycle is left out.
    A run of one step takes it at factor 1.

    pct_start: share of the steps that go up, 0..1, with three_phase at most 0.5.
    div_factor: what the largest rate is divided by at the first step.
    final_div_factor: what the first rate is divided by at the last step.
    anneal_strategy: cos goes along half cosines, linear along straight lines.
    three_phase: go down to the first rate in as many steps as up, and only then to the last one.
    Raises: SpecError where the share is outside 0..1 or a divisor below 1.
    """
    checks.between("one_cycle", "pct_start", pct_start, 0, 0.5 if three_phase else 1)
    checks.at_least("one_cycle", "div_factor", div_factor, 1)
    checks.at_least("one_cycle", "final_div_factor", final_div_factor, 1)
    start, end = 1 / div_factor, 1 / (div_factor * final_div_factor)
    way = _half_cosine if anneal_strategy == "cos" else _line
    last = steps - 1
    top = pct_start * steps - 1  # the step at which the factor is 1; a fraction, and below 0 without a way up
    low = 2 * pct_start * steps - 2  # of three phases, where the second one ends

    def factor(step: int) -> float:
        if last < 1:
            return 1.0
        if step <= top:
            return way(start, 1.0, step / top if top > 0 else 1.0)
        if not three_phase:
            return way(1.0, end, min(1.0, (step - top) / (last - top)))
        if step <= low:
            return way(1.0, start, (step - top) / (low - top))
        return way(start, end, min(1.0, (step - low) / (last - low)))

    return factor


def _half_cosine(first: float, second: float, share: float) -> float:
    return second + (first - second) / 2 * (1 + math.cos(math.pi * share))


def _line(first: float, second: float, share: float) -> float:
    return first + (second - first) * share
