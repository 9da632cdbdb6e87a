"""Samples and tasks with one fault each, and the sentence that names it."""

from pathlib import Path

from sparknn_magic.plugin import sample, task
from sparknn_magic.task import Task


@sample("broken_no_train", source="Nobody 2026", licence="CC0-1.0")
def no_train():
    """Rows without a split to train on."""
    return {"test": Path(__file__)}


@sample("broken_gone", source="Nobody 2026", licence="CC0-1.0")
def gone():
    """Rows that are not there."""
    return {"train": Path(__file__).parent / "gone.parquet"}


@sample("broken_text", source="Nobody 2026", licence="CC0-1.0")
def text():
    """Rows that are no Parquet."""
    return {"train": Path(__file__)}


@task("broken-half", source="Nobody 2026", licence="Apache-2.0")
class Half(Task):
    """A task with some of its methods."""

    default_loss = "cross_entropy"

    def plan(self, spark, experiment, resolved, names):
        return None


@task("broken-class", source="Nobody 2026", licence="Apache-2.0")
class NoTask:
    """A class that is no task."""


FAULTS = [
    (no_train, "it has no split 'train'"),
    (gone, "the file of its split 'train' is not there"),
    (text, "the file of its split 'train' is no Parquet"),
    (Half, "it has no method "),
    (NoTask, "it is not a subclass of sparknn_magic.task.Task"),
]
