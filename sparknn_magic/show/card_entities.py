"""What the card says of a model that finds named entities in texts."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.show.card_texts import NEEDS, ROWS, before
from sparknn_magic.show.markdown import table

__all__ = ["NEEDS", "ROWS", "before", "interface", "snippet"]

SNIPPET = """\
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
tags = json.loads(session.get_modelmeta().custom_metadata_map["classes"])

tokenizer = Tokenizer.from_file("tokenizer.json")  # the preprocessing of texts is in it
tokenizer.encode_special_tokens = True  # what users write is text, "[SEP]" too
tokenizer.enable_truncation({length})
text = "your text"
tokens = tokenizer.encode(text)
ids = np.array([tokens.ids], np.int64)  # of several texts: shorter ones are filled with {pad}, and have mask 0 there

inputs = {{"input_ids": ids, "attention_mask": np.ones_like(ids)}}
probabilities, index = session.run(["probabilities", "index"], inputs)

entities, before = [], "O"
for (start, end), tag, row in zip(tokens.offsets, (tags[i] for i in index[0]), probabilities[0]):
    if start == end:  # [CLS] and the like
        continue
    if tag != "O" and (tag[0] == "B" or before[2:] != tag[2:]):
        entities.append({{"label": tag[2:], "start": start, "scores": []}})
    if tag != "O":
        entities[-1]["end"] = end
        entities[-1]["scores"].append(float(row.max()))
    before = tag
for each in entities:
    print(each["label"], repr(text[each["start"] : each["end"]].strip()), sum(each["scores"]) / len(each["scores"]))
"""


def snippet(meta: Mapping[str, Any]) -> str:
    """Return Python that finds the entities of one text."""
    shape = meta["input"]
    return SNIPPET.format(length=int(shape["length"]), pad=int(shape["pad"]))


def interface(meta: Mapping[str, Any]) -> str:
    """Return the file's inputs and outputs."""
    shape, k = meta["input"], len(meta["classes"])
    ids = f"token ids, 0 to {shape['vocabulary'] - 1}; N and T are free, T at most {shape['length']}"
    rows = [
        ["", "name", "type", "meaning"],
        ["input", "`input_ids`", "`int64[N, T]`", ids],
        ["input", "`attention_mask`", "`int64[N, T]`", "1 for tokens, 0 for what fills short rows"],
        ["output", "`probabilities`", f"`float32[N, T, {k}]`", "of each token's tags, in the order below"],
        ["output", "`index`", "`int64[N, T]`", "each token's most probable tag, from 0"],
    ]
    note = (
        "B-x is the first token of an entity x, I-x one of the others, O none of any. What stands at padding, and at "
        "tokens that are no part of the text, means nothing."
    )
    return f"## Inputs and outputs\n\n{table(rows, 'llll')}\n\n{note}"
