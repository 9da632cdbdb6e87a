"""Change brightness, contrast and colour."""

from collections.abc import Callable

import kornia.augmentation as kornia
from torch import Tensor

from sparknn_magic.plugin import augmentation
from sparknn_zoo import checks


@augmentation(
    "color_jitter",
    task=("image-classification", "object-detection"),
    source="Howard 2013, Some Improvements on Deep CNN Based Image Classification, sec. 2; torchvision's formulas",
)
def color_jitter(
    *, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.05
) -> Callable[[Tensor], Tensor]:
    """float32[N, C, H, W], C 1 or 3 -> the same shape, each picture with factors of its own, in a random order.

    On greyscale pictures only brightness and contrast act. 0 leaves a part out; hue costs more than the other three.

    brightness: largest change of the factor on all pixels, around 1.
    contrast: largest change of the factor on the distance from the picture's mean grey, around 1.
    saturation: largest change of the factor on the distance from the pixel's own grey, around 1.
    hue: largest turn of the colour circle, either way; 0.5 is half of it.
    Raises: SpecError where an option is out of range.
    """
    for option, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        checks.between("color_jitter", option, value, 0, 1)
    checks.between("color_jitter", "hue", hue, 0, 0.5)
    colour = kornia.ColorJitter(brightness, contrast, saturation, hue, p=1.0)
    grey = kornia.ColorJitter(brightness, contrast, p=1.0)

    def apply(images: Tensor) -> Tensor:
        jitter = grey if images.shape[1] == 1 else colour
        return jitter(images).clamp(0, 1)

    return apply
