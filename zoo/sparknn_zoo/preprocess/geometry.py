"""What the preprocessors of pictures share: tasks, sizes, and a fill colour for any image mode.

A step that moves pixels is an object with `place(width, height)`, where it moves those of such a picture, and
`size(width, height)`, the (width, height) that it gives: true boxes follow.
"""

from collections.abc import Sequence

from PIL import Image

from sparknn_magic.errors import SpecError
from sparknn_zoo import checks

PICTURES = ("image-classification", "object-detection")  # the tasks whose rows are pictures
Place = tuple[float, float, float, float]  # scale_x, scale_y, dx, dy: pixel x goes to x * scale_x + dx
Size = int | tuple[int, int]  # one number: a square; two: [height, width]
Fill = int | tuple[int, int, int]  # a grey level or red, green, blue; 0..255


def height_width(item: str, size: int | Sequence[int]) -> tuple[int, int]:
    """Return (height, width) in pixels; one number is a square.

    Raises: SpecError where a side is below 1 or there are not one or two numbers.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2:
        raise SpecError(f"{item}: size is {list(sides)}; write one number for a square, or [height, width].")
    for side in sides:
        checks.at_least(item, "size", side, 1)
    return sides[0], sides[1]


def check_fill(item: str, fill: int | Sequence[int]) -> None:
    """Raise SpecError where a level is outside 0..255 or there are not one or three of them."""
    levels = (fill,) if isinstance(fill, int) else tuple(fill)
    if len(levels) not in (1, 3):
        raise SpecError(f"{item}: fill is {list(levels)}; write one grey level, or [red, green, blue].")
    for level in levels:
        checks.between(item, "fill", level, 0, 255)


def canvas(mode: str, width: int, height: int, fill: int | Sequence[int]) -> Image.Image:
    """Return a new picture of one colour. A colour on a greyscale picture becomes its luma (ITU-R 601-2)."""
    # Pillow reads a bare number as the first channel alone: 114 would be a dark red on RGB.
    red_green_blue = (fill, fill, fill) if isinstance(fill, int) else tuple(fill)
    pixel = Image.new("RGB", (1, 1), red_green_blue).convert(mode)
    return Image.new(mode, (width, height), pixel.getpixel((0, 0)))
