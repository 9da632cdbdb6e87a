"""Blend pictures with others of the batch, and their losses with them."""

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo.augment.scenes import LEAST


def partners(count: int, real: int, alpha: float, p: float) -> tuple[Tensor, Tensor]:
    """Draw for each of `count` rows a partner among the first `real` ones, and the share that stays its own.

    Returns int64[count] and float32[count]. Shares are Beta(alpha, alpha) with probability p, and else 1; rows from
    `real` on stay as they are. Drawn on the CPU, so that a seed means the same on every device.
    """
    partner = torch.arange(count)
    partner[:real] = torch.randperm(real)
    share = torch.ones(count)
    drawn = torch.distributions.Beta(alpha, alpha).sample((real,))
    share[:real] = torch.where(torch.rand(real) < p, drawn, 1.0)
    return partner, share


class Mixup:
    """x <- share * x + (1 - share) * x[partner]."""

    def __init__(self, alpha: float, p: float):
        self.alpha, self.p = alpha, p

    def mix(self, images: Tensor, real: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the blended pictures, each one's partner and the share that is its own."""
        partner, share = (t.to(images.device) for t in partners(len(images), real, self.alpha, self.p))
        own = share.reshape(-1, 1, 1, 1)
        return own * images + (1 - own) * images[partner], partner, share

    def boxed(self, images: Tensor, boxes: Tensor, real: int) -> tuple[Tensor, Tensor]:
        """Return the blended pictures and the boxes of both, float32[N, 2 * M, 5]; of what is under a quarter, none.

        Source: Zhang et al. 2019, Bag of Freebies for Training Object Detection, sec. 3.1, arXiv:1902.04103.
        """
        mixed, partner, share = self.mix(images, real)
        share = share[:, None, None]
        # A picture that is blended with itself is whole, and has its boxes once.
        alone = (partner == torch.arange(len(images), device=images.device))[:, None, None]
        own = torch.where((share >= LEAST) | alone, boxes, -1.0)
        return mixed, torch.cat([own, torch.where((1 - share >= LEAST) & ~alone, boxes[partner], -1.0)], 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the blended pictures alone, to look at."""
        return self.mix(images, len(images))[0]


@augmentation(
    "mixup",
    task=("image-classification", "object-detection"),
    main="alpha",
    source="Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412",
)
def mixup(*, alpha: Annotated[float, Gt(0)] = 0.2, p: Annotated[float, Ge(0), Le(1)] = 1.0) -> Mixup:
    """float32[N, C, H, W] -> the same shape, each picture blended with another of the batch, and so its loss.

    A row's loss is share * loss(outputs, its target) + (1 - share) * loss(outputs, its partner's). In detection a
    picture has the boxes of both, but for those of one that has less than a quarter of the share.

    alpha: the share is drawn from Beta(alpha, alpha): 0.2 keeps most pictures nearly as they are, 1 draws any share.
    p: probability that a picture is blended.
    """
    return Mixup(alpha, p)
