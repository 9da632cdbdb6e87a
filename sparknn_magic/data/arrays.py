"""Arrow arrays of pictures -> Arrow arrays, behind the SQL functions of `functions.py` and the steps before an SQL one.

Runs on executors: numpy, pyarrow and pillow. A value that is no picture costs no other row: its result is null.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from sparknn_magic.data.encoded import MAX_PIXELS
from sparknn_magic.data.pixels import is_list
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
MOST_SIDE = 1024  # pixels of a crop: a picture may have many
CORNERS = ("x1", "y1", "x2", "y2")
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
    """Return lists of image structs, side x side pixels: of each box the square around it in the upright picture.

    boxes: lists of [x1, y1, x2, y2] or of struct<x1, y1, x2, y2>, numbers of pixels. Each is first cut off at the
    picture's edge; null in place of one that has no area then, or is no four finite numbers. The square's side is the
    box's longer one and `margin` of it at either end; bilinear, antialiased, black beyond the picture.
    Raises: DataError for boxes of another type, a side that is not from 1 to 1,024, a margin not from 0 to 1.
    """
    found = _corners(boxes)
    given = list(zip(margins.cast(pa.float64()).to_pylist(), sides.cast(pa.int64()).to_pylist(), strict=True))
    for margin, side in given:
        if side is not None and not 1 <= side <= MOST_SIDE:
            raise DataError(f"nn_crops: a side has 1 to {MOST_SIDE} pixels, not {side}.")
        if margin is not None and not 0 <= margin <= 1:
            raise DataError(f"nn_crops: margin is a share of the box's side from 0 to 1, not {margin}.")

    def make(i: int, image: Image.Image) -> list[dict[str, Any] | None] | None:
        row, (margin, side) = found[i], given[i]
        if row is None or margin is None or side is None:
            return None
        return [_crop(image, box, margin, side) for box in row]

    return pa.array(map_pictures(images, make), pa.list_(_STRUCT))


def _corners(boxes: pa.Array) -> list[list[Any] | None]:
    """Return each row's boxes as lists of numbers. Raises: DataError where the type is another one."""
    kind = boxes.type
    if pa.types.is_null(kind):
        return [None] * len(boxes)
    inner = kind.value_type if is_list(kind) else None
    if inner is not None and pa.types.is_struct(inner) and {field.name for field in inner} >= set(CORNERS):
        rows = boxes.to_pylist()
        return [row and [box and [box[name] for name in CORNERS] for box in row] for row in rows]
    if inner is None or not is_list(inner) or not _is_number(inner.value_type):
        raise DataError(f"nn_crops: boxes are array<array<number>> or array<struct<x1, y1, x2, y2>>, not {kind}.")
    return boxes.to_pylist()


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _crop(image: Image.Image, box: list[Any] | None, margin: float, side: int) -> dict[str, Any] | None:
    if box is None or len(box) != 4 or None in box or not np.isfinite(corners := np.array(box, float)).all():
        return None
    x1, y1, x2, y2 = np.clip(corners, 0, [*image.size, *image.size])
    if x1 >= x2 or y1 >= y2:
        return None
    length = max(1, round(max(x2 - x1, y2 - y1) * (1 + 2 * margin)))
    left, top = round((x1 + x2 - length) / 2), round((y1 + y2 - length) / 2)
    # Only what is seen is resized: the square itself may be larger than any picture may be.
    seen = max(left, 0), max(top, 0), min(left + length, image.width), min(top + length, image.height)
    place = [round((at - start) * side / length) for at, start in zip(seen, (left, top) * 2, strict=True)]
    size = max(1, place[2] - place[0]), max(1, place[3] - place[1])
    square = Image.new(image.mode, (side, side))
    square.paste(image.resize(size, Image.Resampling.BILINEAR, box=seen), (place[0], place[1]))
    return _struct(square)


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
