"""Multi-class hinge loss."""

from collections.abc import Callable

import torch
from torch import Tensor

from sparknn_magic.plugin import Target, loss
from sparknn_zoo import checks
from sparknn_zoo.losses import common


@loss(
    "hinge",
    main="margin",
    source="Crammer and Singer 2001, On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines",
)
def hinge(
    target: Target = common.UNKNOWN, *, margin: float = 1.0, squared: bool = False
) -> Callable[[Tensor, Tensor], Tensor]:
    """(scores float32[N, classes], target int64[N]) -> float32[N]: max(0, margin + best other score - own score).

    margin: by how much the score of a row's class must lead the others to cost nothing.
    squared: square the loss, which makes it smooth (Tang 2013, Deep Learning using Linear Support Vector Machines).
    Raises: SpecError where the margin is not above 0.
    """
    checks.above("hinge", "margin", margin, 0)
    common.needs_classes("hinge", target)

    def apply(scores: Tensor, target: Tensor) -> Tensor:
        own = scores.gather(1, target[:, None])[:, 0]
        others = scores.scatter(1, target[:, None], -torch.inf).amax(1)
        rows = torch.relu(margin + others - own)
        return rows * rows if squared else rows

    return apply
