"""What the card says of a model's inputs, where those are columns: each enters the file as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparknn_magic.data.vectors.job import Feature, input_names
from sparknn_magic.show.markdown import escaped, in_code, table
from sparknn_magic.show.words import plural, preprocess_texts, step_text

NEEDS, ROWS = "ONNX Runtime and NumPy", "rows"
MOST_WRITTEN = 20  # columns that the snippet writes out one by one
MOST_LISTED = 100  # in the table

HEAD = """\
{imports}import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
{classes}
# One row; of N rows every array has N. A missing number is NaN, a missing category the empty text.
"""
EACH = """\
rows = {{
{lines}
}}
"""
ALL = """\
kinds = {"tensor(double)": (np.float64, 1.0), "tensor(float)": (np.float32, 1.0), "tensor(string)": (object, "")}
rows = {}
for column in session.get_inputs():
    dtype, value = kinds[column.type]
    rows[column.name] = np.full([1, *column.shape[1:]], value, dtype)
"""
CLASSIFIER = """\
probabilities, index = session.run(["probabilities", "index"], rows)
print(classes[index[0]], float(probabilities[0, index[0]]))
"""
NUMBER = """\
(prediction,) = session.run(["prediction"], rows)
print(float(prediction[0]))
"""


def snippet(meta: Mapping[str, Any]) -> str:
    """Return Python that scores one row."""
    features = _features(meta)
    read = 'classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])\n' if meta["classes"] else ""
    head = HEAD.format(imports="import json\n\n" if meta["classes"] else "", classes=read)
    if len(features) > MOST_WRITTEN:
        row = ALL
    else:
        values = zip(input_names(features), features, _samples(meta, features), strict=True)
        row = EACH.format(lines="\n".join(f'    "{name}": {_array(f, sample)},' for name, f, sample in values))
    return head + row + "\n" + (CLASSIFIER if meta["classes"] else NUMBER)


def _features(meta: Mapping[str, Any]) -> list[Feature]:
    return [Feature(**feature) for feature in meta["features"]]


def _samples(meta: Mapping[str, Any], features: Sequence[Feature]) -> list[str]:
    """Return of each category one of its values, where that can stand between quotes as it is."""
    values = iter(meta.get("categories") or ())
    found = []
    for feature in features:
        known = next(values, ()) if feature.kind == "category" else ()
        found.append(next((v for v in known if v.isprintable() and not set(v) & set("'\"\\`")), ""))
    return found


def _dtype(feature: Feature) -> str:
    return "string" if feature.kind == "category" else "float32" if feature.single else "float64"


def _array(feature: Feature, sample: str) -> str:
    if feature.kind == "category":
        return f'np.array(["{sample}"], object)'
    if feature.kind == "number":
        return f"np.array([1.0], np.{_dtype(feature)})"
    return f"np.ones((1, {feature.width}), np.{_dtype(feature)})"


def interface(meta: Mapping[str, Any]) -> str:
    """Return the file's inputs and outputs."""
    features, k = _features(meta), len(meta["classes"])
    rows = [["", "name", "type", "meaning"]]
    for name, feature in list(zip(input_names(features), features, strict=True))[:MOST_LISTED]:
        shape = "[N]" if feature.kind in ("number", "category") else f"[N, {feature.width}]"
        meaning = f"column {escaped(feature.name)}, in Spark {escaped(feature.type)}"
        rows.append(["input", f"`{name}`", f"`{_dtype(feature)}{shape}`", meaning])
    if len(features) > MOST_LISTED:
        rows.append(["input", "...", "", f"and {plural(len(features) - MOST_LISTED, 'more column')}"])
    if k:
        rows.append(["output", "`probabilities`", f"`float32[N, {k}]`", "of each class, in the order below"])
        rows.append(["output", "`index`", "`int64[N]`", "the most probable class, from 0"])
    else:
        label = escaped(meta["spec"]["data"].get("label") or "label")
        rows.append(["output", "`prediction`", "`float64[N]`", f"{label}, in its own units"])
    rows.append(["output", "`features`", "`float32[N, D]`", "what the last layer is given"])
    note = "N is free. A missing number is NaN, a missing category the empty text."
    return f"## Inputs and outputs\n\n{table(rows, 'llll')}\n\n{note}"


def before(meta: Mapping[str, Any]) -> str:
    """Return what is done to the columns: nothing before the file, all of it inside."""
    steps = [f"`{in_code(step_text(step))}`" for step in meta.get("preprocess") or []]
    steps.append("Categories become numbers; one that the training rows did not have counts as unknown.")
    listed = "\n".join(f"{i}. {step}" for i, step in enumerate(steps, 1))
    said = "Columns go in as they are. These steps, fitted to the training rows, are in the file:"
    return f"{_queries(meta)}## In the graph\n\n{said}\n\n{listed}"


def _queries(meta: Mapping[str, Any]) -> str:
    """Return what Spark does to the rows before the file gets them."""
    steps = preprocess_texts({"queries": meta.get("queries")})
    listed = "\n".join(f"{i}. `{in_code(step)}`" for i, step in enumerate(steps, 1))
    return f"## Before the model\n\n{listed}\n\n" if steps else ""
