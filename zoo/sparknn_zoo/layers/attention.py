"""Multi-head self-attention. B batch, T steps, D features, N heads, E features of a head."""

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Rate, Shape, divides, sequence


class SelfAttention(nn.Module):
    """Each step looks at every step."""

    def __init__(self, features: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """float32[B, T, D] -> the same."""
        q_BNTE, k_BNTE, v_BNTE = self.qkv(x_BTD).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        rate = self.dropout if self.training else 0.0
        h_BNTE = F.scaled_dot_product_attention(q_BNTE, k_BNTE, v_BNTE, dropout_p=rate)
        return self.out(h_BNTE.transpose(1, 2).flatten(2))


@layer("attention", main="heads", source="Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762, sec. 3.2")
def attention(shape: Shape, *, heads: PositiveInt = 4, dropout: Rate = 0.0) -> nn.Module:
    """Multi-head self-attention: [steps, features] -> the same shape; put it into `residual` with a `layer_norm`.

    heads: of how many parts of the features each attends by itself.
    dropout: share of the attention dropped in training.
    Raises: SpecError where heads do not divide the features.
    """
    _, features = sequence(shape)
    divides("attention", "heads", heads, features=features)
    return SelfAttention(features, heads, dropout)
