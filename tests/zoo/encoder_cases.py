"""Tiny encoders, rows for them, and files as transformers itself writes them."""

import numpy as np
import torch
import transformers

from sparknn_magic import registry
from sparknn_magic.export.graph import export_onnx
from sparknn_magic.plugin import TextInputs

VOCABULARY, SEPARATOR = 40, 3
INPUTS = TextInputs(VOCABULARY, 24, pad=0, separator=SEPARATOR)
TINY = {"layers": 2, "width": 32, "heads": 2}
FAMILIES = ["bert", "distilbert", "roberta", "minilm", "modernbert", "electra"]
OPTIONS = dict.fromkeys(FAMILIES, TINY)
# Windows of 4 tokens, so that short texts have tokens that do not see each other.
OPTIONS["modernbert"] = TINY | {"config": {"local_attention": 4, "global_attn_every_n_layers": 2}}
TYPED = ("bert", "minilm", "electra")  # families that tell the two texts of a pair apart


def build(name, *, inputs=INPUTS, outputs=5, **options):
    return registry.get("architecture", name).build(inputs, outputs, **options)


def tiny(name, **options):
    torch.manual_seed(0)
    return build(name, **(OPTIONS[name] | options)).eval()


def pairs(rows=3, length=12, *, seed=0):
    """Rows `[CLS] a [SEP] b [SEP]` of falling lengths, the ids of padding among them; mask; kinds, made by hand."""
    random = np.random.default_rng(seed)
    ids, mask, kinds = (np.zeros((rows, length), np.int64) for _ in range(3))
    for row in range(rows):
        whole = length - 2 * (row % 3)
        ids[row, :whole] = random.integers(4, VOCABULARY, whole)
        first = whole // 2
        ids[row, 0], ids[row, first], ids[row, whole - 1] = 2, SEPARATOR, SEPARATOR
        mask[row, :whole] = 1
        kinds[row, first + 1 : whole] = 1
    return tuple(torch.from_numpy(x) for x in (ids, mask, kinds))


def write_files(name, folder, **changes):
    """Save transformers' own network with drawn weights, as a repository of the hub has it; return the network."""
    ours = tiny(name)
    torch.manual_seed(1)
    config = type(ours.config).from_dict(ours.rebuild["config"] | changes)
    theirs = transformers.AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()
    theirs.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return theirs.base_model


def export(network, folder):
    """Export as every text architecture is: both axes dynamic; return the file."""
    ids, mask, _ = pairs(2, 8)
    path = folder / "model.onnx"
    export_onnx(network, {"input_ids": ids, "attention_mask": mask}, ["logits"], path, {}, length=INPUTS.length)
    return path
