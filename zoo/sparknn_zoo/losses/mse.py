"""Squared error."""

from collections.abc import Callable

from torch import Tensor

from sparknn_magic.plugin import Target, loss
from sparknn_zoo.losses import common


@loss("mse", source="Gauss 1809, Theoria motus corporum coelestium (least squares)")
def mse(target: Target = common.UNKNOWN) -> Callable[[Tensor, Tensor], Tensor]:
    """(outputs float32[N], target float32[N]) -> float32[N]: squared errors of the scaled numbers, one a row.

    Raises: SpecError where classes are learnt.
    """
    common.needs_numbers("mse", target)

    def apply(outputs: Tensor, target: Tensor) -> Tensor:
        errors = common.errors_of(outputs, target)
        return errors * errors

    return apply
