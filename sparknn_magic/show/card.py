"""The model card: the README.md of a bundle, for whoever is handed the folder and nothing else."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sparknn_magic.show.text import parity_text, rows_text
from sparknn_magic.show.words import (
    amount,
    count,
    duration,
    figure,
    percent,
    plain,
    plural,
    shape_text,
    size,
    step_text,
    yaml_text,
)

MOST_CLASSES = 200  # named in the card; model.onnx holds all of them

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


def model_card(meta: Mapping[str, Any]) -> str:
    """Return the card of a bundle's meta as Markdown: what the model is, how to run it, how good it is."""
    sections = [
        _what(meta),
        "## Use it\n\nWith ONNX Runtime, NumPy and Pillow alone:\n\n" + _fenced(_snippet(meta), "python"),
        _on_spark(),
        _interface(meta),
        _before(meta),
        _quality(meta),
        _training(meta),
        _classes(meta.get("classes") or []),
        _origin(meta),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def code_block(markdown: str, language: str = "python", nth: int = 0) -> str:
    """Return the text of the nth fenced block of that language in a Markdown text.

    Raises: ValueError where there are not so many.
    """
    blocks = re.findall(rf"^(`{{3,}}){re.escape(language)}\n(.*?)^\1$", markdown, flags=re.DOTALL | re.MULTILINE)
    if nth >= len(blocks):
        raise ValueError(f"the text has {plural(len(blocks), 'block')} of {language}, not {nth + 1}.")
    return str(blocks[nth][1])


def escaped(text: object) -> str:
    """Return a label as Markdown shows it letter for letter, inside a line or a table cell: no markup survives."""
    words = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", words)


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Return a Markdown table whose first row is the head; the cells are Markdown already."""
    rule = ["---:" if a == "r" else "---" for a in align]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def _what(meta: Mapping[str, Any]) -> str:
    model, metrics = meta.get("model") or {}, meta.get("metrics")
    about = f"A model for {escaped(meta['task'])} with {plural(len(meta.get('classes') or []), 'class', 'classes')}"
    if model:
        about += f": {escaped(step_text(model))}"
        about += f", {amount(model['parameters'])} parameters" if "parameters" in model else ""
    about += (
        f". `model.onnx` ({size(meta['size_bytes'])}) is all it takes to run it." if meta.get("size_bytes") else "."
    )
    if metrics:
        about += (
            f"\n\nOn {plural(metrics['rows'], 'row')} of the {plain(meta.get('evaluated_on', 'test'))} split its "
            f"accuracy is **{percent(metrics['accuracy'], 2)}**; to answer always with the most frequent class gives "
            f"{percent(metrics['baseline_accuracy'], 2)}."
        )
    return f"# {escaped(meta['name'])}\n\n{about}"


def _snippet(meta: Mapping[str, Any]) -> str:
    shape = meta["input"]
    mode = {1: "L", 3: "RGB"}.get(shape["channels"], "RGB")
    return SNIPPET.format(
        mode=mode, height=int(shape["height"]), width=int(shape["width"]), channels=int(shape["channels"])
    )


def _on_spark() -> str:
    code = (
        "import sparknn_magic\n\n"
        'model = sparknn_magic.load("path/of/this/folder")\n'
        'model.predict(spark.table("pictures"))\n'
    )
    return "On Spark, with the preprocessing done for you:\n\n" + _fenced(code, "python")


def _interface(meta: Mapping[str, Any]) -> str:
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
    return f"## Inputs and outputs\n\n{_table(rows, 'llll')}\n\n{note}"


def _before(meta: Mapping[str, Any]) -> str:
    shape = meta["input"]
    steps = ["Decode the picture, turned upright by its EXIF orientation."]
    steps += [f"`{_in_code(step_text(step))}`" for step in meta.get("preprocess") or []]
    steps.append(f"The result is {shape_text(shape)}, uint8. The scale of 0 to 1, mean and deviation are in the graph.")
    return "## Before the model\n\n" + "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1))


def _in_code(text: str) -> str:
    # Inside a code span only a backtick ends it, and nothing can escape one.
    return text.replace("`", "'")


def _quality(meta: Mapping[str, Any]) -> str:
    metrics = meta.get("metrics")
    if not metrics:
        return ""
    rows = [
        ["figure", "value"],
        ["accuracy", figure(metrics["accuracy"])],
        ["accuracy of the most frequent class", figure(metrics["baseline_accuracy"])],
        ["macro F1", figure(metrics["macro"]["f1"])],
        ["log loss, nats a row", figure(metrics["log_loss"])],
    ]
    if metrics["top5_accuracy"] is not None:
        rows.append(["top-5 accuracy", figure(metrics["top5_accuracy"])])
    left_out = metrics["errors"] + metrics["unknown_labels"]
    rows.append(
        ["rows", count(metrics["rows"]) + (f" ({count(left_out)} more could not be counted)" if left_out else "")]
    )
    parity = parity_text(meta.get("parity") or {})
    note = f"\n\n{parity}." if parity else ""
    return f"## Quality\n\nOn the {plain(meta.get('evaluated_on', 'test'))} rows.\n\n{_table(rows, 'lr')}{note}"


def _training(meta: Mapping[str, Any]) -> str:
    training, parts = meta.get("training") or {}, []
    if rows := rows_text(meta.get("rows") or {}):
        parts.append(f"Rows: {escaped(rows)}.")
    if training:
        best = f", of which epoch {training['best_epoch']} was kept" if training.get("best_epoch") else ""
        place = f"{plural(training.get('workers', 1), 'worker')} on {plain(training.get('device', '?'))}"
        epochs = plural(training["epochs"], "epoch")
        parts.append(f"{epochs}{best}, in {duration(training.get('seconds'))} with {escaped(place)}.")
    if meta.get("spec"):
        parts.append("The experiment:\n\n" + _fenced(yaml_text(meta["spec"]), "yaml"))
    return "## Training\n\n" + "\n\n".join(parts) if parts else ""


def _classes(classes: Sequence[str]) -> str:
    if not classes:
        return ""
    lines = [["index", "class"]] + [[str(i), escaped(c)] for i, c in enumerate(classes[:MOST_CLASSES])]
    more = len(classes) - MOST_CLASSES
    note = (
        f"\n\nAnd {plural(more, 'more class', 'more classes')}: all are in the metadata of `model.onnx`."
        if more > 0
        else ""
    )
    return f"## Classes\n\n{_table(lines, 'rl')}{note}"


def _origin(meta: Mapping[str, Any]) -> str:
    model = meta.get("model") or {}
    lines = [f"- Architecture: {escaped(model['source'])}"] if model.get("source") else []
    lines += [f"- Licence of its code: {escaped(model['licence'])}"] if model.get("licence") else []
    if meta.get("versions"):
        lines.append("- Made with " + escaped(", ".join(f"{k} {v}" for k, v in meta["versions"].items())))
    lines += [f"- Created {escaped(meta['created'])}"] if meta.get("created") else []
    note = "The weights come from the training rows: whose licence those have, the weights' users must know."
    return "## Origin\n\n" + "\n".join([*lines, f"- {note}"])
