"""What a column of pictures may be, said of Spark's type strings; checked on the driver before anything runs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sparknn_magic.errors import DataError
from sparknn_magic.plugin import ImageInputs, Part

IMAGE_STRUCT = {"height": "int", "width": "int", "nChannels": "int", "mode": "int", "data": "binary"}
IMAGE_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA

_NUMBERS = "tinyint|smallint|int|bigint|float|double"
_ARRAY = re.compile(rf"((?:array<){{1,3}})(?:{_NUMBERS})>{{1,3}}")
_HINTS = {
    "string": "Text is no picture. To read files: spark.read.format('binaryFile').load(path), column content.",
    "vector": "Turn the vector into an array: pyspark.ml.functions.vector_to_array(column), and give the shape.",
}
_SUPPORTED = (
    "Pictures are binary (JPEG, PNG, WebP, BMP or GIF bytes), Spark's image struct, or arrays of numbers: "
    "[height][width], [height][width][channels], or flat with a shape."
)


def check_image_type(kind: str, *, shape: Sequence[int] | None = None, column: str | None = None) -> str:
    """Return how a column of this type holds pictures: "encoded", "struct", "nested" or "flat".

    `kind` is the type's `simpleString()`, such as `binary` or `array<array<tinyint>>`. With a `shape`, (height, width)
    or (height, width, channels), the column holds raw pixels, as flat arrays or as bytes.

    Raises: DataError where such a column holds no pictures, or the shape is missing or has no use.
    """
    if shape is not None:
        _check_shape(shape)
    subject = "the column" if column is None else f"column '{column}'"
    array = _ARRAY.fullmatch(kind)
    if kind == "binary":
        return "encoded" if shape is None else "flat"
    if array and array[1].count("<") == 1:
        if shape is None:
            raise DataError(
                f"{subject} is a flat {kind} and its shape is not given.",
                hint="Give the shape of one picture, such as `shape: [28, 28]` or `shape: [32, 32, 3]`.",
            )
        return "flat"
    found = "nested" if array else "struct" if _is_image_struct(kind) else None
    if found is None:
        raise DataError(f"{subject} is {_short(kind)}, which holds no pictures.", hint=_HINTS.get(kind, _SUPPORTED))
    if shape is not None:
        raise DataError(
            f"{subject} is {_short(kind)}: its rows have shapes of their own, {list(shape)} has no use.",
            hint="Leave the shape out.",
        )
    return found


def _check_shape(shape: Sequence[int]) -> None:
    if len(shape) not in (2, 3) or min(shape) < 1 or (len(shape) == 3 and shape[2] not in IMAGE_CHANNELS):
        raise DataError(
            f"the shape {list(shape)} is not that of a picture.",
            hint="A shape is [height, width] or [height, width, channels] with 1, 3 or 4 channels.",
        )


def _is_image_struct(kind: str) -> bool:
    fields = set(re.findall(r"[<,](\w+:\w+)", kind)) if kind.startswith("struct<") else set()
    return fields >= {f"{name}:{of}" for name, of in IMAGE_STRUCT.items()}


def _short(kind: str) -> str:
    return kind if len(kind) <= 80 else kind[:77] + "..."


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """How executors turn source rows into the shards that training reads."""

    steps: tuple[Part, ...]  # preprocessors of one PIL.Image
    inputs: ImageInputs  # the size and channels that they arrive at
    shape: tuple[int, ...] | None  # of raw pixels; None where pictures carry their own
    classes: tuple[str, ...]
