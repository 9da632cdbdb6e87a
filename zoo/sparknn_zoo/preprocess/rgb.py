"""Anything to three channels."""

from collections.abc import Callable

from PIL import Image

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.geometry import PICTURES


@preprocessor(
    "rgb",
    task=PICTURES,
    source="Pillow, Image.convert, https://pillow.readthedocs.io/en/stable/reference/Image.html",
)
def rgb() -> Callable[[Image.Image], Image.Image]:
    """Picture of any mode -> three channels; a greyscale picture gets three equal ones."""

    def apply(image: Image.Image) -> Image.Image:
        return image.convert("RGB")

    return apply
