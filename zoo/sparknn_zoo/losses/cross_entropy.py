"""Softmax cross-entropy, with weights of classes and label smoothing."""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from sparknn_magic.plugin import Target, loss
from sparknn_zoo import checks
from sparknn_zoo.losses import common

SOURCE = (
    "Bridle 1990, Probabilistic Interpretation of Feedforward Classification Network Outputs; "
    "label smoothing: Szegedy et al. 2016, Rethinking the Inception Architecture, sec. 7"
)


@loss("cross_entropy", main="label_smoothing", source=SOURCE)
def cross_entropy(
    target: Target = common.UNKNOWN,
    *,
    label_smoothing: float = 0.0,
    class_weights: dict[str, float] | Literal["balanced"] | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits float32[N, classes], target int64[N]) -> float32[N], in nats, one loss a row.

    label_smoothing: share of the target's probability that is spread evenly over all classes, 0..1.
    class_weights: a factor for each class by its name, 1 where it has none; or balanced, rows / (classes * rows of the
    class), so that rare classes count as much as frequent ones.
    Raises: SpecError for a share outside 0..1, a class that there is not, or a weight below 0.
    """
    checks.between("cross_entropy", "label_smoothing", label_smoothing, 0, 1)
    common.needs_classes("cross_entropy", target)
    weights = common.weights_of("cross_entropy", "class_weights", class_weights, target)

    def apply(logits: Tensor, target: Tensor) -> Tensor:
        weight = None if weights is None else weights.to(logits.device, logits.dtype)
        return F.cross_entropy(logits, target, weight=weight, label_smoothing=label_smoothing, reduction="none")

    return apply
