"""Resize to an exact size."""

from typing import Literal

from PIL import Image

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.geometry import PICTURES, Place, Size, height_width

Interpolation = Literal["bilinear", "bicubic", "nearest", "lanczos", "area"]
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}


class Resize:
    """Picture of any size -> one of this size."""

    def __init__(self, width: int, height: int, resample: Image.Resampling):
        self.width, self.height, self.resample = width, height, resample

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the resized picture."""
        return image.resize((self.width, self.height), self.resample)

    def place(self, width: int, height: int) -> Place:
        """Return where the pixels of a width x height picture go."""
        return self.width / width, self.height / height, 0.0, 0.0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) of the result."""
        return self.width, self.height


@preprocessor(
    "resize",
    task=PICTURES,
    main="size",
    source="Pillow, Image.resize: convolution-based resampling, https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters",
)
def resize(*, size: Size, interpolation: Interpolation = "bilinear") -> Resize:
    """Picture of any size -> exactly the size asked for; the aspect ratio is not kept.

    To keep it, letterbox adds bars and center_crop cuts.

    size: pixels; one number for a square, or [height, width].
    interpolation: how new pixels are computed; all but nearest are antialiased, area averages what a pixel covers.
    Raises: SpecError where a side is below 1.
    """
    height, width = height_width("resize", size)
    return Resize(width, height, FILTERS[interpolation])
