"""Poly-1: cross-entropy with more weight on its first polynomial term. N rows, K classes."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from sparknn_magic.plugin import loss


@loss(
    "my_sparknn_plugin_poly1",
    task=("image-classification", "vector-classification"),
    main="epsilon",
    source="Leng et al. 2022, PolyLoss, arXiv:2204.12511, eq. 4",
    licence="Apache-2.0",
)
def poly1(*, epsilon: float = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """(logits float32[N, K], target int64[N]) -> float32[N], one loss a row: cross-entropy + epsilon (1 - p).

    epsilon: weight of 1 - p, p being the probability of the right class; 0 is plain cross-entropy.
    """

    def apply(logits_NK: Tensor, target_N: Tensor) -> Tensor:
        entropy_N = F.cross_entropy(logits_NK, target_N, reduction="none")
        return entropy_N + epsilon * (1 - (-entropy_N).exp())

    return apply
