"""Down by the same factor every epoch."""

from collections.abc import Callable
from typing import Annotated

from annotated_types import Gt, Le

from sparknn_magic.plugin import schedule


@schedule(
    "exponential",
    main="gamma",
    source="Li and Arora 2020, An Exponential Learning Rate Schedule; torch's ExponentialLR",
)
def exponential(steps: int, epoch_steps: int, *, gamma: Annotated[float, Gt(0), Le(1)] = 0.9) -> Callable[[int], float]:
    """Step number from 0 -> factor on the learning rate: cut down after every epoch.

    The values are those of torch's ExponentialLR, stepped once an epoch.

    gamma: what the rate is multiplied by after an epoch.
    """

    def factor(step: int) -> float:
        return gamma ** (step // epoch_steps)

    return factor
