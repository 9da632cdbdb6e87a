"""Resize with the aspect ratio kept, and bars for the rest."""

from collections.abc import Callable

from PIL import Image

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.geometry import Fill, Size, canvas, check_fill, height_width
from sparknn_zoo.preprocess.resize import FILTERS, Interpolation


@preprocessor(
    "letterbox",
    task="image-classification",
    main="size",
    source="Darknet, letterbox_image, https://github.com/pjreddie/darknet; the grey of 114 is Ultralytics YOLOv5's",
)
def letterbox(
    *, size: Size, fill: Fill = 114, interpolation: Interpolation = "bilinear"
) -> Callable[[Image.Image], Image.Image]:
    """Picture of any size -> exactly the size asked for: scaled to fit, aspect ratio kept, centred between bars.

    Small pictures are enlarged. An odd pixel of padding goes to the right or bottom.

    size: pixels; one number for a square, or [height, width].
    fill: of the bars; a grey level or [red, green, blue], 0..255.
    interpolation: how new pixels are computed; all but nearest are antialiased, area averages what a pixel covers.
    Raises: SpecError where a side is below 1 or a level outside 0..255.
    """
    height, width = height_width("letterbox", size)
    check_fill("letterbox", fill)

    def apply(image: Image.Image) -> Image.Image:
        scale = min(width / image.width, height / image.height)
        # A very long strip would round to no pixel at all.
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        scaled = image.resize(inner, FILTERS[interpolation])
        if inner == (width, height):
            return scaled
        result = canvas(image.mode, width, height, fill)
        result.paste(scaled, ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return result

    return apply
