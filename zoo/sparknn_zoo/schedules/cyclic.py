"""Up and down, again and again."""

from collections.abc import Callable
from typing import Annotated, Literal

from annotated_types import Gt, Le

from sparknn_magic.plugin import schedule


@schedule(
    "cyclic",
    main="base_factor",
    source="Smith 2017, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186; torch's CyclicLR",
)
def cyclic(
    steps: int,
    epoch_steps: int,
    *,
    base_factor: Annotated[float, Gt(0), Le(1)] = 0.1,
    up: Annotated[float, Gt(0)] = 2.0,
    down: Annotated[float, Gt(0)] | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Annotated[float, Gt(0), Le(1)] = 1.0,
) -> Callable[[int], float]:
    """Step number from 0 -> factor on the learning rate: from base_factor straight up to 1 and down again.

    The values are those of torch's CyclicLR, stepped at every step, whose momentum cycle is left out.

    base_factor: the lowest factor.
    up: epochs from the lowest to the highest; the paper takes 2 to 10.
    down: epochs back; null: as many.
    mode: triangular keeps the height, triangular2 halves it after each cycle, exp_range lets it fall by gamma.
    gamma: what exp_range multiplies the height by at every step.
    """
    rise = up * epoch_steps
    total = rise + (rise if down is None else down * epoch_steps)

    def factor(step: int) -> float:
        cycle, within = divmod(step / total, 1.0)
        top = rise / total
        height = within / top if within <= top else (1 - within) / (1 - top)
        scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": gamma**step}[mode]
        return base_factor + (1 - base_factor) * height * scale

    return factor
