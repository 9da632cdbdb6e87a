"""DenseNet-BC for small pictures: each layer sees the feature maps of all the layers before it in its block.

Source: Huang et al. 2017, Densely Connected Convolutional Networks, https://arxiv.org/abs/1608.06993, sec. 3 and 4.2

B batch, C channels, H height, W width, K classes.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import Rate, he_init, require_size

SOURCE = "Huang et al. 2017, Densely Connected Convolutional Networks, arXiv:1608.06993"
CIFAR10 = {"channels": 3, "height": 32, "width": 32, "outputs": 10}
BLOCKS = 3


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, 1x1 to 4 times `growth`, BatchNorm, ReLU, 3x3 to `growth`; appended to the input's channels."""

    def __init__(self, channels: int, growth: int, dropout: float):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels, H, W] -> float32[B, channels + growth, H, W]."""
        h_BCHW = self.dropout(self.conv1(F.relu(self.bn1(x_BCHW))))
        h_BCHW = self.dropout(self.conv2(F.relu(self.bn2(h_BCHW))))
        return torch.cat((x_BCHW, h_BCHW), 1)


def transition(channels_in: int, channels_out: int) -> nn.Sequential:
    """Return what joins two blocks: BatchNorm, ReLU, 1x1 convolution, 2x2 average pooling."""
    conv = nn.Conv2d(channels_in, channels_out, 1, bias=False)
    return nn.Sequential(nn.BatchNorm2d(channels_in), nn.ReLU(), conv, nn.AvgPool2d(2))


class DenseNetBC(nn.Module):
    """Three blocks of `layers` dense layers, joined by transitions that keep `compression` of the channels."""

    def __init__(self, channels: int, outputs: int, *, layers: int, growth: int, compression: float, dropout: float):
        super().__init__()
        wide = 2 * growth
        features: list[nn.Module] = [nn.Conv2d(channels, wide, 3, padding=1, bias=False)]
        for block in range(BLOCKS):
            for _ in range(layers):
                features.append(DenseLayer(wide, growth, dropout))
                wide += growth
            if block < BLOCKS - 1:
                kept = max(1, int(compression * wide))
                features.append(transition(wide, kept))
                wide = kept
        self.features = nn.Sequential(*features, nn.BatchNorm2d(wide), nn.ReLU())
        self.head = nn.Linear(wide, outputs)
        he_init(self)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.features(x_BCHW).mean((2, 3)))


# The paper's table 2 gives DenseNet-BC of 100 layers; of 40 layers it gives only the form without bottlenecks.
@architecture(
    "densenet-small",
    task="image-classification",
    source=SOURCE,
    notes={"parameters": 800_000, "at": {**CIFAR10, "depth": 100}},
)
def densenet_small(
    inputs: ImageInputs,
    outputs: int,
    *,
    depth: PositiveInt = 40,
    growth: PositiveInt = 12,
    compression: Annotated[float, Field(gt=0, le=1)] = 0.5,
    dropout: Rate = 0.0,
) -> nn.Module:
    """DenseNet-BC for small pictures: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of at least 4x4.

    depth: layers, 6n + 4.
    growth: channels that a layer adds.
    compression: share of the channels that is kept between two blocks.
    dropout: share dropped in training after each convolution; 0.2 in the paper where nothing is augmented.
    Source: Huang et al. 2017; depth 100 with growth 12 is in its table 2.
    Raises: SpecError where depth is not 6n + 4 or the pictures are smaller.
    """
    if depth < 10 or (depth - 4) % 6:
        near = max(10, round((depth - 4) / 6) * 6 + 4)
        raise SpecError(
            f"densenet-small cannot be {depth} layers deep: depth is 6n + 4.", hint=f"The nearest is depth: {near}."
        )
    require_size("densenet-small", inputs, 2 ** (BLOCKS - 1))
    layers = (depth - 4) // 6
    return DenseNetBC(inputs.channels, outputs, layers=layers, growth=growth, compression=compression, dropout=dropout)
