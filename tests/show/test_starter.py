"""Cells to start from: as `init` writes them, and as the help of a task shows them."""

import pytest

from sparknn_magic import registry
from sparknn_magic.errors import UnknownName
from sparknn_magic.show.catalogue import item_help
from sparknn_magic.show.starter import starter, starter_cell, written
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve

TASKS = registry.names("task")


@pytest.mark.parametrize("task", TASKS)
def test_the_cell_of_every_task_is_a_valid_experiment(task):
    experiment = Experiment.parse(starter(task, "products"))
    assert resolve(experiment).task.name == task
    assert experiment.data.train.auto == "products"


@pytest.mark.parametrize("task", TASKS)
def test_what_stands_in_comments_is_valid_too(task):
    lines = [
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in starter(task).split("\n")
    ]
    assert sum(line.lstrip().startswith("# ") for line in starter(task).split("\n")) >= (0 if "embed" in task else 1)
    text = "\n".join(lines)
    experiment = Experiment.parse(text)
    resolve(experiment)
    if task == "object-detection":  # its line says what is taken without it, and is the place to say something else
        assert experiment.train == Experiment.parse(starter(task)).train
        changed = text.replace("train: {epochs: 100}", "train: {epochs: 3}")
        assert changed != text
        assert Experiment.parse(changed).train.epochs == 3


@pytest.mark.parametrize("task", TASKS)
def test_a_line_fits_a_cell_and_its_comments_stand_below_each_other(task):
    lines = starter(task, "my_rows").split("\n")
    assert max(map(len, lines)) <= 116
    split = [line.rpartition("  # ") for line in lines]
    assert {len(text) + 2 for text, _, _ in split if text.strip() and len(text.rstrip()) < 29} == {30}


def test_rows_are_what_the_user_says_and_in_quotes_where_yaml_needs_them():
    query = "SELECT image, 'a: b' AS label FROM t -- # all"
    assert Experiment.parse(starter("image-classification", query)).data.train.auto == query
    assert written("SELECT a, b FROM t WHERE x >= 3") == "SELECT a, b FROM t WHERE x >= 3"
    assert written("a: b") == "'a: b'"
    assert "# test: products_test" in starter("image-classification", "products")


def test_a_cell_begins_with_the_magic():
    assert starter_cell("vector-regression", name="prices").startswith(
        "%%sparknn train prices\ntask: vector-regression\n"
    )


def test_a_task_that_nobody_has_is_told_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'image-classification'"):
        starter("image-clasification")


def test_a_task_of_another_package_has_a_cell_too(package):
    package(
        "strange_task",
        "[sparknn.tasks]\nsounds = strange_task:Sounds\n",
        """
        from sparknn_magic.plugin import task
        @task("sounds", source="me")
        class Sounds:
            default_loss = "cross_entropy"
        """,
    )
    experiment = Experiment.parse(starter("sounds"))
    assert resolve(experiment).task.name == "sounds"


def test_the_help_of_a_task_shows_its_cell():
    text = item_help(registry.get("task", "text-classification"))
    assert "  %%sparknn train my_model\n  task: text-classification\n" in text
    assert "mask_emails" in text
