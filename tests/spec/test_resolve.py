"""Names become plugins with all their options, or an error at the name."""

import pickle

import pytest

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError, SpecError, UnknownName
from sparknn_magic.plugin import Item
from sparknn_magic.spec import Experiment
from sparknn_magic.spec.resolve import resolve

HEAD = "task: image-classification\ndata: {train: products}\n"
MODEL = HEAD + "model: lenet5\n"


def message(text: str, kind: type[SparkNNError] = SpecError, **options) -> str:
    with pytest.raises(kind) as caught:
        resolve(Experiment.parse(text, **options))
    return str(caught.value)


def test_every_step_becomes_a_plugin_with_all_its_options():
    resolved = resolve(
        Experiment.parse(
            MODEL
            + "preprocess:\n- resize: 32\naugment:\n- random_horizontal_flip\n- random_crop: {padding: 2}\n"
            + "train:\n  optimizer: {adamw: {lr: 2e-3}}\n  schedule: cosine\n"
        )
    )
    assert resolved.task.name == "image-classification"
    assert resolved.preprocess[0].part.ref == "sparknn_zoo.preprocess.resize:resize"
    assert resolved.preprocess[0].options["size"] == 32
    assert [step.item.name for step in resolved.augment] == ["random_horizontal_flip", "random_crop"]
    assert resolved.augment[1].options["padding"] == 2
    assert resolved.model.item.kind == "architecture"
    assert resolved.loss.item.name == "cross_entropy"
    assert resolved.optimizer.options["lr"] == 0.002
    assert resolved.optimizer.options["betas"] == (0.9, 0.999)
    assert resolved.schedule.item.name == "cosine"


def test_what_travels_is_a_name_and_plain_values():
    part = resolve(Experiment.parse(MODEL)).model.part
    assert pickle.loads(pickle.dumps(part)) == part
    assert part.ref == "sparknn_zoo.vision.lenet:lenet5"


def test_names_may_be_written_with_dashes_or_underscores():
    assert resolve(Experiment.parse(HEAD + "model: vgg_small\n")).model.item.name == "vgg-small"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            HEAD + "model: lenet55",
            "line 3, column 8: there is no architecture named 'lenet55'. Did you mean 'lenet5'?\n"
            "`%sparknn zoo architectures` lists all ",
        ),
        (
            MODEL + "preprocess:\n- resise: 32",
            "line 5, column 3: there is no preprocessor named 'resise'. Did you mean 'resize'?",
        ),
        (
            MODEL + "preprocess:\n- random_crop",
            "line 5, column 3: there is no preprocessor named 'random_crop'.\n"
            "It is one of the augmentations: write it under 'augment'.",
        ),
        (
            MODEL + "train:\n  optimizer: {adamm: {lr: 1}}",
            "line 5, column 15: there is no optimizer named 'adamm'. Did you mean 'adam'?",
        ),
        (
            MODEL.replace("image-class", "image-clas"),
            "line 1, column 7: there is no task named 'image-clasification'. Did you mean 'image-classification'?",
        ),
    ],
)
def test_an_unknown_name_is_answered_at_its_place(text, words):
    assert message(text, UnknownName).startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            HEAD + "model:\n  resnet8: {widht: 8}",
            "line 4, column 13: resnet8 has no option 'widht'. Did you mean 'width'?",
        ),
        (
            HEAD + "model:\n  resnet8:\n    width: x",
            "line 5, column 12: model.resnet8.width must be a whole number greater than 0, not 'x'.",
        ),
        (
            MODEL + "preprocess:\n- resize: big",
            "line 5, column 11: preprocess.0.resize.size must be a whole number or a list of 2 whole numbers, "
            "not 'big'.",
        ),
        (
            MODEL + "preprocess:\n- resize",
            "line 5, column 3: resize needs the option 'size': a whole number or a list of 2 whole numbers.",
        ),
    ],
)
def test_a_wrong_option_is_answered_at_its_place(text, words):
    assert message(text) == words


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("preprocess:\n- resize: 0", "line 5, column 11: "),
        ("preprocess:\n- resize: {size: [0, 3]}", "line 5, column 18: "),
        ("loss: {cross_entropy: {label_smoothing: 2}}", "line 4, column 41: "),
        ("train: {optimizer: {adamw: {lr: -1}}}", "line 4, column 33: "),
        ("train: {schedule: {step: {every: 0}}}", "line 4, column 34: "),
    ],
)
def test_what_a_plugin_itself_refuses_is_answered_before_training(text, place):
    assert message(MODEL + text).startswith(place)


def test_an_error_in_an_override_names_the_override():
    assert message(MODEL, UnknownName, overrides=["model=lenet55"]).startswith(
        "in `model=lenet55`: there is no architecture named 'lenet55'. Did you mean 'lenet5'?"
    )
    assert message(MODEL, overrides=["model.lenet5.pol=max"]) == (
        "in `model.lenet5.pol=max`: lenet5 has no option 'pol'. Did you mean 'pool'?"
    )


def test_an_architecture_for_another_task_is_refused(monkeypatch):
    get = registry.get

    def detector(kind: str, name: str) -> Item:
        item = get(kind, name)
        return Item(kind, "lenet5", item.build, task="object-detection") if kind == "architecture" else item

    monkeypatch.setattr(registry, "get", detector)
    assert message(MODEL) == (
        "line 3, column 8: the architecture 'lenet5' is for object-detection, not for image-classification.\n"
        "`%sparknn zoo image-classification` lists what this task can use."
    )
