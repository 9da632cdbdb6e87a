"""Turn, shift, scale and shear pictures."""

import kornia.augmentation as kornia
import torch
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks
from sparknn_zoo.augment.scenes import Mover, about, between


@augmentation(
    "random_affine",
    task=("image-classification", "object-detection"),
    main="degrees",
    source="Simard et al. 2003, Best Practices for CNNs, sec. 2",
)
def random_affine(
    *,
    degrees: float = 10.0,
    translate: float = 0.1,
    scale: tuple[float, float] = (0.9, 1.1),
    shear: float = 0.0,
) -> Mover:
    """float32[N, C, H, W] -> the same shape, each picture under an affine map of its own about its centre.

    Bilinear; what comes in from outside the picture is 0 (black). Boxes are those around the turned boxes, and so
    larger than what is in them: small turns alone are fit for detection.

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

    def moves(count: int, height: int, width: int) -> Tensor:
        factor = between(count, *scale)[:, None, None]
        linear = turns(between(count, -degrees, degrees)) * factor
        slant = torch.eye(2).repeat(count, 1, 1)
        slant[:, 0, 1] = torch.tan(torch.deg2rad(between(count, -shear, shear)))
        x, y = between(count, -translate, translate) * width, between(count, -translate, translate) * height
        middle = torch.full((count,), width / 2), torch.full((count,), height / 2)
        return about(*middle, linear @ slant, x, y)

    return Mover(apply, moves)


def turns(degrees: Tensor) -> Tensor:
    """Return float32[N, 2, 2], rotations by these angles."""
    cos, sin = torch.deg2rad(degrees).cos(), torch.deg2rad(degrees).sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], 1)
