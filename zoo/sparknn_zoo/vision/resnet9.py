"""ResNet-9: the fast CIFAR-10 network of the DAWNBench entries.

Source: David Page 2018, How to Train Your ResNet, https://github.com/davidcpage/cifar10-fast (MIT)

B batch, C channels, H height, W width, K classes.
"""

import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import he_init, require_size

POOLS = 3  # each halves the picture


class ConvBlock(nn.Module):
    """3x3 convolution, BatchNorm, ReLU, and a 2x2 max-pool where asked."""

    def __init__(self, channels_in: int, channels_out: int, *, pool: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)
        self.pool = pool

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels_in, H, W] -> float32[B, channels_out, H, W], or half that size."""
        x_BCHW = F.relu(self.bn(self.conv(x_BCHW)))
        return F.max_pool2d(x_BCHW, 2) if self.pool else x_BCHW


class Residual(nn.Module):
    """x plus two convolution blocks of x; there is no ReLU after the sum."""

    def __init__(self, channels: int):
        super().__init__()
        self.branch = nn.Sequential(ConvBlock(channels, channels), ConvBlock(channels, channels))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels, H, W] -> the same."""
        return x_BCHW + self.branch(x_BCHW)


class ResNet9(nn.Module):
    """Four stages, the second and the fourth with a residual, then a global maximum and a scaled linear layer."""

    def __init__(self, channels: int, outputs: int, *, width: int, scale: float):
        super().__init__()
        self.scale = scale
        self.features = nn.Sequential(
            ConvBlock(channels, width),
            ConvBlock(width, 2 * width, pool=True),
            Residual(2 * width),
            ConvBlock(2 * width, 4 * width, pool=True),
            ConvBlock(4 * width, 8 * width, pool=True),
            Residual(8 * width),
        )
        self.head = nn.Linear(8 * width, outputs, bias=False)
        he_init(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.features(x_BCHW).amax((2, 3))) * self.scale


@architecture("resnet9", task="image-classification", source="Page 2018, How to Train Your ResNet, cifar10-fast")
def resnet9(inputs: ImageInputs, outputs: int, *, width: PositiveInt = 64, scale: PositiveFloat = 0.125) -> nn.Module:
    """ResNet of 9 layers that trains in few epochs: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of at least 8x8.

    width: channels of the first stage; the others have 2, 4 and 8 times as many.
    scale: factor on the logits, which keeps the loss from saturating at high learning rates.
    Source: Page 2018, How to Train Your ResNet (the network of the DAWNBench entry).
    Raises: SpecError where the pictures are smaller.
    """
    require_size("resnet9", inputs, 2**POOLS)
    return ResNet9(inputs.channels, outputs, width=width, scale=scale)
