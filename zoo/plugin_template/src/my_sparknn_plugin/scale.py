"""A learnt factor for every channel. B batch, C channels."""

import torch
from torch import Tensor, nn

from sparknn_magic.plugin import layer


class Scale(nn.Module):
    """Multiplies the channels of a row: (channels, height, width), (steps, features) or (features,)."""

    def __init__(self, shape: tuple[int, ...], start: float):
        super().__init__()
        channels = shape[0] if len(shape) == 3 else shape[-1]
        self.factor = nn.Parameter(torch.full((channels, 1, 1) if len(shape) == 3 else (channels,), start))

    def forward(self, x: Tensor) -> Tensor:
        """A batch of rows -> the same shape."""
        return x * self.factor


@layer(
    "my_sparknn_plugin_scale",
    main="start",
    source="Touvron et al. 2021, Going Deeper with Image Transformers, sec. 2, arXiv:2103.17239",
    licence="Apache-2.0",
)
def scale(shape: tuple[int, ...], *, start: float = 1.0) -> nn.Module:
    """A learnt factor on each channel: [channels, height, width], [steps, features] or [features] -> the same shape.

    start: the factors before training.
    """
    return Scale(shape, start)
