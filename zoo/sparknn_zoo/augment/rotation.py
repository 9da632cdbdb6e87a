"""Turn pictures."""

from collections.abc import Callable

import kornia.augmentation as kornia
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks


@augmentation(
    "random_rotation",
    task="image-classification",
    main="degrees",
    source="Simard et al. 2003, Best Practices for CNNs, sec. 2",
)
def random_rotation(*, degrees: float = 15.0) -> Callable[[Tensor], Tensor]:
    """float32[N, C, H, W] -> the same shape, each picture turned about its centre.

    Bilinear; what comes in from outside the picture is 0 (black).

    degrees: largest turn, either way.
    Raises: SpecError where it is outside 0..180.
    """
    checks.between("random_rotation", "degrees", degrees, 0, 180)
    rotate = kornia.RandomRotation(float(degrees), p=1.0)

    def apply(images: Tensor) -> Tensor:
        return rotate(images).clamp(0, 1)

    return apply
