"""Multi-layer perceptron on the flattened picture: the baseline that every other architecture should beat.

Source: Rumelhart, Hinton and Williams 1986, Learning representations by back-propagating errors, Nature 323.

B batch, C channels, H height, W width, D units of a hidden layer, K classes.
"""

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import Rate


class MLP(nn.Module):
    """`depth` hidden layers of `width` ReLU units with dropout after each, then a linear layer."""

    def __init__(self, features: int, outputs: int, *, width: int, depth: int, dropout: float):
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(features, width), nn.ReLU(), nn.Dropout(dropout)]
            features = width
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(features, outputs)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.hidden(x_BCHW.flatten(1)))


@architecture("mlp", task="image-classification", source="Rumelhart et al. 1986, Nature 323:533-536")
def mlp(
    inputs: ImageInputs, outputs: int, *, width: PositiveInt = 256, depth: NonNegativeInt = 2, dropout: Rate = 0.0
) -> nn.Module:
    """Multi-layer perceptron on the flattened picture: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    width: units of a hidden layer.
    depth: hidden layers; 0 is a linear classifier.
    dropout: share of hidden units dropped in training.
    Source: Rumelhart et al. 1986; weights as He et al. 2015 draw them for ReLU.
    """
    features = inputs.channels * inputs.height * inputs.width
    return MLP(features, outputs, width=width, depth=depth, dropout=dropout)
