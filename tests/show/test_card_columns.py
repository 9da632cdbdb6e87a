"""The card of a model of columns: its snippet runs beside a file with the same interface."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sparknn_magic.show.card import code_block, model_card
from tests.show.conftest import COLUMNS

CLASSES = ["poor", "rich"]
NAMES = ["age", "pay_per_hour", "job", "tests"]


def save_model(path, features, names, classes):
    """A network that adds up its numbers, with a bundle's interface."""
    inputs, nodes, terms = [], [], []
    for name, feature in zip(names, features, strict=True):
        single = feature["type"] == "float"
        shape = ["N", feature["width"]] if feature["kind"] == "array" else ["N"]
        kind = TensorProto.FLOAT if single else TensorProto.DOUBLE
        if feature["kind"] == "category":
            kind = TensorProto.STRING
        inputs.append(helper.make_tensor_value_info(name, kind, shape))
        if feature["kind"] == "array":
            nodes.append(helper.make_node("ReduceSum", [name, "axis"], [f"{name}_t"], keepdims=0))
        elif feature["kind"] == "number":
            nodes.append(helper.make_node("Cast", [name], [f"{name}_t"], to=TensorProto.DOUBLE))
        if feature["kind"] != "category":
            terms.append(f"{name}_t")
    nodes.append(helper.make_node("Sum", terms, ["prediction"]))
    outputs = [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, ["N"])]
    if classes:
        nodes += [
            helper.make_node("Cast", ["prediction"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["x", "axis"], ["column"]),
            helper.make_node("Neg", ["column"], ["other"]),
            helper.make_node("Concat", ["other", "column"], ["logits"], axis=1),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
        ]
        outputs = [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info("index", TensorProto.INT64, ["N"]),
        ]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], np.array([1]))
    graph = helper.make_graph(nodes, "g", inputs, outputs, [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"classes": json.dumps(classes)})
    onnx.save(model, path)


@pytest.mark.parametrize("classes", [CLASSES, []], ids=["classes", "numbers"])
def test_the_snippet_runs_beside_the_model(make_columns_meta, tmp_path, run_script, classes):
    folder = tmp_path / "cwd"
    folder.mkdir()
    save_model(folder / "model.onnx", COLUMNS, NAMES, classes)
    code = code_block(model_card(make_columns_meta(classes)))
    assert '"job": np.array(["nurse"], object)' in code  # "it's" would not stand between quotes
    said = run_script(code).stdout.split()
    assert said == (["rich", "0.9999545812606812"] if classes else ["5.0"])


def test_the_snippet_of_very_many_columns_reads_their_names_from_the_file(make_columns_meta, tmp_path, run_script):
    meta = make_columns_meta()
    meta["features"] = [COLUMNS[i % 4] | {"name": f"c{i}"} for i in range(200)]
    folder = tmp_path / "cwd"
    folder.mkdir()
    save_model(folder / "model.onnx", meta["features"], [f"c{i}" for i in range(200)], [])
    code = code_block(model_card(meta))
    assert len(code) < 900
    assert run_script(code).stdout.split() == ["250.0"]
    assert "and 100 more columns |" in model_card(meta)


def test_the_card_says_what_a_model_of_numbers_is_and_how_good(make_columns_meta):
    card = model_card(make_columns_meta())
    for words in (
        "A model for vector-regression: mlp {width: 64}, 77.8 k parameters. ",
        "On 500 rows of the test split its mean absolute error is **41.61** and its R2 **0.5123**; to answer always "
        "with the mean of the training rows is off by 66.04.",
        "With ONNX Runtime and NumPy alone:",
        "| input | `pay_per_hour` | `float32[N]` | column pay per hour, in Spark float |",
        "| input | `job` | `string[N]` | column job, in Spark string |",
        "| input | `tests` | `float64[N, 3]` | column tests, in Spark array&lt;double&gt; |",
        "| output | `prediction` | `float64[N]` | pay, in its own units |",
        "1. `fill_nulls {with: median}`\n2. `standardize`\n",
        "| RMSE of the training rows' mean | 76.9 |",
        "| rows | 500 (5 more could not be counted) |",
        'model.predict(spark.table("rows"))',
    ):
        assert words in card
    for word in ("picture", "accuracy", "## Classes", "None"):
        assert word not in card


def test_the_card_of_a_classifier_of_columns_has_its_classes(make_columns_meta):
    card = model_card(make_columns_meta(CLASSES))
    assert "A model for vector-classification with 2 classes: mlp" in card
    assert "| output | `probabilities` | `float32[N, 2]` | of each class, in the order below |" in card
    assert "| 1 | rich |" in card
