"""Down along a half cosine, again and again."""

import math
from collections.abc import Callable
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import PositiveInt

from sparknn_magic.plugin import schedule


@schedule(
    "cosine_warm_restarts",
    main="epochs",
    source="Loshchilov and Hutter 2017, SGDR, arXiv:1608.03983; torch's CosineAnnealingWarmRestarts",
)
def cosine_warm_restarts(
    steps: int,
    epoch_steps: int,
    *,
    epochs: PositiveInt = 10,
    mult: PositiveInt = 1,
    final_factor: Annotated[float, Ge(0), Le(1)] = 0.0,
) -> Callable[[int], float]:
    """Step number from 0 -> factor on the learning rate: from 1 down along a half cosine, then from 1 again.

    The values are those of torch's CosineAnnealingWarmRestarts, stepped at every step.

    epochs: how long the first way down takes (torch's T_0).
    mult: how many times longer each is than the one before (torch's T_mult).
    final_factor: factor at the end of each.
    """

    def factor(step: int) -> float:
        length = epochs * epoch_steps
        if mult == 1:
            within = step % length
        else:
            # Before the n-th start lie length * (mult^n - 1) / (mult - 1) steps.
            within = step
            while within >= length:
                within -= length
                length *= mult
        return final_factor + (1 - final_factor) * math.cos(math.pi / 2 * within / length) ** 2

    return factor
