"""What the card says of a model's inputs, where those are the tokens of texts."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.show.markdown import in_code, table
from sparknn_magic.show.words import preprocess_texts

NEEDS, ROWS = "ONNX Runtime, NumPy and tokenizers", "messages"
SNIPPET = """\
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])

tokenizer = Tokenizer.from_file("tokenizer.json")  # the preprocessing of texts is in it
tokenizer.encode_special_tokens = True  # what users write is text, "[SEP]" too
tokenizer.enable_truncation({length})
tokens = tokenizer.encode({text})
ids = np.array([tokens.ids], np.int64)  # of several texts: shorter ones are filled with {pad}, and have mask 0 there

inputs = {{"input_ids": ids, "attention_mask": np.ones_like(ids)}}
probabilities, index = session.run(["probabilities", "index"], inputs)
print(classes[index[0]], float(probabilities[0, index[0]]))
"""


STRINGS = """

`{file}` takes the texts themselves, where [onnxruntime-extensions](https://github.com/microsoft/onnxruntime-extensions)
is there; on {rows} training rows its answers differ from those of `model.onnx` by at most {max_difference:.1g}:

```python
import numpy as np
import onnxruntime
from onnxruntime_extensions import get_library_path

options = onnxruntime.SessionOptions()
options.register_custom_ops_library(get_library_path())
session = onnxruntime.InferenceSession("{file}", options)
print(session.run(None, {{{inputs}}})[0])
```"""


def strings(meta: Mapping[str, Any]) -> str:
    """Return how to run the file that takes texts; "" where there is none."""
    if "strings" not in meta:
        return ""
    pair = len(meta["spec"]["data"].get("text") or ()) == 2
    names = {"text": "the one text", "pair": "the other"} if pair else {"text": "your text"}
    inputs = ", ".join(f'"{name}": np.array(["{text}"], object)' for name, text in names.items())
    return STRINGS.format(**meta["strings"], inputs=inputs)


def snippet(meta: Mapping[str, Any]) -> str:
    """Return Python that scores one text."""
    shape = meta["input"]
    pair = len(meta["spec"]["data"].get("text") or ()) == 2
    text = '"the one text", "the other"' if pair else '"your text"'
    return SNIPPET.format(length=int(shape["length"]), pad=int(shape["pad"]), text=text)


def interface(meta: Mapping[str, Any]) -> str:
    """Return the file's inputs and outputs."""
    shape, k = meta["input"], len(meta.get("classes") or [])
    ids = f"token ids, 0 to {shape['vocabulary'] - 1}; N and T are free, T at most {shape['length']}"
    own = "of each class by itself: a row has those of 0.5 and more" if meta.get("several") else "of each class"
    rows = [
        ["", "name", "type", "meaning"],
        ["input", "`input_ids`", "`int64[N, T]`", ids],
        ["input", "`attention_mask`", "`int64[N, T]`", "1 for tokens, 0 for what fills short rows"],
        ["output", "`probabilities`", f"`float32[N, {k}]`", f"{own}, in the order below"],
        ["output", "`index`", "`int64[N]`", "the most probable class, from 0"],
        ["output", "`features`", "`float32[N, D]`", "what the last layer is given"],
    ]
    return f"## Inputs and outputs\n\n{table(rows, 'llll')}{strings(meta)}"


def before(meta: Mapping[str, Any]) -> str:
    """Return what is done to a text before the file gets it."""
    shape = meta["input"]
    steps = [f"`{in_code(step)}`" for step in preprocess_texts(meta)]
    cut = f"Tokens by `tokenizer.json`; the first {shape['length']} are read, the special ones among them."
    listed = "\n".join(f"{i}. {step}" for i, step in enumerate([*steps, cut], 1))
    return f"## Before the model\n\n{listed}"
