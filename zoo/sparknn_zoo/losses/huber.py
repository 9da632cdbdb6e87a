"""Huber's loss: squared near 0, linear beyond."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from sparknn_magic.plugin import Target, loss
from sparknn_zoo import checks
from sparknn_zoo.losses import common


@loss("huber", main="delta", source="Huber 1964, Robust Estimation of a Location Parameter")
def huber(target: Target = common.UNKNOWN, *, delta: float | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """(outputs float32[N], target float32[N]) -> float32[N]: half the square of small errors, one loss a row.

    The numbers are the scaled ones: x*x/2 up to d, then d*(|x| - d/2), d being delta in that scale.
    delta: the error, in the label's own unit, from which on the loss is linear; by default the label's standard
    deviation.
    Raises: SpecError where classes are learnt, or delta is not above 0.
    """
    if delta is not None:
        checks.above("huber", "delta", delta, 0)
    common.needs_numbers("huber", target)
    scaled = 1.0 if delta is None else delta / target.std

    def apply(outputs: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(outputs.reshape(target.shape), target, delta=scaled, reduction="none")

    return apply
