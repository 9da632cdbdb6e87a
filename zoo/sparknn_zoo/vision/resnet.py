"""ResNet of 18, 34 and 50 layers: the ImageNet form, with a stem for small pictures beside the original one.

Source: He et al. 2016, Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385
The bottleneck's stride is in its 3x3 convolution, and the last BatchNorm of a branch starts at 0 so that each block
starts as the identity: Goyal et al. 2017, Accurate, Large Minibatch SGD, sec. 5.1.

B batch, C channels, H height, W width, K classes.
"""

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import Stem, he_init, is_small

SOURCE = "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
IMAGENET = {"channels": 3, "height": 224, "width": 224, "outputs": 1000}


class Basic(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn2.weight)
        self.shortcut = projection(channels_in, channels, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels_in, H, W] -> float32[B, channels, ceil(H / stride), ceil(W / stride)]."""
        h_BCHW = F.relu(self.bn1(self.conv1(x_BCHW)))
        return F.relu(self.bn2(self.conv2(h_BCHW)) + self.shortcut(x_BCHW))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the last has 4 times the channels."""

    expansion = 4

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        nn.init.zeros_(self.bn3.weight)
        self.shortcut = projection(channels_in, 4 * channels, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels_in, H, W] -> float32[B, 4 * channels, ceil(H / stride), ceil(W / stride)]."""
        h_BCHW = F.relu(self.bn1(self.conv1(x_BCHW)))
        h_BCHW = F.relu(self.bn2(self.conv2(h_BCHW)))
        return F.relu(self.bn3(self.conv3(h_BCHW)) + self.shortcut(x_BCHW))


def projection(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """Return the shortcut: the identity, or a 1x1 convolution where the shape changes (option B of the paper)."""
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    conv = nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


def make_stem(channels: int, width: int, *, small: bool) -> nn.Module:
    """Return the first layers: one 3x3 convolution for small pictures, else 7x7 of stride 2 and a max-pool."""
    size, stride = (3, 1) if small else (7, 2)
    conv = nn.Conv2d(channels, width, size, stride=stride, padding=size // 2, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(width), nn.ReLU()]
    if not small:
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    return nn.Sequential(*layers)


class ResNet(nn.Module):
    """A stem, four stages of `depths` blocks with `width`, 2, 4 and 8 times `width` channels, a global average."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        block: type[Basic] | type[Bottleneck],
        depths: tuple[int, ...],
        width: int,
        small: bool,
    ):
        super().__init__()
        self.stem = make_stem(channels, width, small=small)
        blocks: list[nn.Module] = []
        channels_in = width
        for stage, depth in enumerate(depths):
            for i in range(depth):
                blocks.append(block(channels_in, width * 2**stage, stride=2 if stage and i == 0 else 1))
                channels_in = width * 2**stage * block.expansion
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels_in, outputs)
        he_init(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.blocks(self.stem(x_BCHW)).mean((2, 3)))


# The paper's tables give no counts; these are torchvision's, which the rest of the field quotes.
@architecture("resnet18", task="image-classification", source=SOURCE, notes={"parameters": 11_689_512, "at": IMAGENET})
def resnet18(inputs: ImageInputs, outputs: int, *, width: PositiveInt = 64, stem: Stem = "auto") -> nn.Module:
    """ResNet of 18 layers: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    width: channels of the first stage; the others have 2, 4 and 8 times as many.
    stem: imagenet (7x7 of stride 2 and a max-pool), cifar (one 3x3 of stride 1), or auto: cifar up to 64 pixels.
    Source: He et al. 2016, table 1.
    """
    small = is_small(inputs, stem)
    return ResNet(inputs.channels, outputs, block=Basic, depths=(2, 2, 2, 2), width=width, small=small)


@architecture("resnet34", task="image-classification", source=SOURCE, notes={"parameters": 21_797_672, "at": IMAGENET})
def resnet34(inputs: ImageInputs, outputs: int, *, width: PositiveInt = 64, stem: Stem = "auto") -> nn.Module:
    """ResNet of 34 layers: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    width: channels of the first stage; the others have 2, 4 and 8 times as many.
    stem: imagenet (7x7 of stride 2 and a max-pool), cifar (one 3x3 of stride 1), or auto: cifar up to 64 pixels.
    Source: He et al. 2016, table 1.
    """
    small = is_small(inputs, stem)
    return ResNet(inputs.channels, outputs, block=Basic, depths=(3, 4, 6, 3), width=width, small=small)


@architecture("resnet50", task="image-classification", source=SOURCE, notes={"parameters": 25_557_032, "at": IMAGENET})
def resnet50(inputs: ImageInputs, outputs: int, *, width: PositiveInt = 64, stem: Stem = "auto") -> nn.Module:
    """ResNet of 50 layers, with bottlenecks: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    width: channels of the first stage's 3x3 convolutions; its blocks end with 4 times as many.
    stem: imagenet (7x7 of stride 2 and a max-pool), cifar (one 3x3 of stride 1), or auto: cifar up to 64 pixels.
    Source: He et al. 2016, table 1.
    """
    small = is_small(inputs, stem)
    return ResNet(inputs.channels, outputs, block=Bottleneck, depths=(3, 4, 6, 3), width=width, small=small)
