"""The small residual network that the detectors have as their backbone, as a classifier.

Trained on pictures of one thing each, it is what `pretrained` of `centernet` and `fcos` starts from.

B batch, C channels, H height, W width, K classes.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import he_init

DEPTHS, FACTORS = (1, 3, 3, 1), (2.0, 4.0, 6.0, 8.0)  # of the stages, at strides 4, 8, 16 and 32


def conv_block(channels_in: int, channels_out: int, size: int = 3, *, stride: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU."""
    conv = nn.Conv2d(channels_in, channels_out, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU())


class Residual(nn.Module):
    """1x1 to half the channels, 3x3 back; plus x. Source: Redmon and Farhadi 2018, YOLOv3, table 1 (Darknet-53)."""

    def __init__(self, channels: int):
        super().__init__()
        self.branch = nn.Sequential(conv_block(channels, channels // 2, 1), conv_block(channels // 2, channels))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels, H, W] -> the same."""
        return x_BCHW + self.branch(x_BCHW)


def stages(channels: int, width: int) -> list[nn.Module]:
    """Return a stem of stride 2, then four stages that each halve the map, module by module."""
    chain: list[nn.Module] = [conv_block(channels, width, stride=2)]
    before = width
    for depth, factor in zip(DEPTHS, FACTORS, strict=True):
        wide = int(width * factor)
        chain.append(conv_block(before, wide, stride=2))
        chain += [Residual(wide) for _ in range(depth)]
        before = wide
    return chain


class Compact(nn.Module):
    """The stages, a global average and a linear layer."""

    def __init__(self, channels: int, outputs: int, *, width: int):
        super().__init__()
        self.features = nn.Sequential(*stages(channels, width))
        self.head = nn.Linear(int(width * FACTORS[-1]), outputs)
        he_init(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.features(x_BCHW).mean((2, 3)))


@architecture(
    "compact",
    task="image-classification",
    source="the residual blocks of Redmon and Farhadi 2018, YOLOv3, table 1, arXiv:1804.02767",
)
def compact(inputs: ImageInputs, outputs: int, *, width: Annotated[int, Field(ge=8, multiple_of=2)] = 24) -> nn.Module:
    """The backbone of `centernet` and `fcos` as a classifier: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size; it halves them five times, so those under 48 pixels are better made larger.

    width: channels of the stem; the stages have 2, 4, 6 and 8 times as many.
    Source: Redmon and Farhadi 2018, table 1 (Darknet-53), with fewer blocks and channels.
    """
    return Compact(inputs.channels, outputs, width=width)
