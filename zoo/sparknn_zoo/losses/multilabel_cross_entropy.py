"""Binary cross-entropy of each class: a row may have several classes, or none."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from sparknn_magic.errors import TrainError
from sparknn_magic.plugin import loss
from sparknn_zoo import checks


@loss(
    "multilabel_cross_entropy",
    main="positive_weight",
    source="Zhang and Zhou 2006, Multi-Label Neural Networks; Nam et al. 2014 for cross-entropy in its place",
)
def multilabel_cross_entropy(*, positive_weight: float = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits float32[N, classes], target float32[N, classes] in 0..1) -> float32[N]: nats, the mean over the classes.

    positive_weight: factor on the loss of the classes that a row has.
    Raises: SpecError where the weight is not above 0.
    """
    checks.above("multilabel_cross_entropy", "positive_weight", positive_weight, 0)

    def apply(logits: Tensor, target: Tensor) -> Tensor:
        if target.shape != logits.shape:
            message = "multilabel_cross_entropy learns a 0 or 1 for each class, and here a row has one class."
            raise TrainError(message, hint="Use cross_entropy.")
        weight = logits.new_tensor(positive_weight)
        each = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), pos_weight=weight, reduction="none")
        return each.mean(1)

    return apply
