"""The same learning rate all along."""

from collections.abc import Callable

from sparknn_magic.plugin import schedule


@schedule("constant", source="Robbins and Monro 1951, A Stochastic Approximation Method")
def constant(steps: int, epoch_steps: int) -> Callable[[int], float]:
    """Step number from 0 -> factor 1 on the learning rate, at every step."""

    def factor(step: int) -> float:
        return 1.0

    return factor
