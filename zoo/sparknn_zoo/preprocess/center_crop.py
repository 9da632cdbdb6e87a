"""Cut out the middle."""

from PIL import Image

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.geometry import PICTURES, Fill, Place, Size, canvas, check_fill, height_width


class CenterCrop:
    """Picture of any size -> its middle."""

    def __init__(self, width: int, height: int, fill: Fill):
        self.width, self.height, self.fill = width, height, fill

    def _corner(self, width: int, height: int) -> tuple[int, int]:
        # int() and not //: an odd difference goes to the right and bottom, whether it is cut or added.
        return int((width - self.width) / 2), int((height - self.height) / 2)

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return the cut or padded picture."""
        left, top = self._corner(*image.size)
        if left >= 0 and top >= 0 and image.width >= self.width and image.height >= self.height:
            return image.crop((left, top, left + self.width, top + self.height))
        result = canvas(image.mode, self.width, self.height, self.fill)
        result.paste(image, (-left, -top))
        return result

    def place(self, width: int, height: int) -> Place:
        """Return where the pixels of a width x height picture go."""
        left, top = self._corner(width, height)
        return 1.0, 1.0, -left, -top

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) of the result."""
        return self.width, self.height


@preprocessor(
    "center_crop",
    task=PICTURES,
    main="size",
    source="Krizhevsky et al. 2012, ImageNet Classification with Deep Convolutional Neural Networks, sec. 2",
)
def center_crop(*, size: Size, fill: Fill = 0) -> CenterCrop:
    """Picture of any size -> its middle; a side that is shorter than asked for is padded on both ends.

    Where the difference is odd, the extra pixel is cut or added at the right or bottom.

    size: pixels; one number for a square, or [height, width].
    fill: of the padding; a grey level or [red, green, blue], 0..255.
    Raises: SpecError where a side is below 1 or a level outside 0..255.
    """
    height, width = height_width("center_crop", size)
    check_fill("center_crop", fill)
    return CenterCrop(width, height, fill)
