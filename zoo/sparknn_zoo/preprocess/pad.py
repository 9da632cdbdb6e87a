"""Add a border."""

from collections.abc import Callable, Sequence

from PIL import Image

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import preprocessor
from sparknn_zoo import checks
from sparknn_zoo.preprocess.geometry import Fill, canvas, check_fill

Padding = int | tuple[int, int] | tuple[int, int, int, int]


@preprocessor(
    "pad",
    task="image-classification",
    main="padding",
    source="LeCun et al. 1998, Gradient-Based Learning, sec. II.B: 28x28 to 32x32",
)
def pad(*, padding: Padding, fill: Fill = 0) -> Callable[[Image.Image], Image.Image]:
    """Picture -> the same with a border.

    padding: pixels; one number for every side, two for [left and right, top and bottom], or four for
    [left, top, right, bottom].
    fill: of the border; a grey level or [red, green, blue], 0..255.
    Raises: SpecError where a padding is negative or there are not 1, 2 or 4 of them, or a level outside 0..255.
    """
    left, top, right, bottom = _sides(padding)
    check_fill("pad", fill)

    def apply(image: Image.Image) -> Image.Image:
        result = canvas(image.mode, left + image.width + right, top + image.height + bottom, fill)
        result.paste(image, (left, top))
        return result

    return apply


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
