"""A small Transformer encoder, trained from scratch.

Source: Vaswani et al. 2017, Attention Is All You Need, https://arxiv.org/abs/1706.03762; LayerNorm before attention and
perceptron: Xiong et al. 2020, https://arxiv.org/abs/2002.04745; rotary positions: Su et al. 2021 (RoFormer),
https://arxiv.org/abs/2104.09864

B batch, T tokens, N heads, E dimensions of a head, D dimensions of a token, K outputs.
"""

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import TextInputs, architecture
from sparknn_zoo.text.common import TAGGING, Rate, Vectors, masked_mean
from sparknn_zoo.vision.common import transformer_init

SOURCE = "Vaswani et al. 2017, arXiv:1706.03762; pre-norm: Xiong et al. 2020; rotary positions: Su et al. 2021"


class Rotary(nn.Module):
    """The angles by which rotary positions turn the dimensions of a head, two by two."""

    frequencies: Tensor

    def __init__(self, dim: int):
        super().__init__()
        frequencies = 10_000.0 ** -(torch.arange(0, dim, 2) / dim)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosine and the sine at each place of a text, float32[T, E / 2] each."""
        place_T1 = torch.arange(x_BTD.shape[1], device=x_BTD.device, dtype=torch.float32).unsqueeze(1)
        angles = place_T1 * self.frequencies
        return angles.cos(), angles.sin()


def rotated(x_BNTE: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each dimension of the first half together with its counterpart in the second: the same shape."""
    cos, sin = turn
    a, b = x_BNTE.chunk(2, 3)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), 3)


class Attention(nn.Module):
    """Multi-head self-attention; a score depends on how far two tokens are apart, and padding has none."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor, bias_B11T: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """float32[B, T, D] -> the same."""
        q_BNTE, k_BNTE, v_BNTE = self.qkv(x_BTD).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        h_BNTE = F.scaled_dot_product_attention(
            rotated(q_BNTE, turn), rotated(k_BNTE, turn), v_BNTE, attn_mask=bias_B11T
        )
        return self.dropout(self.out(h_BNTE.transpose(1, 2).flatten(2)))


class Layer(nn.Module):
    """Attention and a two-layer perceptron, each behind a LayerNorm and beside a shortcut (pre-norm)."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim), nn.Dropout(dropout)
        )

    def forward(self, x_BTD: Tensor, bias_B11T: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """float32[B, T, D] -> the same."""
        x_BTD = x_BTD + self.attention(self.norm1(x_BTD), bias_B11T, turn)
        return x_BTD + self.mlp(self.norm2(x_BTD))


class TextTransformer(nn.Module):
    """Token vectors, `depth` layers, LayerNorm, the mean of the tokens, and the head."""

    def __init__(
        self, inputs: TextInputs, outputs: int, *, dim: int, depth: int, heads: int, hidden: int, dropout: float
    ):
        super().__init__()
        self.each_token = inputs.each_token
        self.vectors = Vectors(inputs, dim, dropout)
        self.rotary = Rotary(dim // heads)
        self.layers = nn.ModuleList(Layer(dim, heads, hidden, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, outputs)
        transformer_init(self)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64[B, T], int64[B, T] -> float32[B, K], or of each token float32[B, T, K]."""
        x_BTD = self.vectors(input_ids)
        # A very low score, not -inf: a row without any token gets numbers too.
        bias_B11T = (attention_mask == 0).to(x_BTD.dtype)[:, None, None] * torch.finfo(x_BTD.dtype).min
        turn = self.rotary(x_BTD)
        for layer in self.layers:
            x_BTD = layer(x_BTD, bias_B11T, turn)
        x_BTD = self.norm(x_BTD)
        return self.head(self.dropout(x_BTD if self.each_token else masked_mean(x_BTD, attention_mask)))


@architecture(
    "text_transformer",
    task=TAGGING,
    dynamic=("batch", "length"),
    source=SOURCE,
    notes={"tokenizer": "wordpiece"},
)
def text_transformer(
    inputs: TextInputs,
    outputs: int,
    *,
    dim: PositiveInt = 128,
    depth: PositiveInt = 2,
    heads: PositiveInt = 4,
    mlp_ratio: PositiveFloat = 4.0,
    dropout: Rate = 0.2,
) -> nn.Module:
    """Small Transformer encoder, trained from scratch: ids, mask int64[B, T] -> float32[B, outputs].

    Of each token float32[B, T, outputs]. Texts of any length; time and memory of attention grow with its square.

    dim: dimensions of a token, a multiple of twice the heads.
    depth: layers.
    heads: attention heads.
    mlp_ratio: hidden units of a layer's perceptron, in multiples of dim.
    dropout: share dropped in training of the token vectors' numbers, attention's output, hidden units and the mean.
    Source: Vaswani et al. 2017, encoder alone; pre-norm of Xiong et al. 2020; rotary positions of Su et al. 2021.
    Raises: SpecError where dim is no multiple of twice the heads.
    """
    even = 2 * heads
    if dim % even:
        hint = f"The nearest is dim: {max(1, round(dim / even)) * even}."
        raise SpecError(
            f"text_transformer cannot share {dim} dimensions in pairs among {heads} heads: dim must be a multiple of "
            f"{even}.",
            hint=hint,
        )
    hidden = max(1, round(dim * mlp_ratio))
    return TextTransformer(inputs, outputs, dim=dim, depth=depth, heads=heads, hidden=hidden, dropout=dropout)
