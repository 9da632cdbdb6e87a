"""Blank out a rectangle."""

from collections.abc import Callable

import kornia.augmentation as kornia
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks


@augmentation(
    "random_erasing",
    task="image-classification",
    main="p",
    source="Zhong et al. 2020, Random Erasing Data Augmentation",
)
def random_erasing(
    *,
    p: float = 0.5,
    scale: tuple[float, float] = (0.02, 0.33),
    ratio: tuple[float, float] = (0.3, 3.3),
    value: float = 0.0,
) -> Callable[[Tensor], Tensor]:
    """float32[N, C, H, W] -> the same shape, one rectangle blanked out in some pictures.

    p: probability that a picture gets one.
    scale: smallest and largest area of the rectangle, as a share of the picture's.
    ratio: smallest and largest height of the rectangle, divided by its width.
    value: what its pixels are set to, 0..1.
    Raises: SpecError where an option is out of range.
    """
    checks.between("random_erasing", "p", p, 0, 1)
    scale = checks.ascending("random_erasing", "scale", scale, 0, 1)
    checks.above("random_erasing", "ratio", ratio[0], 0)
    ratio = checks.ascending("random_erasing", "ratio", ratio, 0, float("inf"))
    checks.between("random_erasing", "value", value, 0, 1)
    return kornia.RandomErasing(scale, ratio, float(value), p=p)
