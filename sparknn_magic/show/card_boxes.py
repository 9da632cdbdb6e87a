"""What the card says of a detector's inputs and outputs."""

from collections.abc import Mapping
from typing import Any

from PIL import Image

from sparknn_magic.show.card_pictures import NEEDS, ROWS, before
from sparknn_magic.show.markdown import table
from sparknn_magic.show.words import number, shape_text

__all__ = ["NEEDS", "ROWS", "before", "interface", "snippet"]

SNIPPET = """\
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])

photo = Image.new("RGB", (640, 480), "white")  # yours: Image.open("photo.jpg")
photo = ImageOps.exif_transpose(photo).convert("{mode}")
{prepare}
image = np.asarray(picture, dtype=np.uint8).reshape(1, {height}, {width}, {channels})

boxes, scores, labels, count = session.run(["boxes", "scores", "labels", "count"], {{"image": image}})
{back}
sure = int((scores[0] >= 0.5).sum())  # of `count` objects, the surest first
print(sure, "objects")
for n in range(sure):
    print(classes[labels[0, n]], round(float(scores[0, n]), 3), boxes[n].round(1).tolist())
"""
RESIZE = "picture = photo.resize(({width}, {height}), Image.Resampling.BILINEAR)"
LETTERBOX = """\
scale = min({width} / photo.width, {height} / photo.height)
inner = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
left, top = ({width} - inner[0]) // 2, ({height} - inner[1]) // 2
picture = Image.new("{mode}", ({width}, {height}), {fill})
picture.paste(photo.resize(inner, Image.Resampling.BILINEAR), (left, top))"""
UNBOXED = """\
boxes = (boxes[0] - (left, top, left, top)) * np.divide(photo.size * 2, inner * 2)
boxes = boxes.clip(0, photo.size * 2)  # x1, y1, x2, y2 in pixels of the upright photo"""
RESIZED = """\
boxes = boxes[0] * np.divide(photo.size * 2, picture.size * 2)  # x1, y1, x2, y2 in pixels of the upright photo"""
OTHER = "boxes = boxes[0]  # x1, y1, x2, y2 in pixels of `picture`"


def snippet(meta: Mapping[str, Any]) -> str:
    """Return Python that finds the objects of one picture; after a letterbox alone, in pixels of the photo."""
    shape = meta["input"]
    mode = {1: "L", 3: "RGB"}.get(shape["channels"], "RGB")
    sizes = {"mode": mode, **{name: int(shape[name]) for name in ("height", "width", "channels")}}
    steps = [(step["name"], step.get("options", {})) for step in meta["preprocess"]]
    prepare, back = RESIZE.format(**sizes), RESIZED
    name, options = steps[0] if len(steps) == 1 else (None, {})
    bilinear = options.get("interpolation", "bilinear") == "bilinear"
    if name == "letterbox" and bilinear:
        prepare, back = LETTERBOX.format(fill=_fill(options.get("fill", 114), mode), **sizes), UNBOXED
    elif steps and not (name == "resize" and bilinear):
        prepare, back = f"{prepare}  # stands for the preprocessing listed below", OTHER
    return SNIPPET.format(prepare=prepare, back=back, **sizes)


def _fill(level: Any, mode: str) -> Any:
    """Return the colour of bars as Pillow takes it."""
    colour = level if isinstance(level, list | tuple) else [level] * 3
    return tuple(colour) if mode == "RGB" else Image.new("RGB", (1, 1), tuple(colour)).convert("L").getpixel((0, 0))


def interface(meta: Mapping[str, Any]) -> str:
    """Return the file's inputs and outputs."""
    shape, rules = meta["input"], meta["detections"]
    most, least = int(rules["most"]), number(rules["score"])
    rows = [
        ["", "name", "type", "meaning"],
        [
            "input",
            "`image`",
            f"`uint8[N, {shape['height']}, {shape['width']}, {shape['channels']}]`",
            f"pictures, {shape_text(shape)}, values 0 to 255; N is free",
        ],
        ["output", "`boxes`", "`float32[N, K, 4]`", "x1, y1, x2, y2 in pixels of the input; the highest score first"],
        ["output", "`scores`", "`float32[N, K]`", f"0 to 1, {least} at least"],
        ["output", "`labels`", "`int64[N, K]`", "the class, from 0, in the order below"],
        [
            "output",
            "`count`",
            "`int64[N]`",
            f"how many objects there are, at most {most}; behind them: zeros, label -1",
        ],
    ]
    apart = "No box is left out for lying on another one."
    if rules.get("nms") is not None:
        apart = f"Of boxes of one class that overlap by an IoU above {number(rules['nms'])} the surest is kept (NMS)."
    note = f"Normalization, the choice of boxes and NMS are in the graph. {apart} On Spark, boxes are in pixels of the "
    note += "upright picture, turned as its EXIF says."
    return f"## Inputs and outputs\n\n{table(rows, 'llll')}\n\n{note}"
