"""Arrow arrays of pictures -> Arrow arrays, behind the SQL functions of `functions.py` and the steps before an SQL one.

Runs on executors: numpy, pyarrow and pillow. A value that is no picture costs no other row: its result is null.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from sparknn_magic.data.encoded import MAX_PIXELS
from sparknn_magic.data.worker import map_pictures, picture_header
from sparknn_magic.errors import DataError, SparkNNError
from sparknn_magic.plugin import Part

_STRUCT = pa.struct(
    [
        ("origin", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("nChannels", pa.int32()),
        ("mode", pa.int32()),
        ("data", pa.binary()),
    ]
)
MOST_SIDE = 4096  # pixels of a crop
_GREY, _BGR = 0, 16  # OpenCV's CV_8UC1 and CV_8UC3


def decoded(images: pa.Array) -> pa.Array:
    """Return Spark's image structs: 8-bit grey, or blue, green and red, row by row from the top."""
    return pa.array(map_pictures(images, lambda _, image: _struct(image)), _STRUCT)


def resized(images: pa.Array, heights: pa.Array, widths: pa.Array) -> pa.Array:
    """Return image structs of these sizes in pixels, bilinear and antialiased, as the step `resize` gives them.

    Raises: DataError for a size that no picture can have.
    """
    sizes = list(zip(heights.cast(pa.int64()).to_pylist(), widths.cast(pa.int64()).to_pylist(), strict=True))
    for height, width in {size for size in sizes if None not in size}:
        if height < 1 or width < 1 or height * width > MAX_PIXELS:
            raise DataError(
                f"nn_resize: {height}x{width} is not a size: 1 to {MAX_PIXELS // 10**6} million pixels are."
            )

    def make(i: int, image: Image.Image) -> dict[str, Any] | None:
        height, width = sizes[i]
        if height is None or width is None:
            return None
        return _struct(image.resize((width, height), Image.Resampling.BILINEAR))

    return pa.array(map_pictures(images, make), _STRUCT)


def cropped(images: pa.Array, boxes: pa.Array, margins: pa.Array, sides: pa.Array) -> pa.Array:
    """Return lists of image structs, side x side pixels: of each box (x1, y1, x2, y2 in pixels) the square around it.

    The square's side is the longer one of the box and `margin` of it at either end; bilinear, antialiased, black beyond
    the picture. A box is first cut off at the picture's edge; null for one without area there, or not of four numbers.
    Raises: DataError for a side that no picture can have, or a margin below 0 or above 1.
    """
    given = list(zip(boxes.to_pylist(), margins.to_pylist(), sides.cast(pa.int64()).to_pylist(), strict=True))
    for _, margin, side in given:
        if side is not None and not 1 <= side <= MOST_SIDE:
            raise DataError(f"nn_crops: a side has 1 to {MOST_SIDE} pixels, not {side}.")
        if margin is not None and not 0 <= margin <= 1:
            raise DataError(f"nn_crops: margin is a share of the box's side from 0 to 1, not {margin}.")

    def make(i: int, image: Image.Image) -> list[dict[str, Any] | None] | None:
        found, margin, side = given[i]
        if found is None or margin is None or side is None:
            return None
        squares = [_square(box, float(margin), image.size) for box in found]
        return [s and _struct(image.crop(s).resize((side, side), Image.Resampling.BILINEAR)) for s in squares]

    return pa.array(map_pictures(images, make), pa.list_(_STRUCT))


def _square(box: Any, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the corners of the square around a box; None where there is no box in a picture of this size."""
    if box is None or len(box) != 4 or None in box:
        return None
    x1, y1, x2, y2 = np.clip(np.array(box, float), 0, [*size, *size])
    if not (x1 < x2 and y1 < y2):
        return None  # NaN too
    side = max(1, round(max(x2 - x1, y2 - y1) * (1 + 2 * margin)))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    return left, top, left + side, top + side


def normalized(images: pa.Array, means: pa.Array, stds: pa.Array) -> pa.Array:
    """Return (pixel / 255 - mean) / std as lists of float32, [height][width][channel] row by row, channels red first.

    A mean and a std are a number, or a list of 1 or 3: with 3 a grey picture counts as colour.
    Raises: DataError for a list of another length, or a std of 0.
    """
    given = list(zip(means.to_pylist(), stds.to_pylist(), strict=True))

    def make(i: int, image: Image.Image) -> np.ndarray | None:
        mean, std = (_numbers(name, value) for name, value in zip(("mean", "std"), given[i], strict=True))
        if mean is None or std is None:
            return None
        if not std.all():
            raise DataError("nn_normalize: a std of 0 divides by nothing.")
        colour = image.convert("RGB") if max(len(mean), len(std)) == 3 else image
        return ((np.asarray(colour, np.float32).reshape(image.height, image.width, -1) / 255 - mean) / std).ravel()

    return pa.array(map_pictures(images, make), pa.list_(pa.float32()))


def _numbers(name: str, value: Any) -> np.ndarray | None:
    if value is None:
        return None
    found = np.asarray(value if isinstance(value, list) else [value], np.float32)
    if len(found) not in (1, 3):
        raise DataError(f"nn_normalize: {name} has {len(found)} numbers; it takes one, or one for red, green and blue.")
    return found


def sizes(images: pa.Array) -> pa.Array:
    """Return struct<height, width, channels> of the upright pictures, by their headers: 1 channel for grey, else 3."""
    if pa.types.is_null(images.type):
        return pa.nulls(len(images), pa.struct([(name, pa.int32()) for name in ("height", "width", "channels")]))
    header = picture_header(images)
    fields = [header.field(name) for name in ("height", "width", "channels")]
    return pa.StructArray.from_arrays(
        fields, names=["height", "width", "channels"], mask=header.field("error").is_valid()
    )


def readable(images: pa.Array) -> pa.Array:
    """Return whether each value is a picture that can be decoded to its end; false for null."""
    return pa.array([bool(found) for found in map_pictures(images, lambda _, image: True)], pa.bool_())


def stepper(steps: Sequence[Part]) -> Callable[[pa.Array], pa.Array]:
    """Return a function of pictures to image structs of what the steps make of them; null where one refuses."""
    built: list[Callable[[Image.Image], Image.Image]] = [step.build() for step in steps]

    def make(_: int, image: Image.Image) -> dict[str, Any] | None:
        try:
            for step in built:
                image = step(image)
        except (ValueError, OSError, ArithmeticError, SparkNNError):
            return None
        return _struct(image)

    return lambda images: pa.array(map_pictures(images, make), _STRUCT)


def _struct(image: Image.Image) -> dict[str, Any]:
    grey = image.mode == "L"
    data = image.tobytes() if grey else image.tobytes("raw", "BGR")
    return {
        "origin": "",
        "height": image.height,
        "width": image.width,
        "nChannels": 1 if grey else 3,
        "mode": _GREY if grey else _BGR,
        "data": data,
    }
