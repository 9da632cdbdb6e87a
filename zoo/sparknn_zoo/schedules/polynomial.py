"""Down to 0 along a power."""

from collections.abc import Callable
from typing import Annotated

from annotated_types import Gt

from sparknn_magic.plugin import schedule


@schedule(
    "polynomial", main="power", source="Chen et al. 2017, DeepLab, sec. 4.1, arXiv:1606.00915; torch's PolynomialLR"
)
def polynomial(
    steps: int,
    epoch_steps: int,
    *,
    power: Annotated[float, Gt(0)] = 1.0,
    epochs: Annotated[float, Gt(0)] | None = None,
) -> Callable[[int], float]:
    """Step number 0..steps-1 -> factor on the learning rate: from 1 to 0, as (1 - step / steps) to a power.

    The values are those of torch's PolynomialLR, stepped at every step.

    power: 1 is a straight line; above 1 the rate falls faster at first, below 1 faster at last.
    epochs: how long it takes, with a rate of 0 from then on; null: the whole run.
    """
    total = steps if epochs is None else epochs * epoch_steps

    def factor(step: int) -> float:
        return (1 - min(1.0, step / total)) ** power

    return factor
