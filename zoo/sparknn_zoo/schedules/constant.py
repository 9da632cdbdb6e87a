"""The same learning rate all along."""

from collections.abc import Callable
from typing import Annotated

from annotated_types import Ge, Gt, Le

from sparknn_magic.plugin import schedule


@schedule(
    "constant",
    main="factor",
    source="Robbins and Monro 1951, A Stochastic Approximation Method; torch's ConstantLR",
)
def constant(
    steps: int, epoch_steps: int, *, factor: Annotated[float, Gt(0), Le(1)] = 1.0, epochs: Annotated[float, Ge(0)] = 5.0
) -> Callable[[int], float]:
    """Step number from 0 -> factor on the learning rate: the same at every step, or another one in the first epochs.

    The values are those of torch's ConstantLR.

    factor: factor in the first epochs; after them it is 1.
    epochs: how many these are.
    """
    end = epochs * epoch_steps

    def apply(step: int) -> float:
        return factor if step < end else 1.0

    return apply
