"""Turn, shift, scale and shear pictures."""

from collections.abc import Callable

import kornia.augmentation as kornia
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks


@augmentation(
    "random_affine",
    task="image-classification",
    main="degrees",
    source="Simard et al. 2003, Best Practices for CNNs, sec. 2",
)
def random_affine(
    *,
    degrees: float = 10.0,
    translate: float = 0.1,
    scale: tuple[float, float] = (0.9, 1.1),
    shear: float = 0.0,
) -> Callable[[Tensor], Tensor]:
    """float32[N, C, H, W] -> the same shape, each picture under an affine map of its own about its centre.

    Bilinear; what comes in from outside the picture is 0 (black).

    degrees: largest turn, either way.
    translate: largest shift, as a share of the width and of the height.
    scale: smallest and largest factor on the size.
    shear: largest slant along the width, in degrees, either way.
    Raises: SpecError where an option is out of range.
    """
    checks.between("random_affine", "degrees", degrees, 0, 180)
    checks.between("random_affine", "translate", translate, 0, 1)
    checks.above("random_affine", "scale", scale[0], 0)
    scale = checks.ascending("random_affine", "scale", scale, 0, float("inf"))
    checks.between("random_affine", "shear", shear, 0, 89)
    warp = kornia.RandomAffine(float(degrees), (translate, translate), scale, float(shear), p=1.0)

    def apply(images: Tensor) -> Tensor:
        return warp(images).clamp(0, 1)

    return apply
