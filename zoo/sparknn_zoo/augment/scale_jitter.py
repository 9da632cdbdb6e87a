"""Show pictures larger or smaller, with their boxes."""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks
from sparknn_zoo.augment.scenes import Mover


@augmentation(
    "scale_jitter",
    task=("image-classification", "object-detection"),
    main="scale",
    source="Ghiasi et al. 2021, Simple Copy-Paste is a Strong Data Augmentation, sec. 3, arXiv:2012.07177",
)
def scale_jitter(
    *,
    scale: tuple[float, float] = (0.6, 1.6),
    stretch: Annotated[float, Ge(0), Le(1)] = 0.1,
    p: Annotated[float, Gt(0), Le(1)] = 1.0,
    fill: Annotated[float, Ge(0), Le(1)] = 0.45,
) -> Mover:
    """float32[N, C, H, W] -> the same shape: each picture larger or smaller, at a random place of the frame.

    A larger one is cut off at the frame, around a smaller one there is grey. Bilinear.

    scale: smallest and largest factor on the size; a half is as likely as a double.
    stretch: largest change of width against height, as a share.
    p: probability that a picture is changed.
    fill: value of what comes in from outside, 0..1.
    Raises: SpecError where an option is out of range.
    """
    checks.above("scale_jitter", "scale", scale[0], 0)
    low, high = checks.ascending("scale_jitter", "scale", scale, 0, float("inf"))

    def moves(count: int, height: int, width: int) -> Tensor:
        factor = torch.exp(math.log(low) + (math.log(high) - math.log(low)) * torch.rand(count))
        wide = torch.exp(math.log1p(stretch) * (torch.rand(count) - 0.5))
        chosen = torch.rand(count) < p
        place = torch.rand(2, count)
        x = torch.where(chosen, factor * wide, 1.0)
        y = torch.where(chosen, factor / wide, 1.0)
        maps = torch.zeros(count, 2, 3)
        maps[:, 0, 0], maps[:, 1, 1] = x, y
        # Inside the frame where it is smaller, around the frame where it is larger.
        maps[:, 0, 2], maps[:, 1, 2] = width * (1 - x) * place[0], height * (1 - y) * place[1]
        return maps

    return Mover(None, moves, fill=fill)
