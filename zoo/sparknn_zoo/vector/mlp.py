"""Multi-layer perceptron, for pictures and for columns: the baseline that every other architecture should beat.

Source: Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors, Nature 323.

B batch, C channels, H height, W width, F numeric columns, G categorical columns, K outputs.
"""

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from sparknn_magic.features import Features
from sparknn_magic.plugin import ImageInputs, VectorInputs, architecture
from sparknn_zoo.vector.common import CLASSIFICATION, REGRESSION, Rate, perceptron


class PictureMLP(nn.Module):
    """A perceptron on the pixels of a picture, one after the other."""

    def __init__(self, inputs: ImageInputs, outputs: int, *, width: int, depth: int, dropout: float):
        super().__init__()
        features = inputs.channels * inputs.height * inputs.width
        self.hidden, self.head = perceptron(features, [width] * depth, outputs, dropout)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.hidden(x_BCHW.flatten(1)))


class VectorMLP(nn.Module):
    """A perceptron on the columns of a row."""

    def __init__(self, inputs: VectorInputs, outputs: int, *, width: int, depth: int, dropout: float):
        super().__init__()
        self.features = Features(inputs)
        self.hidden, self.head = perceptron(self.features.width, [width] * depth, outputs, dropout)

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> Tensor:
        """float32[B, F], int64[B, G] -> float32[B, K]."""
        return self.head(self.hidden(self.features(numbers_BF, codes_BG)))


@architecture(
    "mlp",
    task=("image-classification", CLASSIFICATION, REGRESSION),
    source="Rumelhart et al. 1986, Nature 323:533-536",
)
def mlp(
    inputs: ImageInputs | VectorInputs,
    outputs: int,
    *,
    width: PositiveInt = 256,
    depth: NonNegativeInt = 2,
    dropout: Rate = 0.0,
) -> nn.Module:
    """Multi-layer perceptron on a flattened picture or on columns: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size. Of columns: numbers float32[B, F], codes int64[B, G] -> float32[B, outputs].

    width: units of a hidden layer.
    depth: hidden layers; 0 is a linear model.
    dropout: share of hidden units dropped in training.
    Source: Rumelhart et al. 1986; weights as He et al. 2015 draw them for ReLU.
    """
    if isinstance(inputs, VectorInputs):
        return VectorMLP(inputs, outputs, width=width, depth=depth, dropout=dropout)
    return PictureMLP(inputs, outputs, width=width, depth=depth, dropout=dropout)
