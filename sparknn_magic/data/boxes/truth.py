"""The true boxes of rows beside their predictions, on executors: what an evaluation brings to the driver of them."""

import numpy as np
import pyarrow as pa

from sparknn_magic.data.boxes.job import BoxRules
from sparknn_magic.data.boxes.worker import read_boxes
from sparknn_magic.data.worker import picture_header

TRUTH = "struct<boxes:array<double>,labels:array<string>,bad:int,example:string,error:string>"


def truth_of(
    image: pa.Array, boxes: pa.Array, labels: pa.Array, rules: BoxRules, shape: tuple[int, ...] | None = None
) -> pa.StructArray:
    """Return of n rows struct<boxes, labels, bad, example, error>; no picture is decoded.

    boxes: list<double>, four numbers for each good box: x1, y1, x2, y2 in pixels of the upright picture; labels:
    list<string> of as many; bad: how many were cut or left out, with an `example` in words; error: why the row cannot
    be used. image, boxes and labels are as `image_reader` and `read_boxes` take them.
    """
    header = picture_header(image, shape)
    sizes = [header.field(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in ("width", "height")]
    found = read_boxes(boxes, labels, np.stack(sizes, axis=1), rules)
    numbers = pa.array(found.boxes.ravel())
    columns = {
        "boxes": pa.ListArray.from_arrays(pa.array((4 * found.offsets).astype(np.int32)), numbers),
        "labels": pa.ListArray.from_arrays(pa.array(found.offsets.astype(np.int32)), found.labels),
        "bad": pa.array((found.clipped + found.left.sum(axis=1)).astype(np.int32)),
        "example": pa.array([left or cut for left, cut in zip(found.example_left, found.example_clipped, strict=True)]),
        "error": pa.array(found.errors, pa.string()),
    }
    columns["example"] = columns["example"].cast(pa.string())
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
