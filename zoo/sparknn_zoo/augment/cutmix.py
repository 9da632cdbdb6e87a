"""Paste a rectangle of another picture of the batch, and take its share of the loss."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo.augment.mixup import partners


class Cutmix:
    """Of each picture a rectangle is its partner's; the share that is its own is what lies outside."""

    def __init__(self, alpha: float, p: float):
        self.alpha, self.p = alpha, p

    def mix(self, images: Tensor, real: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pictures, each one's partner and the share of its pixels that is its own."""
        height, width = images.shape[2:]
        partner, drawn = partners(len(images), real, self.alpha, self.p)
        side = (1 - drawn).sqrt()
        inside_y = _between(torch.rand(len(images)) * height, side * height, height)
        inside_x = _between(torch.rand(len(images)) * width, side * width, width)
        inside = inside_y[:, :, None] & inside_x[:, None, :]
        share = 1 - inside.float().mean((1, 2))  # a rectangle is cut off at the picture's edge
        inside, partner, share = (t.to(images.device) for t in (inside, partner, share))
        return torch.where(inside[:, None], images[partner], images), partner, share

    def __call__(self, images: Tensor) -> Tensor:
        """Return the pictures alone, to look at."""
        return self.mix(images, len(images))[0]


def _between(centre: Tensor, length: Tensor, pixels: int) -> Tensor:
    """Return bool[N, pixels]: which pixels lie on a piece of this length around the centre."""
    first, last = (centre - length / 2).floor().clamp(min=0), (centre + length / 2).floor().clamp(max=pixels)
    place = torch.arange(pixels)
    return (place >= first[:, None]) & (place < last[:, None])


@augmentation(
    "cutmix",
    task="image-classification",
    main="alpha",
    source="Yun et al. 2019, CutMix: Regularization Strategy to Train Strong Classifiers, arXiv:1905.04899",
)
def cutmix(*, alpha: Annotated[float, Gt(0)] = 1.0, p: Annotated[float, Ge(0), Le(1)] = 1.0) -> Cutmix:
    """float32[N, C, H, W] -> the same shape, a rectangle of each picture from another of the batch, and so its loss.

    A row's loss is share * loss(outputs, its target) + (1 - share) * loss(outputs, its partner's), the share that of
    its own pixels.

    alpha: the rectangle's area is 1 minus a number from Beta(alpha, alpha), before it is cut off at the edge.
    p: probability that a picture gets one.
    """
    return Cutmix(alpha, p)
