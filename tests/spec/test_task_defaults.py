"""A task may change a cell's defaults: key by key, and never what the cell says."""

import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve

CELL = """
task: object-detection
data: {train: scenes}
model: centernet
"""


def names(steps):
    return [step.name for step in steps]


def test_a_detection_cell_that_says_nothing_learns_by_small_batches_and_augments():
    found = Experiment.parse(CELL)
    assert found.train.batch_size == 4
    assert found.train.ema is not None
    assert "mosaic" in names(found.augment)
    assert resolve(found).loss.item.name == "none", "the architecture brings its own"


def test_what_the_cell_says_stays_and_the_rest_of_its_section_is_the_tasks():
    found = Experiment.parse(CELL + "train: {epochs: 3, optimizer: sgd}\naugment: []\n")
    assert (found.train.epochs, found.train.optimizer.name, found.train.batch_size) == (3, "sgd", 4)
    assert found.augment == ()
    again = Experiment.load(found.to_dict())
    assert again == found


def test_an_empty_section_is_as_if_it_were_not_written():
    found = Experiment.parse(CELL + "train:\n")
    assert found.train.batch_size == 4


def test_other_tasks_keep_the_usual_defaults():
    found = Experiment.parse("task: image-classification\ndata: {train: rows}\nmodel: lenet5\n")
    assert (found.train.batch_size, found.train.ema, found.augment) == (256, None, ())


def test_a_loss_is_refused_where_the_architectures_bring_theirs():
    with pytest.raises(SpecError, match="`loss` is not for object-detection") as error:
        resolve(Experiment.parse(CELL + "loss: focal\n"))
    assert error.value.line == 5
