"""Six small pictures and every way to put them into a column."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image

from sparknn_magic.data.worker import Pictures, image_reader

RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (6, 9, 7, 3), np.uint8)  # six pictures of 9x7
GREY = COLOUR[..., :1]


def encode(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    return save(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels), kind, **options)


def save(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(values, channels: int = 3, size: tuple[int, int] = (9, 7), shape=None, steps=()) -> Pictures:
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.binary())
    return image_reader(height=size[0], width=size[1], channels=channels, shape=shape, steps=steps)(array)


def read_one(data: bytes, channels: int = 3, size: tuple[int, int] = (9, 7)) -> np.ndarray:
    pictures = read([data], channels, size)
    assert pictures.errors == [None]
    return pictures.pixels[0]


def spark_image(pixels: np.ndarray, **changed) -> dict:
    height, width, channels = pixels.shape
    order = [2, 1, 0, 3][:channels] if channels > 1 else [0]
    fields = {"origin": "file:/a.png", "height": height, "width": width, "nChannels": channels}
    fields |= {"mode": {1: 0, 3: 16, 4: 24}[channels], "data": pixels[..., order].tobytes()}
    return fields | changed


SPARK_IMAGE = pa.struct(
    [
        ("origin", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("nChannels", pa.int32()),
        ("mode", pa.int32()),
        ("data", pa.binary()),
    ]
)


def nested(kind: pa.DataType, depth: int) -> pa.DataType:
    return kind if depth == 0 else pa.list_(nested(kind, depth - 1))


def flat(pictures: np.ndarray) -> np.ndarray:
    return pictures.reshape(len(pictures), -1)
