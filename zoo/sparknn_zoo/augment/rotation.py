"""Turn pictures."""

import kornia.augmentation as kornia
import torch
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks
from sparknn_zoo.augment.affine import turns
from sparknn_zoo.augment.scenes import Mover, about, between


@augmentation(
    "random_rotation",
    task=("image-classification", "object-detection"),
    main="degrees",
    source="Simard et al. 2003, Best Practices for CNNs, sec. 2",
)
def random_rotation(*, degrees: float = 15.0) -> Mover:
    """float32[N, C, H, W] -> the same shape, each picture turned about its centre.

    Bilinear; what comes in from outside the picture is 0 (black). Boxes are those around the turned boxes, and so
    larger than what is in them: small turns alone are fit for detection.

    degrees: largest turn, either way.
    Raises: SpecError where it is outside 0..180.
    """
    checks.between("random_rotation", "degrees", degrees, 0, 180)
    rotate = kornia.RandomRotation(float(degrees), p=1.0)

    def apply(images: Tensor) -> Tensor:
        return rotate(images).clamp(0, 1)

    def moves(count: int, height: int, width: int) -> Tensor:
        middle = torch.full((count,), width / 2), torch.full((count,), height / 2)
        still = torch.zeros(count)
        return about(*middle, turns(between(count, -degrees, degrees)), still, still)

    return Mover(apply, moves)
