"""A detector's figures in text, in the notebook's summary and in its card."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sparknn_magic.show.card import code_block, model_card
from sparknn_magic.show.html import metrics_html, model_html
from sparknn_magic.show.recall_curves import precision_recall
from sparknn_magic.show.text import metrics_table, model_text
from tests.show.box_cases import CLASSES, detector_meta, metrics_of
from tests.show.test_report import Reader


def test_the_table_has_coco_figures_and_a_line_for_each_class():
    lines = metrics_table(metrics_of(), evaluated_on="test").split("\n")
    left_out = "not counted: 1 without a prediction, 2 whose boxes cannot be used"
    assert lines[0] == f"rows                   67  of the test split, {left_out}"
    assert lines[1] == "mAP at IoU 0.5     0.8213  mean of the classes' average precision"
    assert lines[4] == "mAP, small boxes        -  below 32 x 32 pixels"
    assert "boxes                  79  3 bad ones were cut or left out" in lines
    assert [line.split() for line in lines[-4:-1]] == [
        ["cat", "0.5000", "0.8000", "40"],
        ["dog", "0.6000", "0.8500", "39"],
        ["bird", "-", "-", "0"],
    ]


def test_of_very_many_classes_the_worst_are_shown():
    text = metrics_table(metrics_of([f"class {n:02}" for n in range(40)]))
    assert "class 00" in text
    assert "class 30" not in text
    assert "… 20 classes with a higher mAP, or without boxes, left out" in text


def test_the_summary_and_the_model_in_words_name_map_and_boxes():
    meta = detector_meta()
    html = Reader(model_html(meta)).text
    for words in ("0.8213", "mAP at IoU 0.5", "cat\n0.5000\n0.8000\n40"):
        assert words in html
    assert "0.8213" in metrics_html(meta["metrics"])
    text = model_text(meta)
    assert "boxes to learn from  1,234" in text
    assert "none changed" in text


def save_detector(path, *, height, width, channels):
    """A file with a detector's interface that finds one bird in any picture, and guesses at another."""
    found = {
        "boxes": np.array([[[1, 2, 30, 40], [5, 5, 9, 9], [0, 0, 0, 0]]], np.float32),
        "scores": np.array([[0.875, 0.25, 0]], np.float32),
        "labels": np.array([[2, 2, -1]], np.int64),
        "count": np.array([2], np.int64),
    }
    nodes = [helper.make_node("Identity", [f"{name}_is"], [name]) for name in found]
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    outputs = [helper.make_tensor_value_info(n, kinds[v.dtype], v.shape) for n, v in found.items()]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, channels])
    constants = [numpy_helper.from_array(value, f"{name}_is") for name, value in found.items()]
    graph = helper.make_graph(nodes, "g", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"classes": json.dumps(CLASSES)})
    onnx.save(model, path)


def test_the_card_says_how_good_it_is_and_its_snippet_runs(tmp_path, run_script):
    meta = detector_meta()
    card = model_card(meta)
    for words in (
        "On 67 rows of the test split its mAP is **0.8213** at IoU 0.5, and 0.5512 as the mean over IoU 0.5 to 0.95.",
        "| output | `count` | `int64[N]` | how many objects there are, at most 100; behind them: zeros, label -1 |",
        "Of boxes of one class that overlap by an IoU above 0.6 the surest is kept (NMS).",
        "| mAP, large boxes, beyond 96 x 96 pixels | 0.6311 |",
        "- Cut boxes: 5 at the picture's edges",
    ):
        assert words in card
    folder = tmp_path / "cwd"
    folder.mkdir()
    save_detector(folder / "model.onnx", **meta["input"])
    # Of 640 x 480 pixels, five times as large as the network's picture.
    assert run_script(code_block(card)).stdout == "1 objects\nbird 0.875 [5.0, 10.0, 150.0, 200.0]\n"
    step = meta["preprocess"][0]
    for steps, box in (
        ([], "[5.0, 10.0, 150.0, 200.0]"),
        ([step | {"options": {"size": 128, "fill": [1, 2, 3]}}], "[5.0, 10.0, 150.0, 200.0]"),
        ([step | {"name": "center_crop"}], "[1.0, 2.0, 30.0, 40.0]"),  # the picture as it went in
        ([step | {"name": "resize"}, step], "[1.0, 2.0, 30.0, 40.0]"),
    ):
        code = code_block(model_card(meta | {"preprocess": steps}))
        assert run_script(code).stdout == f"1 objects\nbird 0.875 {box}\n"
        assert ("preprocessing listed below" in code) == (box == "[1.0, 2.0, 30.0, 40.0]")


def test_a_class_has_its_precision_over_its_recall():
    metrics = metrics_of(["cat", "dog"])
    metrics["curves"] = {"cat": [1 - (n / 100) ** 2 for n in range(101)]}
    (line,) = precision_recall(metrics).axes[0].get_lines()
    np.testing.assert_allclose(line.get_xdata(), np.linspace(0, 1, 101))
    np.testing.assert_allclose(line.get_ydata(), metrics["curves"]["cat"])


@pytest.mark.parametrize("count", [2, 3, 20])
def test_curves_of_few_classes_are_named_and_their_mean_stands_out(count):
    figure = precision_recall(metrics_of([f"class {n}" for n in range(count)]))
    named = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    shown = min(count - 1, 12)
    assert named == {2: ["class 0"], 3: ["class 0", "class 1", "mean of 2 classes"]}.get(
        count, [f"mean of {shown} classes"]
    )
