"""`key.path=value` on the magic line and in the shell goes before the cell's own value."""

import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.spec import Experiment, Step

CELL = """task: image-classification
data: {train: products}
preprocess:
- resize: 32
augment: [random_horizontal_flip]
model:
  resnet18: {width: 32}
train:
  epochs: 10
  schedule: one_cycle
export: models/fashion
"""


def overridden(*words: str) -> Experiment:
    return Experiment.parse(CELL, overrides=words, variables={"lr": 0.5})


def test_words_replace_values():
    experiment = overridden("train.epochs=3", "data.validation=20%", "train.clip_norm=1e-1", "export=")
    assert experiment.train.epochs == 3
    assert experiment.data.validation.share == 0.2
    assert experiment.train.clip_norm == 0.1
    assert experiment.export is None


def test_words_reach_options_and_list_items():
    experiment = overridden(
        "model.resnet18.width=16", "preprocess.0.resize=28", "augment.0.random_horizontal_flip.p=0.3"
    )
    assert experiment.model == Step(name="resnet18", options={"width": 16})
    assert experiment.preprocess == (Step(name="resize", value=28),)
    assert experiment.augment == (Step(name="random_horizontal_flip", options={"p": 0.3}),)


def test_a_word_chooses_another_step_or_sets_options_of_a_bare_one():
    assert overridden("model=mlp").model == Step(name="mlp")
    assert overridden("model={mlp: {width: 8}}").model == Step(name="mlp", options={"width": 8})
    assert overridden("train.schedule.one_cycle.pct_start=0.1").train.schedule.options == {"pct_start": 0.1}
    assert overridden("train.optimizer.sgd.lr=${lr}").train.optimizer == Step(name="sgd", options={"lr": 0.5})
    assert overridden("augment=").augment == ()


def test_the_last_of_two_words_counts():
    assert overridden("train.epochs=3", "train.epochs=4").train.epochs == 4


def test_a_value_may_hold_an_equals_sign():
    sql = "SELECT image, label FROM t WHERE split = 'train'"
    assert overridden(f"data.train={sql}").data.train.value == sql


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("train.epoch=3", "in `train.epoch=3`: unknown key 'epoch' in 'train'. Did you mean 'epochs'?"),
        ("trian.epochs=3", "in `trian.epochs=3`: unknown key 'trian'. Did you mean 'train'?"),
        ("epochs=3", "in `epochs=3`: unknown key 'epochs'. It belongs under 'train'."),
        ("train.epochs=0", "in `train.epochs=0`: train.epochs must be greater than 0, not 0."),
        ("train.epochs=[", "in `train.epochs=[`: this '[' is never closed; ']' is missing."),
        ("epochs", "in `epochs`: write key.path=value, for example `train.epochs=3`."),
        ("train..x=3", "in `train..x=3`: write key.path=value, for example `train.epochs=3`."),
        (
            "train.epochs.x=3",
            "in `train.epochs.x=3`: train.epochs is a single value and has no 'x' to set.",
        ),
        (
            "model.width=3",
            "in `model.width=3`: model is 'resnet18', not 'width'.\n"
            "An option of 'resnet18' is set by `model.resnet18.width=...`.",
        ),
        (
            "model.resnet81.width=3",
            "in `model.resnet81.width=3`: model is 'resnet18', not 'resnet81'.\nDid you mean `model.resnet18.width`?",
        ),
        (
            "model.mlp.width=3",
            "in `model.mlp.width=3`: model is 'resnet18', not 'mlp'.\n`model=mlp` chooses another.",
        ),
        ("preprocess.5.resize=28", "in `preprocess.5.resize=28`: preprocess has only item 0, not 5."),
        (
            "preprocess.resize=28",
            "in `preprocess.resize=28`: preprocess is a list; name its items by number, as in `preprocess.0.resize`.",
        ),
        ("export=${lrr}", "in `export=${lrr}`: there is no variable named 'lrr'. Did you mean 'lr'?"),
    ],
)
def test_a_wrong_word_is_quoted(word, words):
    with pytest.raises(SpecError) as caught:
        overridden(word)
    assert str(caught.value) == words


def test_what_a_word_did_not_touch_keeps_its_line():
    experiment = overridden("model.resnet18.depth=3", "train.epochs=3")
    assert experiment.where("model", "resnet18", "width") == (7, 21)
    assert str(experiment.error(("model", "resnet18", "depth"), "x")) == "in `model.resnet18.depth=3`: x"
    assert str(experiment.error(("train", "schedule"), "x")) == "line 10, column 13: x"
