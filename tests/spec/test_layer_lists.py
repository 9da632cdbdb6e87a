"""`model:` as a list of layers: what it says, and errors with line, column, layer and both shapes."""

import json
import pickle

import pytest

from sparknn_magic.errors import SparkNNError, SpecError, UnknownName
from sparknn_magic.plugin import ImageInputs, VectorInputs
from sparknn_magic.spec import Experiment, Step
from sparknn_magic.spec.layers import SOFTMAX_NOTE, described_stack
from sparknn_magic.spec.resolve import resolve

HEAD = "task: image-classification\ndata: {train: products}\n"
SMALL = """\
model:
- conv2d: {filters: 4, kernel: 3}
- relu
- max_pool2d: 2
- flatten
- dense: 10
"""


def built(text: str, outputs: int = 10, **options):
    """Build the network as a run does, errors at their place."""
    experiment = Experiment.parse(HEAD + text, **options)
    model = resolve(experiment).model
    try:
        return model.part.build(ImageInputs(1, 28, 28), outputs)
    except SparkNNError as error:
        where = model.where(error)
        raise experiment.error(where, error.message, hint=error.hint, key=len(where) > 1) from error


def message(text: str, kind: type[SparkNNError] = SpecError, **options) -> str:
    with pytest.raises(kind) as caught:
        built(text, **options)
    return str(caught.value)


def test_a_list_of_layers_is_read_as_steps():
    experiment = Experiment.parse(HEAD + SMALL)
    assert experiment.model == (
        Step(name="conv2d", options={"filters": 4, "kernel": 3}),
        Step(name="relu"),
        Step(name="max_pool2d", value=2),
        Step(name="flatten"),
        Step(name="dense", value=10),
    )


def test_a_list_of_layers_goes_to_json_and_back():
    experiment = Experiment.parse(HEAD + SMALL + "init: {normal: 0.02}\n")
    again = Experiment.load(json.loads(json.dumps(experiment.to_dict())))
    assert again == experiment
    assert experiment.to_dict()["model"][0] == {"conv2d": {"filters": 4, "kernel": 3}}
    assert experiment.fingerprint(["model"]) != Experiment.parse(HEAD + "model: lenet5\n").fingerprint(["model"])


def test_what_travels_is_names_and_plain_values_and_not_the_lines_of_the_cell():
    part = resolve(Experiment.parse(HEAD + SMALL)).model.part
    assert pickle.loads(pickle.dumps(part)) == part
    assert part.ref == "sparknn_magic.layers:stack"
    assert part == resolve(Experiment.parse(HEAD + "\n\n# moved\n" + SMALL)).model.part
    assert part.options["layers"][4] == {
        "name": "dense",
        "ref": "sparknn_zoo.layers.dense:dense",
        "options": {"units": 10, "bias": True, "activation": None},
    }


def test_a_model_folder_says_the_layers_and_they_are_built_again_from_it():
    text = SMALL + "- residual: [{dense: 10}, {parallel: [[relu], [tanh]], merge: add}]\ninit: orthogonal\n"
    text = text.replace(
        "{parallel: [[relu], [tanh]], merge: add}", "{parallel: {branches: [[relu], tanh], merge: add}}"
    )
    model = resolve(Experiment.parse(HEAD + text)).model
    said = json.loads(json.dumps(model.describe()))
    assert said["name"] == "layers"
    assert [layer["name"] for layer in said["options"]["layers"]] == [
        "conv2d", "relu", "max_pool2d", "flatten", "dense", "residual",
    ]  # fmt: skip
    assert said["options"]["layers"][0]["package"] == "sparknn-magic"
    said["options"]["layers"][0]["ref"] = "os:system"  # what a folder brings is not imported
    inputs = ImageInputs(1, 28, 28)
    assert str(described_stack(said).build(inputs, 10)) == str(model.part.build(inputs, 10))


def test_the_last_softmax_is_left_out_with_a_note():
    for text in ("- flatten\n- dense: 10\n- softmax\n", "- flatten\n- dense: {units: 10, activation: softmax}\n"):
        model = resolve(Experiment.parse(HEAD + "model:\n" + text)).model
        assert model.notes == (SOFTMAX_NOTE,)
        assert "Softmax" not in str(model.part.build(ImageInputs(1, 4, 4), 10))
    inner = "- flatten\n- dense: 8\n- softmax\n- dense: 10\n"
    model = resolve(Experiment.parse(HEAD + "model:\n" + inner)).model
    assert model.notes == ()
    assert "Softmax" in str(model.part.build(ImageInputs(1, 4, 4), 10))


def test_the_last_dense_takes_the_number_of_classes():
    network = built("model:\n- flatten\n- dense: 8\n- dense\n", outputs=7)
    assert network.shape == (7,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "model:\n- conv2d: 32\n- dense: 10",
            "line 5, column 3: dense takes rows of shape [features] or [steps, features]; "
            "conv2d before it gives [32, 26, 26]. Add `flatten`.",
        ),
        (
            "model:\n- dense: 10",
            "line 4, column 3: dense takes rows of shape [features] or [steps, features]; "
            "the pictures are [1, 28, 28]. Add `flatten`.",
        ),
        (
            "model:\n- flatten\n- conv2d: 8",
            "line 5, column 3: conv2d takes rows of shape [channels, height, width]; flatten before it gives [784]. "
            "Add `reshape: [channels, height, width]`.",
        ),
        (
            "model:\n- max_pool2d: 16\n- conv2d: 8",
            "line 5, column 3: conv2d takes rows of shape [channels, height, width] with at least 3 x 3 pixels; "
            "max_pool2d before it gives [1, 1, 1].",
        ),
        (
            "model:\n- flatten\n- dense: 12",
            "line 5, column 3: the last dense has 12 units, but there are 10 classes.\n"
            "Write `dense: 10`, or `dense` alone: the last one takes their number by itself.",
        ),
        (
            "model:\n- conv2d: 8\n- relu",
            "line 5, column 3: the last layer, relu, gives [8, 26, 26], but there are 10 classes. "
            "Add `flatten` and `dense`.",
        ),
        (
            "model:\n- flatten\n- dense\n- dense: 10",
            "line 5, column 3: dense needs units: "
            "only the last one of a network takes the number of classes by itself.",
        ),
        (
            "model:\n- residual:\n  - conv2d: 8\n  - flatten\n  - lstm: 3\n",
            "line 7, column 5: lstm takes rows of shape [steps, features]; flatten before it gives [5408]. "
            "Add `reshape: [steps, features]`.",
        ),
        (
            "model:\n- repeat:\n    times: 2\n    layers:\n    - max_pool2d: 10\n",
            "line 7, column 7: max_pool2d takes rows of shape [channels, height, width] with at least 10 x 10 pixels; "
            "it is given [1, 2, 2].",
        ),
        (
            "model:\n- parallel:\n  - - relu\n    - dense: 3\n  - relu\n",
            "line 6, column 7: dense takes rows of shape [features] or [steps, features]; "
            "relu before it gives [1, 28, 28]. Add `flatten`.",
        ),
        (
            "model:\n- residual:\n  - conv2d: 8\n",
            "line 4, column 3: residual: its layers give [8, 26, 26], "
            "which cannot be added to the [1, 28, 28] before it.\n"
            "Write `shortcut: projection` beside `layers`, or choose padding and filters that keep the shape.",
        ),
        (
            "model:\n- parallel: [[{conv2d: 8}], []]\n",
            "line 4, column 3: parallel: what its branches give cannot be put side by side: [8, 26, 26], [1, 28, 28].",
        ),
        (
            "model:\n- flatten\n- reshape: [5, -1]\n",
            "line 5, column 3: reshape: rows of shape [784] have 784 numbers, [5, -1] has 5.",
        ),
        (
            "model:\n- conv2d: {filters: 6, groups: 4}\n",
            "line 4, column 3: conv2d: groups is 4; it must divide the 1 channels.",
        ),
    ],
)
def test_a_shape_that_does_not_fit_names_line_layer_and_both_shapes(text, words):
    assert message(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model:\n- conv2s: 8", "line 4, column 3: there is no layer named 'conv2s'. Did you mean 'conv2d'?"),
        (
            "model:\n- residual:\n  - relu\n  - dence: 8",
            "line 6, column 5: there is no layer named 'dence'. Did you mean 'dense'?",
        ),
        (
            "model:\n- lenet5",
            "line 4, column 3: there is no layer named 'lenet5'.\n"
            "It is a whole network: write `model: lenet5`, without a list.",
        ),
        (
            "model: conv2d",
            "line 3, column 8: there is no architecture named 'conv2d'.\n"
            "It is a layer: write `model:` as a list, with `- conv2d` as one of its lines.",
        ),
        (
            "model:\n- random_crop",
            "line 4, column 3: there is no layer named 'random_crop'.\n"
            "It is one of the augmentations: write it under 'augment'.",
        ),
        (
            "model: lenet5\naugment:\n- dropout",
            "line 5, column 3: there is no augmentation named 'dropout'.\n"
            "It is a layer: write `model:` as a list, with `- dropout` as one of its lines.",
        ),
        (
            SMALL + "init: hee",
            "line 9, column 7: there is no initialization named 'hee'. Did you mean 'he'?",
        ),
    ],
)
def test_an_unknown_name_is_answered_at_its_place(text, words):
    assert message(text, UnknownName).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "model: []",
            "line 3, column 8: model has no layers; write each on a line of its own, such as `- conv2d: 32`.",
        ),
        ("model:\n-\n- relu", "line 4, column 2: model.0 must be a name, or one name with its options, not empty."),
        (
            "model:\n- relu\n- [dense]",
            "line 5, column 3: model.1 must be a name, or one name with its options, not ['dense'].",
        ),
        (
            "model:\n- conv2d:\n  filters: 32\n",
            "line 5, column 3: model.0 takes one name; 'filters' is a second.\n"
            "The options of 'conv2d' are indented under it, or stand in braces: `conv2d: {option: value}`.",
        ),
        (
            "model:\n  conv2d: 32\n  relu:\n",
            "line 5, column 3: model takes one name; 'relu' is a second.\n"
            "The options of 'conv2d' are indented under it; in a list of layers each line starts with '- '.",
        ),
        ("model:\n- conv2d: {filter: 3}", "line 4, column 12: conv2d has no option 'filter'. Did you mean 'filters'?"),
        ("model:\n- conv2d", "line 4, column 3: conv2d needs the option 'filters': a whole number greater than 0."),
        ("model:\n- dropout: 1.5", "line 4, column 12: model.0.dropout.rate must be less than 1, not 1.5."),
        (
            "model:\n- conv2d: {filters: 3, padding: sane}",
            "line 4, column 33: model.0.conv2d.padding must be 'valid', 'same', a whole number of at least 0 or "
            "a list of 2 whole numbers of at least 0, not 'sane'. Did you mean 'same'?",
        ),
        ("model:\n- relu: 3", "line 4, column 9: relu takes no options."),
        ("model:\n- residual: 3", "line 4, column 13: model.0.residual must be a list of layers, not 3."),
        ("model:\n- residual: []", "line 4, column 13: model.0.residual must be a list of layers, not []."),
        (
            "model:\n- repeat: {times: 2, layers: relu}",
            "line 4, column 30: model.0.repeat.layers must be a list of layers, not 'relu'.",
        ),
        ("model:\n- repeat: {times: 2}", "line 4, column 3: repeat needs the option 'layers': a list of layers."),
        (
            "model:\n- residual: [{a: 1, b: 2}]",
            "line 4, column 21: model.0.residual.0 takes one name; 'b' is a second.\n"
            "The options of 'a' are indented under it, or stand in braces: `a: {option: value}`.",
        ),
        (
            "model:\n- residual:\n    layers:\n    - dropout: 2\n",
            "line 6, column 16: model.0.residual.layers.0.dropout.rate must be less than 1, not 2.",
        ),
        (
            "model: lenet5\ninit: he",
            "line 4, column 1: 'lenet5' draws its weights itself; `init` is for a list of layers under `model`.",
        ),
        (SMALL + "init: {he: 3}", "line 9, column 12: he takes no options."),
        (SMALL + "init: {normal: -1}", "line 9, column 16: init.normal.std must be greater than 0, not -1."),
    ],
)
def test_a_wrong_list_or_option_is_answered_at_its_place(text, words):
    assert message(text).removesuffix(" (and 1 more)") == words


def test_options_of_layers_are_set_from_the_command_line():
    network = built(SMALL + "- residual: [{dense: 10}]\n", overrides=["model.0.conv2d.filters=6"])
    assert network.shapes["conv2d"] == (6, 26, 26)
    network = built(SMALL + "- residual: [{dense: 10}]\n", overrides=["model.5.residual.0.dense=10", "model.1=tanh"])
    assert "tanh" in network.shapes
    words = message(SMALL, overrides=["model.0.conv2d.filters=0"])
    assert words == "in `model.0.conv2d.filters=0`: model.0.conv2d.filters must be greater than 0, not 0."
    words = message(SMALL, overrides=["model.2.max_pool2d=99"])
    assert words.startswith("in `model.2.max_pool2d=99`: max_pool2d takes rows of shape [channels, height, width] with")
    words = message(SMALL, overrides=["model.0.conv2.filters=3"])
    assert words.startswith("in `model.0.conv2.filters=3`: model.0 is 'conv2d', not 'conv2'.")


def test_a_list_from_python_has_errors_without_a_place():
    experiment = {
        "task": "image-classification",
        "data": {"train": "t"},
        "model": ["flatten", {"dense": {"unit": 3}}],
    }
    with pytest.raises(SpecError, match=r"^dense has no option 'unit'. Did you mean 'units'\?$"):
        resolve(Experiment.load(experiment))


def test_a_softmax_over_the_one_number_of_a_regression_is_an_error():
    text = "task: vector-regression\ndata: {train: houses}\nmodel:\n- dense\n- softmax\n"
    experiment = Experiment.parse(text)
    model = resolve(experiment).model
    assert model.notes == ()
    with pytest.raises(SpecError, match=r"softmax of a single number is always 1; leave it out\.") as caught:
        model.part.build(VectorInputs(numbers=3), 1)
    assert model.where(caught.value) == ("model", 1, "softmax")
