"""ResNet for tabular data: a perceptron with shortcuts.

Source: Gorishniy, Rubachev, Khrulkov and Babenko 2021, Revisiting Deep Learning Models for Tabular Data, sec. 3.2,
https://arxiv.org/abs/2106.11959

B batch, F numeric columns, G categorical columns, D width of a block, K outputs.
"""

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparknn_magic.features import Features
from sparknn_magic.plugin import VectorInputs, architecture
from sparknn_zoo.vector.common import CLASSIFICATION, GORISHNIY, REGRESSION, Rate

# A row of 50 numbers and 2 classes; counted from the layers of the paper's equations.
NOTES = {"parameters": 307_394, "at": {"numbers": 50, "outputs": 2}}


class Block(nn.Module):
    """x + Dropout(Linear(Dropout(ReLU(Linear(BatchNorm(x))))))."""

    def __init__(self, width: int, hidden: int, dropout: float, residual_dropout: float):
        super().__init__()
        self.branch = nn.Sequential(
            nn.BatchNorm1d(width),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, width),
            nn.Dropout(residual_dropout),
        )

    def forward(self, x_BD: Tensor) -> Tensor:
        """float32[B, D] -> the same."""
        return x_BD + self.branch(x_BD)


class ResNetMLP(nn.Module):
    """A linear layer, `depth` blocks, then BatchNorm, ReLU and the head."""

    def __init__(
        self,
        inputs: VectorInputs,
        outputs: int,
        *,
        width: int,
        depth: int,
        hidden: int,
        dropout: float,
        residual_dropout: float,
    ):
        super().__init__()
        self.features = Features(inputs)
        self.first = nn.Linear(self.features.width, width)
        self.blocks = nn.Sequential(*(Block(width, hidden, dropout, residual_dropout) for _ in range(depth)))
        self.last = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU())
        self.head = nn.Linear(width, outputs)

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> Tensor:
        """float32[B, F], int64[B, G] -> float32[B, K]."""
        return self.head(self.last(self.blocks(self.first(self.features(numbers_BF, codes_BG)))))


@architecture("resnet_mlp", task=(CLASSIFICATION, REGRESSION), source=GORISHNIY + ", sec. 3.2", notes=NOTES)
def resnet_mlp(
    inputs: VectorInputs,
    outputs: int,
    *,
    width: PositiveInt = 192,
    depth: PositiveInt = 2,
    hidden_ratio: PositiveFloat = 2.0,
    dropout: Rate = 0.3,
    residual_dropout: Rate = 0.0,
) -> nn.Module:
    """Residual network of linear layers: numbers float32[B, F], codes int64[B, G] -> float32[B, outputs].

    width: units of a block's input and output.
    depth: blocks.
    hidden_ratio: hidden units of a block, in multiples of width.
    dropout: share of a block's hidden units dropped in training.
    residual_dropout: share of a block's outputs dropped in training.
    Source: Gorishniy et al. 2021, sec. 3.2; sizes of the example in the authors' package.
    """
    return ResNetMLP(
        inputs,
        outputs,
        width=width,
        depth=depth,
        hidden=max(1, int(width * hidden_ratio)),
        dropout=dropout,
        residual_dropout=residual_dropout,
    )
