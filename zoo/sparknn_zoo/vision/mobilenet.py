"""MobileNetV2: inverted residuals with linear bottlenecks, for phones and other slow processors.

Source: Sandler et al. 2018, MobileNetV2, https://arxiv.org/abs/1801.04381, table 2

B batch, C channels, H height, W width, K classes.
"""

from pydantic import PositiveFloat
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import Rate, Stem, he_init, is_small

SOURCE = "Sandler et al. 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381"
IMAGENET = {"channels": 3, "height": 224, "width": 224, "outputs": 1000}
# The paper's table 2: expansion, channels, blocks, stride of the first block.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def to_eights(channels: float) -> int:
    """Round to the nearest multiple of 8, at least 8, and never down by more than a tenth (the authors' rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def conv_block(channels_in: int, channels_out: int, size: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU6."""
    conv = nn.Conv2d(channels_in, channels_out, size, stride=stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU6())


class InvertedResidual(nn.Module):
    """1x1 to `expansion` times the channels, 3x3 depthwise, 1x1 down without activation; plus x where shapes agree."""

    def __init__(self, channels_in: int, channels_out: int, *, expansion: int, stride: int):
        super().__init__()
        hidden = channels_in * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers.append(conv_block(channels_in, hidden, 1))
        layers += [
            conv_block(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        ]
        self.branch = nn.Sequential(*layers)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels_in, H, W] -> float32[B, channels_out, ceil(H / stride), ceil(W / stride)]."""
        h_BCHW = self.branch(x_BCHW)
        return x_BCHW + h_BCHW if self.residual else h_BCHW


class MobileNetV2(nn.Module):
    """A 3x3 stem, the 17 blocks of the paper's table 2, a 1x1 to the head's channels, a global average, dropout."""

    def __init__(self, channels: int, outputs: int, *, width: float, dropout: float, small: bool):
        super().__init__()
        channels_in = to_eights(32 * width)
        layers: list[nn.Module] = [conv_block(channels, channels_in, 3, stride=1 if small else 2)]
        for stage, (expansion, channels_paper, depth, stride) in enumerate(STAGES):
            channels_out = to_eights(channels_paper * width)
            for i in range(depth):
                # Small pictures are halved three times, not five: neither in the stem nor in the second stage.
                first = 1 if small and stage == 1 else stride
                step = first if i == 0 else 1
                layers.append(InvertedResidual(channels_in, channels_out, expansion=expansion, stride=step))
                channels_in = channels_out
        channels_head = to_eights(1280 * max(1.0, width))
        self.features = nn.Sequential(*layers, conv_block(channels_in, channels_head, 1))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels_head, outputs)
        he_init(self)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.dropout(self.features(x_BCHW).mean((2, 3))))


# The paper rounds to 3.4 million; 3,504,872 is the count of the published implementations.
@architecture(
    "mobilenet_v2", task="image-classification", source=SOURCE, notes={"parameters": 3_504_872, "at": IMAGENET}
)
def mobilenet_v2(
    inputs: ImageInputs, outputs: int, *, width: PositiveFloat = 1.0, stem: Stem = "auto", dropout: Rate = 0.2
) -> nn.Module:
    """MobileNetV2: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    width: multiplier on the channels, 0.35 to 1.4 in the paper.
    stem: imagenet (the picture halved five times), cifar (three times), or auto: cifar up to 64 pixels.
    dropout: share of features dropped in training before the last layer.
    Source: Sandler et al. 2018, table 2.
    """
    return MobileNetV2(inputs.channels, outputs, width=width, dropout=dropout, small=is_small(inputs, stem))
