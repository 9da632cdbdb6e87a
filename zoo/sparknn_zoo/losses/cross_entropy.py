"""Softmax cross-entropy."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from sparknn_magic.plugin import loss
from sparknn_zoo import checks


@loss(
    "cross_entropy",
    main="label_smoothing",
    source="Bridle 1990, Probabilistic Interpretation of Feedforward Classification Network Outputs; "
    "label smoothing: Szegedy et al. 2016, Rethinking the Inception Architecture, sec. 7",
)
def cross_entropy(*, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits float32[N, classes], target int64[N]) -> float32[N], in nats, one loss a row.

    label_smoothing: share of the target's probability that is spread evenly over all classes, 0..1.
    Raises: SpecError where it is outside that range.
    """
    checks.between("cross_entropy", "label_smoothing", label_smoothing, 0, 1)

    def apply(logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, label_smoothing=label_smoothing, reduction="none")

    return apply
