"""SQL functions on columns of pictures, for any query of the session: nn_decode(image), nn_resize(image, 32, 32), ...

`image` is a column as training takes it: JPEG, PNG, WebP, BMP or GIF bytes, Spark's image struct, or nested arrays. A
value that is no picture gives null, and costs no other row. Arrow goes in and out; the work is in `arrays.py`.
"""

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

IMAGE = "struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>"  # Spark's image struct


def nn_decode(image: pa.Array) -> pa.Array:
    """Encoded picture -> Spark's image struct, upright: 8-bit grey, or blue, green and red."""
    from sparknn_magic.data.arrays import decoded

    return decoded(image)


def nn_resize(image: pa.Array, height: pa.Array, width: pa.Array) -> pa.Array:
    """Picture -> image struct of this height and width in pixels, antialiased."""
    from sparknn_magic.data.arrays import resized

    return resized(image, height, width)


def nn_crops(image: pa.Array, boxes: pa.Array, margin: pa.Array, side: pa.Array) -> pa.Array:
    """Picture -> an image struct of side x side pixels for each of its boxes; null for one without area in the picture.

    boxes: array<array<number>> or array<struct<x1, y1, x2, y2>> in pixels of the upright picture. Each crop shows the
    square around its box and `margin` (0 to 1) of the box's longer side all around; black beyond the picture.
    """
    from sparknn_magic.data.arrays import cropped

    return cropped(image, boxes, margin, side)


def nn_normalize(image: pa.Array, mean: pa.Array, std: pa.Array) -> pa.Array:
    """Picture -> (pixel / 255 - mean) / std, row by row, a pixel red, green, blue; mean and std: numbers or arrays."""
    from sparknn_magic.data.arrays import normalized

    return normalized(image, mean, std)


def nn_image_size(image: pa.Array) -> pa.Array:
    """Picture -> its height and width in pixels, upright, and 1 channel for grey, 3 for colour; by its header alone."""
    from sparknn_magic.data.arrays import sizes

    return sizes(image)


def nn_is_image(image: pa.Array) -> pa.Array:
    """Value -> whether it is a picture that can be decoded to its end; false for null."""
    from sparknn_magic.data.arrays import readable

    return readable(image)


RESULTS = {
    nn_decode: IMAGE,
    nn_resize: IMAGE,
    nn_crops: f"array<{IMAGE}>",
    nn_normalize: "array<float>",
    nn_image_size: "struct<height:int,width:int,channels:int>",
    nn_is_image: "boolean",
}


def register(spark: "SparkSession") -> None:
    """Make the functions known to a session's SQL; `sessions.adopt` does it once."""
    from pyspark.sql.functions import arrow_udf

    for function, result in RESULTS.items():
        spark.udf.register(function.__name__, arrow_udf(function, result))  # type: ignore[call-overload]
