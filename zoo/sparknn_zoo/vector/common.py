"""What several architectures for vectors share."""

from collections.abc import Sequence

from torch import nn

from sparknn_zoo.vision.common import Rate

__all__ = ["CLASSIFICATION", "GORISHNIY", "REGRESSION", "Rate", "perceptron"]

CLASSIFICATION, REGRESSION = "vector-classification", "vector-regression"
GORISHNIY = "Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data, arXiv:2106.11959"


def perceptron(features: int, hidden: Sequence[int], outputs: int, dropout: float) -> tuple[nn.Sequential, nn.Linear]:
    """Return hidden layers of so many ReLU units, each with dropout after it, and the linear layer that ends them.

    Weights are drawn from a normal of variance 2 / inputs, biases are 0 (He et al. 2015, sec. 2.2, the forward form).
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [_linear(features, width), nn.ReLU(), nn.Dropout(dropout)]
        features = width
    return nn.Sequential(*layers), _linear(features, outputs)


def _linear(features: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(features, outputs)
    nn.init.kaiming_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
