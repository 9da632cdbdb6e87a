"""Small networks without normalization or chance, and the plain PyTorch loop that a job is compared with."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, Part

HERE = "tests.training.networks"


def two(inputs: ImageInputs, outputs: int) -> nn.Module:
    """Two layers with names."""
    pixels = inputs.channels * inputs.height * inputs.width
    network = nn.Sequential()
    network.add_module("flat", nn.Flatten())
    network.add_module("stem", nn.Linear(pixels, 8))
    network.add_module("act", nn.Tanh())
    network.add_module("head", nn.Linear(8, outputs))
    return network


def normed(inputs: ImageInputs, outputs: int) -> nn.Module:
    """A layer with running statistics."""
    network = nn.Sequential()
    network.add_module("norm", nn.BatchNorm2d(inputs.channels))
    network.add_module("flat", nn.Flatten())
    network.add_module("head", nn.Linear(inputs.channels * inputs.height * inputs.width, outputs))
    return network


TWO, NORMED = Part(f"{HERE}:two", {}), Part(f"{HERE}:normed", {})


def tensors(batch: pa.RecordBatch) -> tuple[Tensor, Tensor]:
    """Return the pictures as the network's body gets them, and the classes."""
    images = np.stack([np.frombuffer(b, np.uint8).reshape(12, 12, 1) for b in batch.column("image").to_pylist()])
    x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.3
    return x, torch.from_numpy(batch.column("label").to_numpy().astype(np.int64))


def plain_loop(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: pa.RecordBatch,
    steps: int,
    after: Callable[[int], None] = lambda step: None,
) -> None:
    """Take steps on the mean cross-entropy of all rows."""
    x, y = tensors(batch)
    for step in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
        after(step)


def mean_loss(network: nn.Module, batch: pa.RecordBatch) -> float:
    """Return the mean cross-entropy of the rows."""
    x, y = tensors(batch)
    with torch.no_grad():
        return float(nn.functional.cross_entropy(network(x), y))


class Tower(nn.Module):
    """Something like an encoder: embeddings, three numbered blocks, a norm, a head."""

    def __init__(self, pixels: int, outputs: int):
        super().__init__()
        self.embeddings = nn.Linear(pixels, 8)
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, outputs)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> float32[B, K]."""
        x = self.embeddings(x_BCHW.flatten(1))
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return self.head(self.norm(x))


def tower(inputs: ImageInputs, outputs: int) -> nn.Module:
    """A network of numbered blocks."""
    return Tower(inputs.channels * inputs.height * inputs.width, outputs)


TOWER = Part(f"{HERE}:tower", {})
