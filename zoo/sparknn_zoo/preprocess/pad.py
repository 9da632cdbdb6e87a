"""Add a border."""

from collections.abc import Sequence

from PIL import Image

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import preprocessor
from sparknn_zoo import checks
from sparknn_zoo.preprocess.geometry import PICTURES, Fill, Place, canvas, check_fill

Padding = int | tuple[int, int] | tuple[int, int, int, int]


class Pad:
    """Picture -> the same with a border."""

    def __init__(self, left: int, top: int, right: int, bottom: int, fill: Fill):
        self.left, self.top, self.right, self.bottom, self.fill = left, top, right, bottom, fill

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the picture within its border."""
        result = canvas(image.mode, *self.size(*image.size), self.fill)
        result.paste(image, (self.left, self.top))
        return result

    def place(self, width: int, height: int) -> Place:
        """Return where the pixels of a width x height picture go."""
        return 1.0, 1.0, self.left, self.top

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) of the result."""
        return self.left + width + self.right, self.top + height + self.bottom


@preprocessor(
    "pad",
    task=PICTURES,
    main="padding",
    source="LeCun et al. 1998, Gradient-Based Learning, sec. II.B: 28x28 to 32x32",
)
def pad(*, padding: Padding, fill: Fill = 0) -> Pad:
    """Picture -> the same with a border.

    padding: pixels; one number for every side, two for [left and right, top and bottom], or four for
    [left, top, right, bottom].
    fill: of the border; a grey level or [red, green, blue], 0..255.
    Raises: SpecError where a padding is negative or there are not 1, 2 or 4 of them, or a level outside 0..255.
    """
    left, top, right, bottom = _sides(padding)
    check_fill("pad", fill)
    return Pad(left, top, right, bottom, fill)


def _sides(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    sides = [padding] if isinstance(padding, int) else list(padding)
    for side in sides:
        checks.at_least("pad", "padding", side, 0)
    if len(sides) not in (1, 2, 4):
        raise SpecError(
            f"pad: padding is {sides}; write one number, two (across, down) or four (left, top, right, bottom)."
        )
    left, top, right, bottom = sides * (4 // len(sides))
    return left, top, right, bottom
