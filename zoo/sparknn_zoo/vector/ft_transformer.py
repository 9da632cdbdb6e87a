"""FT-Transformer: every column is a token, and a Transformer looks at them all.

Source: Gorishniy, Rubachev, Khrulkov and Babenko 2021, Revisiting Deep Learning Models for Tabular Data, sec. 3.3,
https://arxiv.org/abs/2106.11959

B batch, F numeric columns, G categorical columns, T tokens, N heads, E dimensions of a head, D dimensions of a token,
K outputs.
"""

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import VectorInputs, architecture
from sparknn_zoo.vector.common import CLASSIFICATION, GORISHNIY, REGRESSION, Rate

# The default size on California Housing: 8 numbers. Counted from the layers of the paper's equations.
NOTES = {"parameters": 894_913, "at": {"numbers": 8, "outputs": 1}}


class Tokenizer(nn.Module):
    """A token for each column, after the class token: x w + b of a number, a learnt vector + b of a category."""

    offsets: Tensor

    def __init__(self, inputs: VectorInputs, dim: int):
        super().__init__()
        bound = dim**-0.5
        codes = list(inputs.categories)
        columns = inputs.numbers + len(codes)
        self.numbers, self.categories = inputs.numbers, len(codes)
        self.class_token = nn.Parameter(torch.empty(dim).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(columns, dim).uniform_(-bound, bound))
        if self.numbers:
            self.weight = nn.Parameter(torch.empty(inputs.numbers, dim).uniform_(-bound, bound))
        if codes:
            starts = torch.tensor([0, *codes[:-1]]).cumsum(0)
            self.register_buffer("offsets", starts, persistent=False)
            self.table = nn.Embedding(sum(codes), dim)
            nn.init.uniform_(self.table.weight, -bound, bound)
            with torch.no_grad():
                self.table.weight[starts] = 0  # code 0, which the training rows did not have: nothing is known of it

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> Tensor:
        """float32[B, F], int64[B, G] -> float32[B, T, D], T = 1 + F + G."""
        parts = []
        if self.numbers:
            parts.append(numbers_BF.unsqueeze(2) * self.weight)
        if self.categories:
            parts.append(self.table(codes_BG + self.offsets))
        columns_BTD = (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)) + self.bias
        return torch.cat((self.class_token.expand(columns_BTD.shape[0], 1, -1), columns_BTD), dim=1)


class Attention(nn.Module):
    """Multi-head attention of some tokens to all; biases start at 0."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.zeros_(layer.bias)

    def forward(self, asking_BQD: Tensor, x_BTD: Tensor) -> Tensor:
        """float32[B, Q, D], float32[B, T, D] -> float32[B, Q, D]."""
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, N, Q or T, E]
            for layer, x in ((self.query, asking_BQD), (self.key, x_BTD), (self.value, x_BTD))
        )
        h_BNQE = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.out(h_BNQE.transpose(1, 2).flatten(2))


class ReGLU(nn.Module):
    """The first half of the features times the ReLU of the second. Source: Shazeer 2020, GLU Variants."""

    def forward(self, x: Tensor) -> Tensor:
        """float32[..., 2n] -> float32[..., n]."""
        a, b = x.chunk(2, dim=-1)
        return a * F.relu(b)


class Layer(nn.Module):
    """Attention and a perceptron, each behind a LayerNorm and beside a shortcut; the first layer's has no LayerNorm.

    The last layer computes the class token alone: no other is looked at.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        *,
        first: bool,
        last: bool,
        attention_dropout: float,
        dropout: float,
        residual_dropout: float,
    ):
        super().__init__()
        self.last = last
        self.norm1 = nn.Identity() if first else nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, attention_dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * hidden), ReGLU(), nn.Dropout(dropout), nn.Linear(hidden, dim))
        self.drop = nn.Dropout(residual_dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """float32[B, T, D] -> the same, of the last layer float32[B, 1, D]."""
        h_BTD = self.norm1(x_BTD)
        if self.last:
            x_BTD = x_BTD[:, :1]
        x_BTD = x_BTD + self.drop(self.attention(h_BTD[:, :1] if self.last else h_BTD, h_BTD))
        return x_BTD + self.drop(self.mlp(self.norm2(x_BTD)))


class FTTransformer(nn.Module):
    """Tokens, `depth` layers, then LayerNorm and ReLU of the class token, and the head."""

    def __init__(
        self, inputs: VectorInputs, outputs: int, *, dim: int, depth: int, heads: int, hidden: int, **rates: float
    ):
        super().__init__()
        self.tokens = Tokenizer(inputs, dim)
        self.layers = nn.Sequential(
            *(Layer(dim, heads, hidden, first=i == 0, last=i == depth - 1, **rates) for i in range(depth))
        )
        self.last = nn.Sequential(nn.LayerNorm(dim), nn.ReLU())
        self.head = nn.Linear(dim, outputs)

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> Tensor:
        """float32[B, F], int64[B, G] -> float32[B, K]."""
        return self.head(self.last(self.layers(self.tokens(numbers_BF, codes_BG))[:, 0]))


@architecture("ft_transformer", task=(CLASSIFICATION, REGRESSION), source=GORISHNIY + ", sec. 3.3", notes=NOTES)
def ft_transformer(
    inputs: VectorInputs,
    outputs: int,
    *,
    dim: PositiveInt = 192,
    depth: PositiveInt = 3,
    heads: PositiveInt = 8,
    hidden_ratio: PositiveFloat = 4 / 3,
    attention_dropout: Rate = 0.2,
    dropout: Rate = 0.1,
    residual_dropout: Rate = 0.0,
) -> nn.Module:
    """Feature Tokenizer and Transformer: numbers float32[B, F], codes int64[B, G] -> float32[B, outputs].

    Every category is embedded here, those too that the experiment wants one-hot. Time and memory grow with the
    square of the number of columns.

    dim: dimensions of a token, a multiple of the heads.
    depth: layers.
    heads: attention heads.
    hidden_ratio: hidden units of a layer's perceptron, in multiples of dim.
    attention_dropout: share of attention's weights dropped in training.
    dropout: share of a perceptron's hidden units dropped in training.
    residual_dropout: share of each branch's outputs dropped in training.
    Source: Gorishniy et al. 2021, sec. 3.3; the default configuration of its appendix E.
    Raises: SpecError where dim is no multiple of heads.
    """
    if dim % heads:
        hint = f"The nearest is dim: {max(1, round(dim / heads)) * heads}."
        raise SpecError(
            f"ft_transformer cannot share {dim} dimensions among {heads} heads: dim must be a multiple.", hint=hint
        )
    return FTTransformer(
        inputs,
        outputs,
        dim=dim,
        depth=depth,
        heads=heads,
        hidden=max(1, int(dim * hidden_ratio)),
        attention_dropout=attention_dropout,
        dropout=dropout,
        residual_dropout=residual_dropout,
    )
