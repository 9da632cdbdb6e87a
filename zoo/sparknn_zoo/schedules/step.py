"""Down by a factor every few epochs."""

from collections.abc import Callable

from sparknn_magic.plugin import schedule
from sparknn_zoo import checks


@schedule("step", main="every", source="He et al. 2016, Deep Residual Learning, sec. 3.4; torch's StepLR")
def step(steps: int, epoch_steps: int, *, every: int = 10, gamma: float = 0.1) -> Callable[[int], float]:
    """Step number from 0 -> factor on the learning rate: cut down every few epochs.

    The values are those of torch's StepLR, stepped once an epoch.

    every: epochs from one cut to the next.
    gamma: what the rate is multiplied by at a cut, above 0 and at most 1.
    Raises: SpecError where an option is out of range.
    """
    checks.at_least("step", "every", every, 1)
    checks.above("step", "gamma", gamma, 0)
    checks.between("step", "gamma", gamma, 0, 1)

    def factor(step: int) -> float:
        return gamma ** (step // epoch_steps // every)

    return factor
