import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from ruamel.yaml import YAML

from sparknn_magic.show.card import code_block, escaped, model_card


def save_model(path, classes, height, width, channels):
    """A network of one matrix with a bundle's interface: image uint8[N,H,W,C] -> probabilities, index."""
    weights = np.random.default_rng(0).normal(size=(height * width * channels, len(classes))).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, channels])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(classes)]),
            helper.make_tensor_value_info("index", TensorProto.INT64, ["N"]),
        ],
        [helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"classes": json.dumps(classes)})
    onnx.save(model, path)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_snippet_of_the_card_runs_beside_the_model(make_meta, tmp_path, run_script, channels):
    meta = make_meta()
    meta["input"] = {"height": 20, "width": 28, "channels": channels}
    folder = tmp_path / "cwd"
    folder.mkdir()
    save_model(folder / "model.onnx", meta["classes"], 20, 28, channels)
    said = run_script(code_block(model_card(meta))).stdout.split()
    assert " ".join(said[:-1]) in meta["classes"]
    assert 0 < float(said[-1]) <= 1


def test_the_card_says_what_the_model_is_and_how_good(make_meta):
    card = model_card(make_meta())
    for words in (
        "# fashion\n",
        "A model for image-classification with 10 classes: resnet8 {width: 16}, 77.8 k parameters. "
        "`model.onnx` (321 kB) is all it takes to run it.",
        "On 2,000 rows of the test split its accuracy is **93.30%**; to answer always with the most frequent class "
        "gives 10.95%.",
        "| input | `image` | `uint8[N, 28, 28, 1]` | pictures, 28 x 28, grey, values 0 to 255; N is free |",
        "| output | `probabilities` | `float32[N, 10]` | of each class, in the order below |",
        "1. Decode the picture, turned upright by its EXIF orientation.\n2. `resize {size: 28}`\n3. `grayscale`\n",
        "| rows | 2,000 (5 more could not be counted) |",
        "| 9 | Ankle boot |",
        "- Architecture: He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385\n"
        "- Licence of its code: Apache-2.0\n",
    ):
        assert words in card


def test_the_experiment_in_the_card_reads_back(make_meta):
    meta = make_meta()
    meta["spec"]["data"]["train"] = "SELECT '```' FROM t"
    assert YAML(typ="safe").load(code_block(model_card(meta), "yaml")) == meta["spec"]


def test_no_label_is_markup_in_the_card(make_meta, strange):
    card = model_card(make_meta(strange))
    assert "| 0 | &lt;img src=x onerror=alert(1)&gt; |\n" in card
    assert "| 1 | \\$x^2\\$ &amp; \\$\\\\frac |\n" in card
    assert "| 2 | \\`a\\` \\| \\*\\*b\\*\\* |\n" in card
    assert "| 3 | two\\\\nlines |\n" in card


def test_markdown_of_labels_is_escaped():
    assert escaped("[x](javascript:y)") == "\\[x\\](javascript:y)"
    assert escaped("![x](y)") == "!\\[x\\](y)"


def test_of_very_many_classes_the_card_names_some(make_meta):
    card = model_card(make_meta([f"c{i}" for i in range(1000)]))
    assert "And 800 more classes: all are in the metadata of `model.onnx`." in card
    assert "| 199 | c199 |" in card
    assert "| 200 | c200 |" not in card


def test_a_card_without_metrics_has_no_quality_section(make_meta):
    meta = make_meta()
    del meta["metrics"], meta["versions"], meta["parity"]
    assert "## Quality" not in model_card(meta)
    assert "None" not in model_card(meta)


def test_a_missing_code_block_is_said():
    with pytest.raises(ValueError, match="the text has 0 blocks of python, not 1"):
        code_block("nothing")
