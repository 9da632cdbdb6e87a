"""Resize to an exact size."""

from collections.abc import Callable
from typing import Literal

from PIL import Image

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.geometry import Size, height_width

Interpolation = Literal["bilinear", "bicubic", "nearest", "lanczos", "area"]
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}


@preprocessor(
    "resize",
    task="image-classification",
    main="size",
    source="Pillow, Image.resize: convolution-based resampling, https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters",
)
def resize(*, size: Size, interpolation: Interpolation = "bilinear") -> Callable[[Image.Image], Image.Image]:
    """Picture of any size -> exactly the size asked for; the aspect ratio is not kept.

    To keep it, letterbox adds bars and center_crop cuts.

    size: pixels; one number for a square, or [height, width].
    interpolation: how new pixels are computed; all but nearest are antialiased, area averages what a pixel covers.
    Raises: SpecError where a side is below 1.
    """
    height, width = height_width("resize", size)

    def apply(image: Image.Image) -> Image.Image:
        return image.resize((width, height), FILTERS[interpolation])

    return apply
