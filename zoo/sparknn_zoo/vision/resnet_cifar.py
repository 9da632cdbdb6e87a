"""ResNet for small pictures: the CIFAR form, 6n + 2 layers deep, with shortcuts that have no parameters.

Source: He et al. 2016, Deep Residual Learning for Image Recognition, sec. 4.2, https://arxiv.org/abs/1512.03385

B batch, C channels, H height, W width, K classes.
"""

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import he_init

SOURCE = "He et al. 2016, Deep Residual Learning for Image Recognition, sec. 4.2, arXiv:1512.03385"
CIFAR10 = {"channels": 3, "height": 32, "width": 32, "outputs": 10}


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; where the shape changes, the shortcut subsamples and pads with zeros."""

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.stride = stride
        self.new_channels = channels_out - channels_in
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels_in, H, W] -> float32[B, channels_out, ceil(H / stride), ceil(W / stride)]."""
        shortcut = x_BCHW
        if self.stride > 1:
            shortcut = shortcut[:, :, :: self.stride, :: self.stride]
        if self.new_channels:  # option A of the paper: half of the new channels on each side
            before = self.new_channels // 2
            shortcut = F.pad(shortcut, (0, 0, 0, 0, before, self.new_channels - before))
        h_BCHW = F.relu(self.bn1(self.conv1(x_BCHW)))
        return F.relu(self.bn2(self.conv2(h_BCHW)) + shortcut)


class CifarResNet(nn.Module):
    """Three stages of `blocks` residual blocks, `width`, 2 and 4 times `width` channels, then a global average."""

    def __init__(self, channels: int, outputs: int, *, blocks: int, width: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        channels_in = width
        for channels_out in (width, 2 * width, 4 * width):
            for _ in range(blocks):
                layers.append(Block(channels_in, channels_out, stride=1 if channels_in == channels_out else 2))
                channels_in = channels_out
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Linear(channels_in, outputs)
        he_init(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        x_BCHW = self.blocks(F.relu(self.bn(self.conv(x_BCHW))))
        return self.head(x_BCHW.mean((2, 3)))


@architecture("resnet8", task="image-classification", source=SOURCE)
def resnet8(inputs: ImageInputs, outputs: int, *, width: PositiveInt = 16) -> nn.Module:
    """ResNet of 8 layers for small pictures (n = 1): float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    width: channels of the first stage; the others have 2 and 4 times as many.
    Source: He et al. 2016, sec. 4.2, one size smaller than the paper's smallest.
    """
    return CifarResNet(inputs.channels, outputs, blocks=1, width=width)


@architecture("resnet20", task="image-classification", source=SOURCE, notes={"parameters": 270_000, "at": CIFAR10})
def resnet20(inputs: ImageInputs, outputs: int, *, width: PositiveInt = 16) -> nn.Module:
    """ResNet of 20 layers for small pictures (n = 3): float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    width: channels of the first stage; the others have 2 and 4 times as many.
    Source: He et al. 2016, sec. 4.2 and table 6.
    """
    return CifarResNet(inputs.channels, outputs, blocks=3, width=width)


@architecture("resnet56", task="image-classification", source=SOURCE, notes={"parameters": 850_000, "at": CIFAR10})
def resnet56(inputs: ImageInputs, outputs: int, *, width: PositiveInt = 16) -> nn.Module:
    """ResNet of 56 layers for small pictures (n = 9): float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    width: channels of the first stage; the others have 2 and 4 times as many.
    Source: He et al. 2016, sec. 4.2 and table 6.
    """
    return CifarResNet(inputs.channels, outputs, blocks=9, width=width)
