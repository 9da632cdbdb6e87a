"""Cut out a part and enlarge it."""

import math
from functools import lru_cache

import kornia.augmentation as kornia
import torch
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks
from sparknn_zoo.augment.scenes import Mover, between


@augmentation(
    "random_resized_crop",
    task=("image-classification", "object-detection"),
    main="scale",
    source="Szegedy et al. 2015, Going Deeper with Convolutions, sec. 6",
)
def random_resized_crop(
    *, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (0.75, 4 / 3)
) -> Mover:
    """float32[N, C, H, W] -> the same shape: a random part of each picture, bilinearly resized to the whole.

    For detection a scale from 0.3 up keeps most objects; of which less than a quarter is left counts as none.

    scale: smallest and largest area of the part, as a share of the picture's.
    ratio: smallest and largest width of the part, divided by its height.
    Raises: SpecError where an option is out of range.
    """
    scale = checks.ascending("random_resized_crop", "scale", scale, 0, 1)
    checks.above("random_resized_crop", "scale", scale[1], 0)
    checks.above("random_resized_crop", "ratio", ratio[0], 0)
    ratio = checks.ascending("random_resized_crop", "ratio", ratio, 0, float("inf"))

    @lru_cache(maxsize=8)
    def crop_to(height: int, width: int) -> kornia.RandomResizedCrop:
        # By warping: one kernel for the batch, where slicing starts one for each picture (a GPU waits for those).
        return kornia.RandomResizedCrop((height, width), scale, ratio, cropping_mode="resample")

    def apply(images: Tensor) -> Tensor:
        return crop_to(images.shape[2], images.shape[3])(images).clamp(0, 1)

    def moves(count: int, height: int, width: int) -> Tensor:
        area = between(count, *scale) * height * width
        shape = torch.exp(between(count, math.log(ratio[0]), math.log(ratio[1])))
        wide = (area * shape).sqrt().clamp(1, width)
        tall = (area / shape).sqrt().clamp(1, height)
        maps = torch.zeros(count, 2, 3)
        maps[:, 0, 0], maps[:, 1, 1] = width / wide, height / tall
        maps[:, 0, 2] = -(width - wide) * torch.rand(count) * width / wide
        maps[:, 1, 2] = -(height - tall) * torch.rand(count) * height / tall
        return maps

    return Mover(apply, moves)
