"""What tells attention where a step stands. B batch, T steps, D features."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Shape, sequence


class Positions(nn.Module):
    """Adds a vector to each step: learnt, or sines and cosines of the step's number."""

    positions: Tensor

    def __init__(self, steps: int, features: int, kind: str):
        super().__init__()
        if kind == "learned":
            self.positions = nn.Parameter(torch.empty(steps, features))
            nn.init.trunc_normal_(self.positions, std=0.02)
        else:
            self.register_buffer("positions", sinusoids(steps, features), persistent=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """float32[B, T, D] -> the same."""
        return x_BTD + self.positions


def sinusoids(steps: int, features: int) -> Tensor:
    """Return sin(t / 10000^(2i / D)) at feature 2i and its cosine at 2i + 1: float32[T, D]. Source: sec. 3.5."""
    angles = torch.arange(steps)[:, None] * torch.exp(torch.arange(0, features, 2) * (-math.log(10_000.0) / features))
    return torch.stack((angles.sin(), angles.cos()), 2).flatten(1)[:, :features]


@layer("positional_embedding", main="kind", source="Vaswani et al. 2017, arXiv:1706.03762, sec. 3.5")
def positional_embedding(shape: Shape, *, kind: Literal["learned", "sinusoidal"] = "learned") -> nn.Module:
    """Adds to each step a vector that says which one it is: [steps, features] -> the same shape.

    kind: learned with the network, or fixed sines and cosines.
    """
    return Positions(*sequence(shape), kind)
