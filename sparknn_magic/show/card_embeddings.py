"""What the card says of a model's inputs, where texts go in and vectors come out."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.show import card_texts
from sparknn_magic.show.markdown import table

NEEDS, ROWS = card_texts.NEEDS, card_texts.ROWS
SNIPPET = """\
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
tokenizer = Tokenizer.from_file("tokenizer.json")  # the preprocessing of texts is in it
tokenizer.encode_special_tokens = True  # what users write is text, "[SEP]" too
tokenizer.enable_truncation({length})


def embed(text):
    ids = np.array([tokenizer.encode(text).ids], np.int64)  # of several texts: shorter ones are filled with {pad}
    return session.run(["embedding"], {{"input_ids": ids, "attention_mask": np.ones_like(ids)}})[0][0]


one, other = embed("your text"), embed("another text")
print(len(one), float(one @ other))  # 1 for texts of the same meaning, near 0 for strangers
"""


def snippet(meta: Mapping[str, Any]) -> str:
    """Return Python that compares two texts."""
    return SNIPPET.format(length=int(meta["input"]["length"]), pad=int(meta["input"]["pad"]))


def interface(meta: Mapping[str, Any]) -> str:
    """Return the file's inputs and outputs."""
    shape, width = meta["input"], meta["dimension"]
    ids = f"token ids, 0 to {shape['vocabulary'] - 1}; N and T are free, T at most {shape['length']}"
    rows = [
        ["", "name", "type", "meaning"],
        ["input", "`input_ids`", "`int64[N, T]`", ids],
        ["input", "`attention_mask`", "`int64[N, T]`", "1 for tokens, 0 for what fills short rows"],
        ["output", "`embedding`", f"`float32[N, {width}]`", "a vector of length 1: a product of two is their cosine"],
        ["output", "`features`", f"`float32[N, {width}]`", "the same before it is brought to length 1"],
    ]
    return f"## Inputs and outputs\n\n{table(rows, 'llll')}{card_texts.strings(meta)}"


before = card_texts.before
