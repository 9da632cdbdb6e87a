"""Down by a factor at chosen epochs."""

from bisect import bisect_right
from collections.abc import Callable
from typing import Annotated

from annotated_types import Gt, Le
from pydantic import PositiveInt

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import schedule


@schedule(
    "multi_step",
    main="milestones",
    source="He et al. 2016, Deep Residual Learning, sec. 4.2; torch's MultiStepLR",
    example={"milestones": [3, 6]},
)
def multi_step(
    steps: int,
    epoch_steps: int,
    *,
    milestones: tuple[PositiveInt, ...],
    gamma: Annotated[float, Gt(0), Le(1)] = 0.1,
) -> Callable[[int], float]:
    """Step number from 0 -> factor on the learning rate: cut down at chosen epochs.

    The values are those of torch's MultiStepLR, stepped once an epoch.

    milestones: numbers of epochs after which the rate is cut, in rising order.
    gamma: what the rate is multiplied by at each.
    Raises: SpecError where the milestones do not rise.
    """
    if not milestones or list(milestones) != sorted(set(milestones)):
        raise SpecError(f"multi_step: milestones is {list(milestones)}; it must be epochs in rising order.")

    def factor(step: int) -> float:
        return gamma ** bisect_right(milestones, step // epoch_steps)

    return factor
