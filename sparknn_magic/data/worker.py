"""A column of pictures -> uint8 NHWC, on executors, for training and for inference alike.

| column | rows |
| --- | --- |
| binary | JPEG, PNG, WebP, BMP or GIF, of any mode: see `encoded.decode` |
| Spark's image struct | origin, height, width, nChannels, mode, data: 8-bit grey, BGR or BGRA |
| array<array<number>>, array<array<array<number>>> | [height][width] or [height][width][channels] |
| array<number> or binary, with a `shape` | raw pixels, row by row: (height, width) or (height, width, channels) |

Pixels as integers are 0..255; as floating-point numbers they are 0..1. One, 3 or 4 channels: grey, RGB, RGBA; alpha is
laid on white. A row that cannot be read costs no other row: it has a short reason in `Pictures.errors`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa
from PIL import Image

from sparknn_magic.data.encoded import UnreadableError, decode, header, plain, without_remarks
from sparknn_magic.data.job import check_image_type
from sparknn_magic.data.pixels import bytes_block, is_list, numbers_block, struct_block
from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import Part

Step = Callable[[Image.Image], Image.Image]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pictures:
    """What `image_reader` makes of an Arrow array of n values."""

    pixels: np.ndarray  # uint8[readable, height, width, channels], C-contiguous
    rows: np.ndarray  # int64[readable]: the positions of the readable rows in the array, ascending
    sizes: np.ndarray  # int64[readable, 2]: width and height of each upright picture, before the steps
    errors: list[str | None]  # one for each of the n rows: None where it was read, else a short reason

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """The readable rows by the names of a model file's inputs."""
        return {"image": self.pixels}


def image_reader(
    *, steps: Sequence[Part] = (), height: int, width: int, channels: int, shape: Sequence[int] | None = None
) -> Callable[[pa.Array], Pictures]:
    """Return a function of an Arrow array of n values to `Pictures` of uint8[readable, height, width, channels].

    Each picture passes through `steps` (preprocessors of one `PIL.Image` of mode L or RGB) and is then turned to grey
    or RGB for `channels` 1 or 3. One that is not height x width by then is an error of its row. With `shape` the column
    holds raw pixels of that shape.

    Raises: DataError, when the function is called, where a column of that type holds no pictures.
    """
    built = [(part.ref.rpartition(":")[2], part.build()) for part in steps]
    size = (height, width, channels)

    def read(array: pa.Array) -> Pictures:
        kind = image_kind(array.type, shape)
        present, rows = _present(array)
        block = _whole_block(present, kind, shape)
        if block is not None and not built and block.shape[1:3] == size[:2] and block.shape[3] in (1, channels):
            pixels = np.repeat(block, channels, axis=3) if block.shape[3] != channels else np.ascontiguousarray(block)
            sizes = np.full((len(rows), 2), (width, height))
            reasons: dict[int, str] = {}
        else:
            pixels, rows, sizes, reasons = _read_each(_images(present, kind, shape, block), rows, built, size)
        return Pictures(pixels, rows, sizes, _errors(len(array), rows, reasons))

    return read


def map_pictures(
    array: pa.Array, make: Callable[[int, Image.Image], T], shape: Sequence[int] | None = None
) -> list[T | None]:
    """Return `make(position, picture)` for each of n values, the picture of mode L or RGB; None where there is none.

    With `shape` the column holds raw pixels of that shape.
    Raises: DataError where a column of that type holds no pictures.
    """
    return each_picture(array, make, shape)[0]


def each_picture(
    array: pa.Array, make: Callable[[int, Image.Image], T], shape: Sequence[int] | None = None
) -> tuple[list[T | None], list[str | None]]:
    """Return the same, and why a value is no picture: None where it is one. `make` may raise UnreadableError too."""
    found: list[T | None] = [None] * len(array)
    errors: list[str | None] = ["null"] * len(array)
    if pa.types.is_null(array.type):
        return found, errors
    kind = image_kind(array.type, shape)
    present, rows = _present(array)
    images = _images(present, kind, shape, _whole_block(present, kind, shape))
    with without_remarks():
        for position, image in zip(rows.tolist(), images, strict=True):
            try:
                found[position], errors[position] = make(position, image()), None
            except UnreadableError as error:
                errors[position] = str(error)
    return found, errors


def picture_header(array: pa.Array, shape: Sequence[int] | None = None) -> pa.StructArray:
    """Return struct<height: int32, width: int32, channels: int32, error: string> for n values, decoding none.

    Sizes are those of the upright picture; channels are 1 for grey pictures and 3 for all others (the colours of a
    palette are not looked at). Where `error` is not null the other three are.
    """
    kind = image_kind(array.type, shape)
    sizes: list[tuple[int, int, int] | None] = []
    errors: list[str | None] = []
    with without_remarks():
        for i in range(len(array)):
            try:
                sizes.append(_header(array, i, kind, shape))
                errors.append(None)
            except UnreadableError as error:
                sizes.append(None)
                errors.append(str(error))
    columns = [pa.array([None if size is None else size[k] for size in sizes], pa.int32()) for k in range(3)]
    names = ["height", "width", "channels", "error"]
    return pa.StructArray.from_arrays([*columns, pa.array(errors, pa.string())], names=names)


def image_kind(kind: pa.DataType, shape: Sequence[int] | None = None) -> str:
    """Return "encoded", "struct", "nested" or "flat": how a column of this Arrow type holds pictures.

    Raises: DataError, as `check_image_type` does for Spark's types.
    """
    return check_image_type(_spark_name(kind), shape=shape)


def _spark_name(kind: pa.DataType) -> str:
    if _is_binary(kind):
        return "binary"
    if is_list(kind):
        return f"array<{_spark_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ",".join(f"{f.name}:{_spark_name(f.type)}" for f in kind) + ">"
    if pa.types.is_integer(kind):  # unsigned too: Spark has none, other readers of Parquet do
        return "int"
    return "float" if pa.types.is_floating(kind) else str(kind)


def _present(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the values that are not null, and their positions."""
    if not array.null_count:
        return array, np.arange(len(array))
    return array.drop_null(), np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))


def _errors(count: int, rows: np.ndarray, reasons: dict[int, str]) -> list[str | None]:
    errors: list[str | None] = [None] * count
    if len(rows) < count:
        read = set(rows.tolist())
        errors = [None if i in read else reasons.get(i, "null") for i in range(count)]
    return errors


def _whole_block(array: pa.Array, kind: str, shape: Sequence[int] | None) -> np.ndarray | None:
    """Return uint8[n, h, w, c], or None where the rows are encoded, or not all good and of one size."""
    if kind == "encoded" or not len(array):
        return None
    try:
        return _block(array, kind, shape)
    except UnreadableError:  # some row is at fault: they are then read one by one
        return None


def _block(array: pa.Array, kind: str, shape: Sequence[int] | None) -> np.ndarray:
    if kind == "struct":
        return struct_block(array)
    if _is_binary(array.type):
        return bytes_block(array, *(*shape, 1)[:3])  # type: ignore[misc]  # "flat" has a shape
    return numbers_block(array, shape)


def _images(
    array: pa.Array, kind: str, shape: Sequence[int] | None, block: np.ndarray | None
) -> Iterator[Callable[[], Image.Image]]:
    """Yield for each row a call that gives its picture, mode L or RGB, or raises UnreadableError."""
    for i in range(len(array)):
        if kind == "encoded":
            yield partial(decode, memoryview(array[i].as_buffer()))
        elif block is not None:
            yield partial(_from_pixels, block[i])
        else:
            yield partial(_from_row, array[i : i + 1], kind, shape)


def _from_row(row: pa.Array, kind: str, shape: Sequence[int] | None) -> Image.Image:
    return _from_pixels(_block(row, kind, shape)[0])


def _from_pixels(pixels: np.ndarray) -> Image.Image:
    return plain(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def _read_each(
    images: Iterator[Callable[[], Image.Image]],
    positions: np.ndarray,
    steps: Sequence[tuple[str, Step]],
    size: tuple[int, int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, str]]:
    """Return the pixels of the readable rows, their positions and sizes, and the other rows' reasons by position."""
    pixels = np.empty((len(positions), *size), np.uint8)
    rows: list[int] = []
    sizes: list[tuple[int, int]] = []
    reasons: dict[int, str] = {}
    with without_remarks():
        for position, load in zip(positions.tolist(), images, strict=True):
            try:
                image = load()
                pixels[len(rows)] = _finish(image, steps, size)
                rows.append(position)
                sizes.append(image.size)
            except UnreadableError as error:
                reasons[position] = str(error)
    return pixels[: len(rows)], np.array(rows, np.int64), np.array(sizes, np.int64).reshape(-1, 2), reasons


def stepped(image: Image.Image, steps: Sequence[tuple[str, Step]]) -> Image.Image:
    """Return a picture behind these steps, each with its name. Raises: UnreadableError where one refuses it."""
    for name, step in steps:
        try:
            image = step(image)
        except (ValueError, OSError, ArithmeticError, SparkNNError) as error:
            raise UnreadableError(f"{name}: {error}") from error
    return image


def _finish(image: Image.Image, steps: Sequence[tuple[str, Step]], size: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = size
    image = stepped(image, steps)
    if (image.height, image.width) != (height, width):
        raise UnreadableError(
            f"size {image.height}x{image.width} where the model takes {height}x{width}: add a resize step"
        )
    mode = "L" if channels == 1 else "RGB"
    return np.asarray(image if image.mode == mode else plain(image).convert(mode)).reshape(size)


def _header(array: pa.Array, i: int, kind: str, shape: Sequence[int] | None) -> tuple[int, int, int]:
    if not array[i].is_valid:
        raise UnreadableError("null")
    if kind == "encoded":
        return header(memoryview(array[i].as_buffer()))
    _, height, width, channels = _block(array[i : i + 1], kind, shape).shape
    return height, width, 1 if channels == 1 else 3


def _is_binary(kind: pa.DataType) -> bool:
    t = pa.types
    return t.is_binary(kind) or t.is_large_binary(kind) or t.is_binary_view(kind) or t.is_fixed_size_binary(kind)
