"""Blur pictures."""

from collections.abc import Callable

import kornia.augmentation as kornia
from torch import Tensor

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks


@augmentation(
    "gaussian_blur",
    task=("image-classification", "object-detection"),
    main="sigma",
    source="Chen et al. 2020, A Simple Framework for Contrastive Learning, app. A",
)
def gaussian_blur(
    *, sigma: tuple[float, float] = (0.1, 2.0), kernel_size: int = 5, p: float = 0.5
) -> Callable[[Tensor], Tensor]:
    """float32[N, C, H, W] -> the same shape, some pictures blurred, their borders mirrored.

    sigma: smallest and largest standard deviation of the Gaussian, in pixels.
    kernel_size: its width in pixels, odd; less than twice the shorter side of the picture.
    p: probability that a picture is blurred.
    Raises: SpecError where an option is out of range or a picture too small.
    """
    checks.above("gaussian_blur", "sigma", sigma[0], 0)
    sigma = checks.ascending("gaussian_blur", "sigma", sigma, 0, float("inf"))
    checks.between("gaussian_blur", "p", p, 0, 1)
    checks.at_least("gaussian_blur", "kernel_size", kernel_size, 3)
    if kernel_size % 2 == 0:
        raise SpecError(f"gaussian_blur: kernel_size is {kernel_size}; it must be odd.")
    blur = kornia.RandomGaussianBlur((kernel_size, kernel_size), sigma, p=p)

    def apply(images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        if min(height, width) <= kernel_size // 2:
            raise SpecError(f"gaussian_blur: kernel_size is {kernel_size}, too large for a {height}x{width} picture.")
        return blur(images).clamp(0, 1)

    return apply
