"""Wide and deep: a linear model that remembers combinations of categories beside a perceptron that generalizes.

Source: Cheng et al. 2016, Wide & Deep Learning for Recommender Systems, https://arxiv.org/abs/1606.07792

B batch, F numeric columns, G categorical columns, P pairs of them, K outputs.
"""

from itertools import combinations

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from sparknn_magic.features import Features
from sparknn_magic.plugin import VectorInputs, architecture
from sparknn_zoo.vector.common import CLASSIFICATION, REGRESSION, Rate, perceptron

SOURCE = "Cheng et al. 2016, Wide & Deep Learning for Recommender Systems, arXiv:1606.07792"


class Wide(nn.Module):
    """A linear model of the numbers, of each category and of pairs of categories; all its weights start at 0.

    A weight for every value is a row of a table, looked up: the same as a one-hot vector times a matrix.
    """

    first: Tensor
    second: Tensor
    stride: Tensor
    offset: Tensor

    def __init__(self, inputs: VectorInputs, outputs: int, *, crosses: int):
        super().__init__()
        codes = inputs.categories
        self.numbers, self.categories = inputs.numbers, len(codes)
        self.bias = nn.Parameter(torch.zeros(outputs))
        if inputs.numbers:
            self.linear = nn.Linear(inputs.numbers, outputs, bias=False)
            nn.init.zeros_(self.linear.weight)
        pairs = [(i, j) for i, j in combinations(range(len(codes)), 2) if codes[i] * codes[j] <= crosses]
        sizes = [*codes, *(codes[i] * codes[j] for i, j in pairs)]
        offsets = torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)[:-1]
        self.register_buffer("first", torch.tensor([i for i, _ in pairs], dtype=torch.int64), persistent=False)
        self.register_buffer("second", torch.tensor([j for _, j in pairs], dtype=torch.int64), persistent=False)
        strides = torch.tensor([codes[j] for _, j in pairs], dtype=torch.int64)
        self.register_buffer("stride", strides, persistent=False)
        self.register_buffer("offset", offsets, persistent=False)
        if sizes:
            self.table = nn.Embedding(sum(sizes), outputs)
            nn.init.zeros_(self.table.weight)

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> Tensor:
        """float32[B, F], int64[B, G] -> float32[B, K]."""
        y_BK = self.bias
        if self.numbers:
            y_BK = y_BK + self.linear(numbers_BF)
        if self.categories:
            pairs_BP = codes_BG[:, self.first] * self.stride + codes_BG[:, self.second]
            y_BK = y_BK + self.table(torch.cat((codes_BG, pairs_BP), dim=1) + self.offset).sum(1)
        return y_BK


class WideAndDeep(nn.Module):
    """The sum of the wide model and of a perceptron on the same columns, trained together."""

    def __init__(self, inputs: VectorInputs, outputs: int, *, hidden: tuple[int, ...], crosses: int, dropout: float):
        super().__init__()
        self.wide = Wide(inputs, outputs, crosses=crosses)
        self.features = Features(inputs)
        self.deep, self.head = perceptron(self.features.width, hidden, outputs, dropout)

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> Tensor:
        """float32[B, F], int64[B, G] -> float32[B, K]."""
        return self.wide(numbers_BF, codes_BG) + self.head(self.deep(self.features(numbers_BF, codes_BG)))


@architecture("wide_and_deep", task=(CLASSIFICATION, REGRESSION), source=SOURCE)
def wide_and_deep(
    inputs: VectorInputs,
    outputs: int,
    *,
    hidden: tuple[PositiveInt, ...] = (256, 128, 64),
    crosses: NonNegativeInt = 1000,
    dropout: Rate = 0.0,
) -> nn.Module:
    """Linear model of crosses beside a perceptron: numbers float32[B, F], codes int64[B, G] -> float32[B, outputs].

    hidden: units of each hidden layer of the deep part; the paper has [1024, 512, 256].
    crosses: two categorical columns are crossed where they have at most this many combinations; 0: none are.
    dropout: share of hidden units dropped in training.
    Source: Cheng et al. 2016. The paper chooses its crosses by hand, and trains the wide part by FTRL with L1 and the
    deep one by AdaGrad; here one optimizer trains both.
    """
    return WideAndDeep(inputs, outputs, hidden=hidden, crosses=crosses, dropout=dropout)
