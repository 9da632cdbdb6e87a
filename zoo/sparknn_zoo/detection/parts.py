"""What the native detectors share between backbone and boxes: the top-down neck, a head's branch, sizes in pixels.

B batch, C channels, H height, W width.
"""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from sparknn_magic.plugin import DetectionInputs
from sparknn_zoo.vision.common import he_init
from sparknn_zoo.vision.compact import conv_block

PRIOR = 0.01  # score of every place before training: Lin et al. 2017, Focal Loss, sec. 3.3
SMALL_BOX = 24.0  # pixels: where a twentieth of the boxes is smaller, the finest map is that of stride 4
LARGEST = 6.0  # of the logarithm of a distance: e^6 is 400 times the first guess


class TopDown(nn.Module):
    """Feature maps with the same channels each, every one with what the coarser ones know; the first `count` of them.

    Source: Lin et al. 2017, Feature Pyramid Networks, arXiv:1612.03144.
    """

    def __init__(self, channels_in: Sequence[int], channels: int, count: int):
        super().__init__()
        self.count = count
        self.lateral = nn.ModuleList(conv_block(each, channels, 1) for each in channels_in)
        self.merge = nn.ModuleList(conv_block(channels, channels) for _ in channels_in[:-1])
        he_init(self)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps from fine to coarse, each half as large -> as many, or `count` of them, of `channels`."""
        lateral = [layer(x_BCHW) for layer, x_BCHW in zip(self.lateral, maps, strict=True)]
        top = lateral[-1]
        found = [top]
        for n in range(len(lateral) - 2, -1, -1):
            above = F.interpolate(top, lateral[n].shape[2:], mode="nearest")
            top = self.merge[n](lateral[n] + above)
            found.insert(0, top)
        return found[: self.count]


def branch(channels: int, outputs: int, bias: float = 0.0) -> nn.Sequential:
    """3x3 and BatchNorm, then 1x1 to the outputs, whose first values are near `bias`."""
    last = nn.Conv2d(channels, outputs, 1)
    nn.init.normal_(last.weight, std=0.01)
    assert last.bias is not None
    nn.init.constant_(last.bias, bias)
    block = conv_block(channels, channels)
    he_init(block)
    return nn.Sequential(*block, last)


def prior_bias() -> float:
    """Return the logit of the score that every place has before training."""
    return -math.log((1 - PRIOR) / PRIOR)


def objects_a_picture(count_B: Tensor) -> Tensor:
    """Return the mean count over a batch, at least 1: every object weighs the same, among few or among many."""
    return count_B.float().mean().clamp(min=1)


def finest_stride(inputs: DetectionInputs) -> int:
    """Return 4 where a twentieth of the training boxes is small, else 8."""
    return 4 if inputs.sizes and inputs.sizes[0] < SMALL_BOX else 8
