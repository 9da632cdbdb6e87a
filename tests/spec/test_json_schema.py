"""The JSON Schema for editors, held against what the experiment itself says of the same texts."""

import json
from pathlib import Path

import jsonschema
import pytest

from sparknn_magic import registry
from sparknn_magic.cli import main
from sparknn_magic.errors import SparkNNError
from sparknn_magic.show.catalogue import example_cell
from sparknn_magic.show.starter import starter
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.json_schema import cell_schema
from sparknn_magic.spec.parse import parse
from sparknn_magic.spec.resolve import resolve

KINDS = [kind for kind in registry.GROUPS if kind not in ("sample", "metric", "tracker")]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def schema():
    return cell_schema()


@pytest.fixture(scope="module")
def faults(schema):
    checker = jsonschema.Draft202012Validator(schema)
    return lambda text: [error.message for error in checker.iter_errors(parse(text).value)]


def test_the_schema_is_one_and_refers_to_nothing_that_is_missing(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(schema)
    named = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert named <= set(schema["$defs"])


@pytest.mark.parametrize("task", registry.names("task"))
def test_cells_to_start_from_are_valid(faults, task):
    assert faults(starter(task)) == []


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in registry.names(kind)])
def test_the_example_of_every_plugin_is_valid(faults, kind, name):
    cell = example_cell(registry.get(kind, name)).split("\n", 1)[1]
    assert faults(cell) == []


def test_the_cells_of_the_readme_are_valid(faults):
    blocks = (ROOT / "README.md").read_text().split("```yaml\n%%sparknn train ")[1:]
    cells = [block.split("```")[0].split("\n", 1)[1] for block in blocks]
    assert len(cells) >= 4
    assert [faults(cell) for cell in cells] == [[] for _ in cells]


HEAD = "task: image-classification\ndata: {train: products}\nmodel: resnet8\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "train: {early_stopping: 3, time_limit: 10m, workers: auto, freeze: stem}",
        HEAD + "train: {early_stopping: {patience: 2}, time_limit: 90, freeze: [a, b], schedule: {step: {every: 2}}}",
        HEAD + "train: {optimizer: {adamw: {lr: 1e-3, betas: [0.9, 0.99]}}}",
        HEAD + "preprocess: [{resize: 32}, {sql: 'SELECT * FROM {data}', params: {a: 1}}]\naugment:\n",
        HEAD + "export: models/x\nmetrics: {a: sum(1), b: {sql: avg(2)}}\nname: good",
        HEAD + "export: {folder: x}\nloss: {focal: {gamma: 3}}",
        HEAD.replace(
            "products", "products, validation: 0.2, test: {column: split, is: test}, key: id, shape: [28, 28]"
        ),
        HEAD.replace("{train: products}", "{train: {sql: SELECT 1, params: {a: 1}}, validation: null, key: [a, b]}"),
        HEAD.replace("resnet8", "[{conv2d: 8}, relu, {residual: [relu]}, {parallel: [[relu], [tanh]]}, flatten]"),
        HEAD.replace("resnet8", "{resnet18: {width: 8, stem: cifar}}"),
        HEAD.replace("resnet8", "sparknn_zoo:resnet8"),
        "task: text-classification\ndata: {train: t, text: [a, b], max_length: auto}\nmodel: textcnn\ntokenizer: bpe",
    ],
)
def test_what_an_experiment_takes_the_schema_takes(faults, text):
    resolve(Experiment.parse(text))
    assert faults(text) == []


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("resnet8", "resnet81"),
        HEAD.replace("resnet8", "fasttext"),
        HEAD.replace("resnet8", "{resnet18: {widht: 8}}"),
        HEAD.replace("resnet8", "{resnet18: {stem: small}}"),
        HEAD.replace("resnet8", "[relu, {conv2d: {filtres: 8}}]"),
        HEAD.replace("image-classification", "image-clasification"),
        HEAD + "trian: {epochs: 3}",
        HEAD + "train: {epochs: 0}",
        HEAD + "train: {epochs: many}",
        HEAD + "train: {device: gpu}",
        HEAD + "train: {optimizer: {adamw: {rate: 1}}}",
        HEAD + "preprocess: [lowercase]",
        HEAD + "preprocess: [{resize: {size: 32, sise: 2}}]",
        HEAD + "tokenizer: words",
        HEAD + "metrics: [a]",
        HEAD.replace("products", "products, validation: 2"),
        "data: {train: t}\nmodel: mlp",
    ],
)
def test_what_the_schema_refuses_the_experiment_refuses_too(faults, text):
    with pytest.raises(SparkNNError):
        resolve(Experiment.parse(text))
    assert faults(text)


def test_the_line_that_tells_an_editor_of_the_schema_may_stand_on_top():
    assert Experiment.parse(f"# yaml-language-server: $schema=sparknn.schema.json\n{HEAD}") == Experiment.parse(HEAD)


def test_keys_and_plugins_have_a_description_for_the_editors_bubble(schema):
    assert all(found.get("description") for found in schema["properties"].values())
    assert all(found.get("description") for found in schema["$defs"]["TrainSpec"]["properties"].values())
    architectures = schema["$defs"]["architecture"]["anyOf"][1]["properties"]
    assert architectures["resnet18"]["description"].startswith("ResNet of 18 layers")
    assert schema["$defs"]["TrainSpec"]["properties"]["epochs"]["default"] == 10


def test_the_shell_prints_it(capsys, schema):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema).replace("`%sparknn ", "`sparknn "))
