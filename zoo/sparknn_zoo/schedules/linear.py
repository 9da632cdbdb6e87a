"""From one factor to another along a straight line."""

from collections.abc import Callable
from typing import Annotated

from annotated_types import Ge, Gt, Le

from sparknn_magic.plugin import schedule


@schedule("linear", main="end_factor", source="torch's LinearLR, whose defaults are a warm-up: 1/3 to 1 in 5 epochs")
def linear(
    steps: int,
    epoch_steps: int,
    *,
    start_factor: Annotated[float, Gt(0), Le(1)] = 1.0,
    end_factor: Annotated[float, Ge(0), Le(1)] = 0.0,
    epochs: Annotated[float, Gt(0)] | None = None,
) -> Callable[[int], float]:
    """Step number 0..steps-1 -> factor on the learning rate: along a straight line, then as it is.

    The values are those of torch's LinearLR, stepped at every step.

    start_factor: factor at the first step.
    end_factor: factor after the last one.
    epochs: how long it takes; null: the whole run.
    """
    total = steps if epochs is None else epochs * epoch_steps

    def factor(step: int) -> float:
        return start_factor + (end_factor - start_factor) * min(1.0, step / total)

    return factor
