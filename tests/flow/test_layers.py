"""The classic example: two dense layers on flattened pictures of CIFAR's shape, in ten lines, from rows to SQL."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import sparknn_magic
from sparknn_magic.errors import SpecError
from sparknn_magic.show.html import plan_html
from sparknn_magic.show.text import plan_text
from sparknn_magic.spec.layers import SOFTMAX_NOTE, described_stack

CELL = """\
task: image-classification
data: {train: cifar, test: cifar_test}
model:
- flatten
- dense: 64
- relu
- dense: 10
- softmax
loss: sparse_cross_entropy
train: {epochs: 10, batch_size: 32, optimizer: adam}
"""
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def pictures(spark, rows, seed):
    """Noise, with a square that is brighter or darker in one colour where the class says: 10 classes, 32x32x3."""
    random = np.random.default_rng(seed)
    found = []
    for n in range(rows):
        kind = n % 10
        pixels = random.integers(64, 192, (32, 32, 3), dtype=np.uint8)
        top, left = 2 + 10 * (kind % 3), 2 + 10 * (kind // 3 % 3)
        pixels[top : top + 8, left : left + 8, kind % 3] = 255 if kind < 9 else 0
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        found.append((n, out.getvalue(), CLASSES[kind]))
    return spark.createDataFrame(found, "id int, image binary, label string")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("layers")


@pytest.fixture(scope="module")
def trained(spark, home):
    assert len(CELL.splitlines()) == 10
    pictures(spark, 400, 0).createOrReplaceTempView("cifar")
    pictures(spark, 100, 1).createOrReplaceTempView("cifar_test")
    return sparknn_magic.train(
        CELL, name="classic", overrides=[f"export={home / 'classic'}"], spark=spark, runs=home / "runs"
    )


def test_its_network_is_drawn_from_the_model_folder_alone(trained):
    text = repr(sparknn_magic.graph(trained.folder))
    assert text.split("\n", 1)[0] == "classic: 4 blocks, 197,322 parameters"
    assert [line.split()[:2] for line in text.split("\n")[2:]] == [
        ["flatten", "Flatten"], ["dense", "Linear"], ["relu", "ReLU"], ["dense_1", "Linear"]
    ]  # fmt: skip


def test_the_classic_example_learns_and_serves_in_sql(trained, spark):
    assert trained.metrics["accuracy"] > 0.8  # by chance 0.1
    assert trained.metrics["rows"] == 100
    assert trained.meta["parity"]["changed_decisions"] == 0
    assert trained.meta["training"]["notes"] == [SOFTMAX_NOTE]
    found = spark.sql("SELECT label, classic(image).label AS said FROM cifar_test").collect()
    assert sum(row.label == row.said for row in found) == round(100 * trained.metrics["accuracy"])


def test_the_model_folder_says_its_layers(trained):
    meta = json.loads((trained.folder / "bundle.json").read_text())
    model = meta["model"]
    assert (model["name"], model["parameters"]) == ("layers", 3072 * 64 + 64 + 64 * 10 + 10)
    assert [layer["name"] for layer in model["options"]["layers"]] == ["flatten", "dense", "relu", "dense"]
    assert meta["spec"]["model"][-1] == "softmax"
    assert "4 layers (flatten, dense, relu, dense)" in (trained.folder / "README.md").read_text()
    from sparknn_magic.plugin import ImageInputs

    network = described_stack(model).build(ImageInputs(**meta["input"]), 10)
    assert sum(p.numel() for p in network.parameters()) == model["parameters"]


def test_a_dry_run_prints_the_table_of_layers(trained, spark, home):
    plan = sparknn_magic.dry_run(CELL, name="classic", overrides=[f"export={home / 'none'}"], spark=spark)
    assert plan["notes"] == [SOFTMAX_NOTE]
    assert "classic: 4 blocks, 197,322 parameters" in plan_html(plan)
    lines = [line.split("  ") for line in plan_text(plan).split("\n")]
    said = [[cell.strip() for cell in line if cell] for line in lines]
    for row in (
        ["layer", "output shape", "parameters"],
        ["flatten", "[?, 3072]", "0"],
        ["dense", "[?, 64]", "196,672"],
        ["relu", "[?, 64]", "0"],
        ["dense_1", "[?, 10]", "650"],
        ["total", "197,322"],
    ):
        assert row in said


def test_a_shape_that_does_not_fit_is_an_error_before_training(trained, spark, home):
    with pytest.raises(SpecError, match=r"line 4, column 3: dense takes rows .* the pictures are \[3, 32, 32\]"):
        sparknn_magic.train(CELL.replace("- flatten\n", ""), name="classic", spark=spark, runs=home / "none")
    with pytest.raises(SpecError, match=r"line 7, column 3: the last dense has 9 units, but there are 10 classes"):
        sparknn_magic.dry_run(CELL.replace("dense: 10", "dense: 9"), name="classic", spark=spark)
