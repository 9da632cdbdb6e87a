"""Stretch each picture to the full range of levels."""

from collections.abc import Callable

from PIL import Image, ImageOps

from sparknn_magic.plugin import preprocessor
from sparknn_zoo import checks
from sparknn_zoo.preprocess.geometry import PICTURES


@preprocessor(
    "autocontrast",
    task=PICTURES,
    main="cutoff",
    source="Pillow, ImageOps.autocontrast, https://pillow.readthedocs.io/en/stable/reference/ImageOps.html",
)
def autocontrast(*, cutoff: float = 0.0) -> Callable[[Image.Image], Image.Image]:
    """Picture -> the same size, each channel's darkest level moved to 0 and its lightest to 255.

    A channel of a single level stays as it is.

    cutoff: percentage of pixels left out at each end before the two levels are looked up, 0 to 49.
    Raises: SpecError where it is outside that range.
    """
    checks.between("autocontrast", "cutoff", cutoff, 0, 49)

    def apply(image: Image.Image) -> Image.Image:
        return ImageOps.autocontrast(image, cutoff)

    return apply
