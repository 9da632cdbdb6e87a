"""Binary cross-entropy of two classes."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from sparknn_magic.plugin import Target, loss
from sparknn_zoo import checks
from sparknn_zoo.losses import common


@loss(
    "binary_cross_entropy",
    main="positive_weight",
    source="Good 1952, Rational Decisions (the logarithmic score); logistic regression: Cox 1958",
)
def binary_cross_entropy(
    target: Target = common.UNKNOWN, *, positive_weight: float = 1.0
) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits float32[N, 2], target int64[N] of 0 and 1) -> float32[N], in nats, one loss a row.

    The logit of the second class is the difference of the two outputs; float32[N] or [N, 1] is that logit itself.
    positive_weight: factor on the loss of rows of the second class.
    Raises: SpecError where there are not two classes, or the weight is not above 0.
    """
    checks.above("binary_cross_entropy", "positive_weight", positive_weight, 0)
    common.needs_two_classes("binary_cross_entropy", target)

    def apply(logits: Tensor, target: Tensor) -> Tensor:
        pair = logits.ndim == 2 and logits.shape[1] == 2
        logit = logits[:, 1] - logits[:, 0] if pair else logits.reshape(target.shape)
        weight = logits.new_tensor(positive_weight)
        return F.binary_cross_entropy_with_logits(logit, target.to(logit.dtype), pos_weight=weight, reduction="none")

    return apply
