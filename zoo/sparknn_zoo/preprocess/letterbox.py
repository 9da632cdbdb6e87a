"""Resize with the aspect ratio kept, and bars for the rest."""

from PIL import Image

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.geometry import PICTURES, Fill, Place, Size, canvas, check_fill, height_width
from sparknn_zoo.preprocess.resize import FILTERS, Interpolation


class Letterbox:
    """Picture of any size -> the whole of it in the middle of one of this size."""

    def __init__(self, width: int, height: int, fill: Fill, resample: Image.Resampling):
        self.width, self.height, self.fill, self.resample = width, height, fill, resample

    def _inner(self, width: int, height: int) -> tuple[int, int]:
        scale = min(self.width / width, self.height / height)
        # A very long strip would round to no pixel at all.
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _corner(self, inner: tuple[int, int]) -> tuple[int, int]:
        return (self.width - inner[0]) // 2, (self.height - inner[1]) // 2

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the scaled picture between bars."""
        inner = self._inner(*image.size)
        scaled = image.resize(inner, self.resample)
        if inner == (self.width, self.height):
            return scaled
        result = canvas(image.mode, self.width, self.height, self.fill)
        result.paste(scaled, self._corner(inner))
        return result

    def place(self, width: int, height: int) -> Place:
        """Return where the pixels of a width x height picture go."""
        inner = self._inner(width, height)
        return inner[0] / width, inner[1] / height, *self._corner(inner)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) of the result."""
        return self.width, self.height


@preprocessor(
    "letterbox",
    task=PICTURES,
    main="size",
    source="Darknet, letterbox_image, https://github.com/pjreddie/darknet; the grey of 114 is Ultralytics YOLOv5's",
)
def letterbox(*, size: Size, fill: Fill = 114, interpolation: Interpolation = "bilinear") -> Letterbox:
    """Picture of any size -> exactly the size asked for: scaled to fit, aspect ratio kept, centred between bars.

    Small pictures are enlarged. An odd pixel of padding goes to the right or bottom.

    size: pixels; one number for a square, or [height, width].
    fill: of the bars; a grey level or [red, green, blue], 0..255.
    interpolation: how new pixels are computed; all but nearest are antialiased, area averages what a pixel covers.
    Raises: SpecError where a side is below 1 or a level outside 0..255.
    """
    height, width = height_width("letterbox", size)
    check_fill("letterbox", fill)
    return Letterbox(width, height, fill, FILTERS[interpolation])
