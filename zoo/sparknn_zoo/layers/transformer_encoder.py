"""A block of the Transformer's encoder. B batch, T steps, D features."""

from typing import Literal

from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.attention import SelfAttention
from sparknn_zoo.layers.common import ACTIVATIONS, Rate, Shape, divides, sequence


class EncoderBlock(nn.Module):
    """Self-attention and a two-layer perceptron, each beside a shortcut, with a LayerNorm before or after."""

    def __init__(self, features: int, heads: int, hidden: int, dropout: float, activation: str, norm_first: bool):
        super().__init__()
        self.norm_first = norm_first
        self.attention = SelfAttention(features, heads, dropout)
        self.mlp = nn.Sequential(
            nn.Linear(features, hidden), ACTIVATIONS[activation](), nn.Dropout(dropout), nn.Linear(hidden, features)
        )
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """float32[B, T, D] -> the same."""
        if self.norm_first:
            x_BTD = x_BTD + self.dropout(self.attention(self.norm1(x_BTD)))
            return x_BTD + self.dropout(self.mlp(self.norm2(x_BTD)))
        x_BTD = self.norm1(x_BTD + self.dropout(self.attention(x_BTD)))
        return self.norm2(x_BTD + self.dropout(self.mlp(x_BTD)))


@layer(
    "transformer_encoder", main="heads", source="Vaswani et al. 2017, arXiv:1706.03762; norm first: Xiong et al. 2020"
)
def transformer_encoder(
    shape: Shape,
    *,
    heads: PositiveInt = 4,
    hidden: PositiveInt | None = None,
    dropout: Rate = 0.1,
    activation: Literal["relu", "gelu", "silu"] = "gelu",
    norm_first: bool = True,
) -> nn.Module:
    """Block of a Transformer's encoder, attention and a perceptron: [steps, features] -> the same shape.

    heads: of how many parts of the features each attends by itself.
    hidden: units between the perceptron's two layers; 4 x features where it is not given.
    dropout: share of numbers dropped in training.
    activation: between the perceptron's two layers, by name.
    norm_first: whether a LayerNorm is before attention and perceptron, which trains more easily, or after them.
    Raises: SpecError where heads do not divide the features.
    """
    _, features = sequence(shape)
    divides("transformer_encoder", "heads", heads, features=features)
    return EncoderBlock(features, heads, hidden or 4 * features, dropout, activation, norm_first)
