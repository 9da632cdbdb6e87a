"""Down along a half cosine."""

import math
from collections.abc import Callable

from sparknn_magic.plugin import schedule
from sparknn_zoo import checks


@schedule("cosine", main="final_factor", source="Loshchilov and Hutter 2017, SGDR; torch's CosineAnnealingLR")
def cosine(steps: int, epoch_steps: int, *, final_factor: float = 0.0) -> Callable[[int], float]:
    """Step number 0..steps-1 -> factor on the learning rate: from 1 down along a half cosine.

    The values are those of torch's CosineAnnealingLR.

    final_factor: factor after the last step, 0..1.
    Raises: SpecError where it is outside 0..1.
    """
    checks.between("cosine", "final_factor", final_factor, 0, 1)

    def factor(step: int) -> float:
        share = min(1.0, step / steps)
        # cos(x/2)^2 and not (1 + cos(x))/2, which loses the last steps' digits.
        return final_factor + (1 - final_factor) * math.cos(math.pi / 2 * share) ** 2

    return factor
