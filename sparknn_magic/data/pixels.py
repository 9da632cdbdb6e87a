"""Raw pixels in Arrow arrays -> one block uint8[n, height, width, channels], without a loop over rows.

Runs on executors: standard library, numpy and pyarrow. Each function takes n > 0 rows without nulls and raises
`UnreadableError` where they are of several sizes or are no pictures; a caller then tries them one by one.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.encoded import UnreadableError
from sparknn_magic.data.job import IMAGE_CHANNELS

_OPENCV_MODES = {1: 0, 3: 16, 4: 24}  # CV_8UC1, CV_8UC3, CV_8UC4


def struct_block(array: pa.StructArray) -> np.ndarray:
    """Return the pictures of Spark's image struct, its BGR turned to RGB."""
    height, width, channels, mode = (_common(array.field(name)) for name in ("height", "width", "nChannels", "mode"))
    if height < 1 or width < 1 or mode < 0:
        raise UnreadableError("undefined image (Spark could not read its file)")
    if _OPENCV_MODES.get(channels) != mode:
        raise UnreadableError(f"image of {channels} channels and mode {mode}: 8-bit grey, BGR and BGRA are supported")
    block = bytes_block(array.field("data"), height, width, channels)
    if channels == 1:
        return block
    bgr, rgb = block.reshape(-1), block.reshape(-1).copy()  # `block[..., ::-1]` takes four times as long to copy
    rgb[0::channels], rgb[2::channels] = bgr[2::channels], bgr[0::channels]
    return rgb.reshape(block.shape)


def bytes_block(array: pa.Array, height: int, width: int, channels: int) -> np.ndarray:
    """Return a view of the values' own buffer; every value is height * width * channels bytes."""
    size = height * width * channels
    if array.null_count:
        raise UnreadableError("undefined image (a null among its fields)")
    if pa.types.is_fixed_size_binary(array.type):
        lengths, start = np.array([array.type.byte_width]), array.offset * array.type.byte_width
        data = array.buffers()[1]
    else:
        if pa.types.is_binary_view(array.type):
            array = array.cast(pa.large_binary())
        item = np.dtype(np.int64 if pa.types.is_large_binary(array.type) else np.int32)
        _, ends, data = array.buffers()
        offsets = np.frombuffer(ends, item, len(array) + 1, array.offset * item.itemsize)
        lengths, start = np.diff(offsets), int(offsets[0])
    wrong = lengths[lengths != size]
    if len(wrong):
        raise UnreadableError(f"{wrong[0]} bytes where a {_by((height, width, channels))} image has {size}")
    return np.frombuffer(data, np.uint8, size * len(array), start).reshape(len(array), height, width, channels)


def numbers_block(array: pa.Array, shape: Sequence[int] | None) -> np.ndarray:
    """Return the pictures of nested arrays, or of flat arrays of this shape."""
    dims, values = [len(array)], array
    while is_list(values.type):
        if values.null_count:
            raise UnreadableError("a null among the pixels")
        dims.append(_common(pc.list_value_length(values)) if len(values) else 0)
        values = values.flatten()
    if shape is not None and dims[1] != np.prod(shape):
        raise UnreadableError(f"{dims[1]} pixels where a {_by(shape)} image has {np.prod(shape)}")
    dims = [dims[0], *(shape or dims[1:])]
    if len(dims) == 3:
        dims.append(1)
    if 0 in dims:
        raise UnreadableError("empty")
    if dims[3] not in IMAGE_CHANNELS:
        raise UnreadableError(f"array of {_by(dims[1:])}: [height][width][channels] has 1, 3 or 4 channels")
    return _to_uint8(values).reshape(dims)


def is_list(kind: pa.DataType) -> bool:
    """Say whether the type is one of Arrow's lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _to_uint8(values: pa.Array) -> np.ndarray:
    """Return integers of 0..255 as they are, and floating-point numbers of 0..1 times 255, rounded."""
    if values.null_count:
        raise UnreadableError("a null among the pixels")
    numbers = values.to_numpy(zero_copy_only=False)
    low, high = numbers.min(), numbers.max()
    if numbers.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # so worded, NaN fails it too
            raise UnreadableError("floating-point pixels outside 0..1 (cast them to int where they are 0..255)")
        return np.rint(numbers * 255).astype(np.uint8)
    if low < 0 or high > 255:
        raise UnreadableError("pixels outside 0..255")
    return numbers.astype(np.uint8, copy=False)


def _common(column: pa.Array) -> int:
    """Return the one number that all the rows have."""
    if column.null_count:
        raise UnreadableError("undefined image (a null among its fields)")
    values = np.asarray(column)
    if (values != values[0]).any():
        raise UnreadableError("rows of different lengths")
    return int(values[0])


def _by(dims: Sequence[int]) -> str:
    return "x".join(map(str, dims))
