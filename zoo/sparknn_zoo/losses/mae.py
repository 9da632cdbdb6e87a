"""Absolute error."""

from collections.abc import Callable

from torch import Tensor

from sparknn_magic.plugin import Target, loss
from sparknn_zoo.losses import common


@loss("mae", source="Laplace 1793; Bloomfield and Steiger 1983, Least Absolute Deviations")
def mae(target: Target = common.UNKNOWN) -> Callable[[Tensor, Tensor], Tensor]:
    """(outputs float32[N], target float32[N]) -> float32[N]: absolute errors of the scaled numbers, one a row.

    Raises: SpecError where classes are learnt.
    """
    common.needs_numbers("mae", target)

    def apply(outputs: Tensor, target: Tensor) -> Tensor:
        return common.errors_of(outputs, target).abs()

    return apply
