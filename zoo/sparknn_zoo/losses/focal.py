"""Focal loss: cross-entropy in which rows that are already right count little."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import Target, loss
from sparknn_zoo import checks
from sparknn_zoo.losses import common


@loss("focal", main="gamma", source="Lin et al. 2017, Focal Loss for Dense Object Detection, sec. 3")
def focal(
    target: Target = common.UNKNOWN,
    *,
    gamma: float = 2.0,
    alpha: float | dict[str, float] | Literal["balanced"] | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits float32[N, classes], target int64[N]) -> float32[N]: -alpha_t (1 - p_t)^gamma ln(p_t), one loss a row.

    gamma: how fast the weight falls as a row's class becomes probable; 0 is cross-entropy.
    alpha: a factor for each class by its name, 1 where it has none; balanced, as in cross_entropy; or with two classes
    the factor of the second, 0..1, the first having the rest, as in the paper.
    Raises: SpecError for a gamma below 0, one alpha for more than two classes or outside 0..1, an unknown class.
    """
    checks.at_least("focal", "gamma", gamma, 0)
    common.needs_classes("focal", target)
    weights = _factors(alpha, target)

    def apply(logits: Tensor, target: Tensor) -> Tensor:
        log_p = torch.log_softmax(logits, 1)
        log_pt = log_p.gather(1, target[:, None])[:, 0]
        # 1 - p as the sum of the others: where p rounds to 1 its own slope is still right, and 0^gamma is not met.
        others = log_p.scatter(1, target[:, None], -torch.inf).logsumexp(1)
        rows = -torch.exp(gamma * others) * log_pt
        return rows if weights is None else rows * weights.to(rows.device, rows.dtype)[target]

    return apply


def _factors(alpha: float | dict[str, float] | str | None, target: Target) -> Tensor | None:
    if not isinstance(alpha, int | float):
        return common.weights_of("focal", "alpha", alpha, target)
    checks.between("focal", "alpha", alpha, 0, 1)
    if len(target.classes) not in (0, 2):
        message = f"focal: one number as alpha is for two classes, and there are {len(target.classes)}."
        raise SpecError(message, hint="Give a factor for each class by its name, or `alpha: balanced`.")
    return torch.tensor([1.0 - alpha, alpha])
