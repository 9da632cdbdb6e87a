"""Cross-entropy by the name that Keras users look for."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from sparknn_magic.plugin import Target, loss
from sparknn_zoo.losses.common import UNKNOWN
from sparknn_zoo.losses.cross_entropy import SOURCE, cross_entropy


@loss("sparse_cross_entropy", main="label_smoothing", source=SOURCE)
def sparse_cross_entropy(
    target: Target = UNKNOWN,
    *,
    label_smoothing: float = 0.0,
    class_weights: dict[str, float] | Literal["balanced"] | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """cross_entropy under Keras' name: (logits float32[N, classes], target int64[N]) -> float32[N], in nats.

    label_smoothing: share of the target's probability that is spread evenly over all classes, 0..1.
    class_weights: a factor for each class by its name, or balanced.
    Raises: SpecError as cross_entropy does.
    """
    return cross_entropy(target, label_smoothing=label_smoothing, class_weights=class_weights)
