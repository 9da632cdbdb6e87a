"""A small VGG: stages of 3x3 convolutions and a max-pool, with BatchNorm and one linear layer.

Source: Simonyan and Zisserman 2015, Very Deep Convolutional Networks, https://arxiv.org/abs/1409.1556
Smaller than the paper's: three stages in place of five, BatchNorm, and a global average in place of the two hidden
layers of 4,096 units, so that it takes pictures of any size.

B batch, C channels, H height, W width, K classes.
"""

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import Rate, he_init, require_size


def conv_block(channels_in: int, channels_out: int) -> list[nn.Module]:
    """3x3 convolution, BatchNorm, ReLU."""
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(channels_out), nn.ReLU()]


class VGG(nn.Module):
    """`stages` stages of `depth` convolutions and a 2x2 max-pool; channels double each stage, up to 8 times `width`."""

    def __init__(self, channels: int, outputs: int, *, width: int, stages: int, depth: int, dropout: float):
        super().__init__()
        layers: list[nn.Module] = []
        for stage in range(stages):
            wide = width * min(2**stage, 8)
            for _ in range(depth):
                layers += conv_block(channels, wide)
                channels = wide
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, outputs)
        he_init(self)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.dropout(self.features(x_BCHW).mean((2, 3))))


@architecture("vgg-small", task="image-classification", source="Simonyan and Zisserman 2015, arXiv:1409.1556")
def vgg_small(
    inputs: ImageInputs,
    outputs: int,
    *,
    width: PositiveInt = 64,
    stages: Annotated[int, Field(ge=1, le=8)] = 3,
    depth: PositiveInt = 2,
    dropout: Rate = 0.0,
) -> nn.Module:
    """Small VGG with BatchNorm: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of at least 8x8; of `2**stages` pixels a side where there are more or fewer stages than 3.

    width: channels of the first stage; each stage has twice as many, up to 8 times.
    stages: groups of convolutions, each of which halves the picture.
    depth: convolutions a stage.
    dropout: share of features dropped in training before the last layer.
    Source: Simonyan and Zisserman 2015; BatchNorm of Ioffe and Szegedy 2015.
    Raises: SpecError where the pictures are smaller.
    """
    require_size("vgg-small" if stages == 3 else f"vgg-small of {stages} stages", inputs, 2**stages)
    return VGG(inputs.channels, outputs, width=width, stages=stages, depth=depth, dropout=dropout)
