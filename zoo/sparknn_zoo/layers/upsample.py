"""Pictures made larger."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Pair, Shape, pair, picture


class Upsample(nn.Module):
    """Pictures of another size."""

    def __init__(self, height: int, width: int, mode: str):
        super().__init__()
        self.size, self.mode = (height, width), mode

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> float32[B, C, height, width]."""
        aligned = False if self.mode == "bilinear" else None
        return F.interpolate(x_BCHW, self.size, mode=self.mode, align_corners=aligned)


@layer("upsample", main="factor", source="Odena et al. 2016, Deconvolution and Checkerboard Artifacts, Distill")
def upsample(shape: Shape, *, factor: Pair = 2, mode: Literal["nearest", "bilinear"] = "nearest") -> nn.Module:
    """Larger pictures: [channels, height, width] -> [channels, factor x height, factor x width].

    factor: how many times as high and as wide.
    mode: nearest repeats pixels, bilinear goes smoothly from one to the next.
    """
    _, height, width = picture(shape)
    return Upsample(height * pair(factor)[0], width * pair(factor)[1], mode)
