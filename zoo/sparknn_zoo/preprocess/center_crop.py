"""Cut out the middle."""

from collections.abc import Callable

from PIL import Image

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.geometry import Fill, Size, canvas, check_fill, height_width


@preprocessor(
    "center_crop",
    task="image-classification",
    main="size",
    source="Krizhevsky et al. 2012, ImageNet Classification with Deep Convolutional Neural Networks, sec. 2",
)
def center_crop(*, size: Size, fill: Fill = 0) -> Callable[[Image.Image], Image.Image]:
    """Picture of any size -> its middle; a side that is shorter than asked for is padded on both ends.

    Where the difference is odd, the extra pixel is cut or added at the right or bottom.

    size: pixels; one number for a square, or [height, width].
    fill: of the padding; a grey level or [red, green, blue], 0..255.
    Raises: SpecError where a side is below 1 or a level outside 0..255.
    """
    height, width = height_width("center_crop", size)
    check_fill("center_crop", fill)

    def apply(image: Image.Image) -> Image.Image:
        # int() and not //: an odd difference goes to the right and bottom, whether it is cut or added.
        left, top = int((image.width - width) / 2), int((image.height - height) / 2)
        if left >= 0 and top >= 0 and image.width >= width and image.height >= height:
            return image.crop((left, top, left + width, top + height))
        result = canvas(image.mode, width, height, fill)
        result.paste(image, (-left, -top))
        return result

    return apply
