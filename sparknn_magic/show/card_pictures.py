"""What the card says of a model's inputs, where those are pictures."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.show.markdown import in_code, table
from sparknn_magic.show.words import preprocess_texts, shape_text

NEEDS, ROWS = "ONNX Runtime, NumPy and Pillow", "pictures"
SNIPPET = """\
import json

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])

picture = Image.new("RGB", (640, 480), "white")  # yours: Image.open("photo.jpg")
picture = picture.convert("{mode}").resize(({width}, {height}))  # stands for the preprocessing listed below
image = np.asarray(picture, dtype=np.uint8).reshape(1, {height}, {width}, {channels})

probabilities, index = session.run(["probabilities", "index"], {{"image": image}})
print(classes[index[0]], float(probabilities[0, index[0]]))
"""


def snippet(meta: Mapping[str, Any]) -> str:
    """Return Python that scores one picture."""
    shape = meta["input"]
    mode = {1: "L", 3: "RGB"}.get(shape["channels"], "RGB")
    return SNIPPET.format(
        mode=mode, height=int(shape["height"]), width=int(shape["width"]), channels=int(shape["channels"])
    )


def interface(meta: Mapping[str, Any]) -> str:
    """Return the file's inputs and outputs."""
    shape, k = meta["input"], len(meta.get("classes") or [])
    rows = [
        ["", "name", "type", "meaning"],
        [
            "input",
            "`image`",
            f"`uint8[N, {shape['height']}, {shape['width']}, {shape['channels']}]`",
            f"pictures, {shape_text(shape)}, values 0 to 255; N is free",
        ],
        ["output", "`probabilities`", f"`float32[N, {k}]`", "of each class, in the order below"],
        ["output", "`index`", "`int64[N]`", "the most probable class, from 0"],
    ]
    note = (
        "Normalization and softmax are in the graph. The classes and the preprocessing stand in its metadata as JSON."
    )
    return f"## Inputs and outputs\n\n{table(rows, 'llll')}\n\n{note}"


def before(meta: Mapping[str, Any]) -> str:
    """Return what is done to a picture before the file gets it."""
    shape = meta["input"]
    steps = ["Decode the picture, turned upright by its EXIF orientation."]
    steps += [f"`{in_code(step)}`" for step in preprocess_texts(meta)]
    steps.append(f"The result is {shape_text(shape)}, uint8. The scale of 0 to 1, mean and deviation are in the graph.")
    return "## Before the model\n\n" + "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1))
