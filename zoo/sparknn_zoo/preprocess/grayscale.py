"""Colour to greyscale."""

from collections.abc import Callable

from PIL import Image

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.geometry import PICTURES


@preprocessor("grayscale", task=PICTURES, source="ITU-R BT.601-7, luma: 0.299 red + 0.587 green + 0.114 blue")
def grayscale() -> Callable[[Image.Image], Image.Image]:
    """Picture of any mode -> one channel, its luma; a greyscale picture stays as it is."""

    def apply(image: Image.Image) -> Image.Image:
        return image.convert("L")

    return apply
