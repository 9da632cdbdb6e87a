"""Samples and tasks."""

import inspect
from pathlib import Path

import pyarrow.parquet as pq

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import load_ref
from sparknn_magic.task import Task
from sparknn_magic.testing.kit import Fault, Subject, checks, guard, must


@checks("sample")
def has_rows(subject: Subject) -> str:
    """Be files of Parquet, "train" among them, with the same columns in train, validation and test."""
    with guard("its files are not to be had", allow=()):
        files = subject.item.build()
    must(isinstance(files, dict) and "train" in files, "it has no split 'train'.")
    found = {}
    for split, path in files.items():
        must(Path(path).is_file(), f"the file of its split '{split}' is not there: {path}")
        with guard(f"the file of its split '{split}' is no Parquet", allow=()):
            found[split] = pq.ParquetFile(path)
        must(found[split].metadata.num_rows, f"its split '{split}' has no rows.")
        # Beside the rows to learn from there may be other tables, such as answers to the questions.
        alike = split not in ("validation", "test") or "train" not in found
        must(
            alike or found[split].schema_arrow.names == found["train"].schema_arrow.names,
            f"its split '{split}' has other columns than 'train'.",
        )
    rows = ", ".join(f"{split} {file.metadata.num_rows:,}" for split, file in found.items())
    return f"has rows ({rows})"


@checks("task")
def is_whole(subject: Subject) -> str:
    """Be a Task with all its methods, a loss and a figure that exist."""
    kind = subject.item.build
    must(inspect.isclass(kind) and issubclass(kind, Task), "it is not a subclass of sparknn_magic.task.Task.")
    missing = sorted(kind.__abstractmethods__)  # type: ignore[attr-defined]
    must(not missing, f"it has no method {' and no '.join(missing)}.")
    with guard("it cannot be made without arguments", allow=()):
        made: Task = kind()
    if not made.trains:
        return "has all its methods, and trains nothing"
    loss = _loss_of(made, subject.item.name)
    watched = ("validation_loss", f"validation_{made.figure}")
    must(made.watch in watched, f"it watches '{made.watch}', which is neither {' nor '.join(watched)}.")
    with guard(f"its measure {made.measure} is not there", allow=()):
        load_ref(made.measure)
    return f"has all its methods, {loss} and the figure {made.figure}"


def _loss_of(made: Task, name: str) -> str:
    """Return the words for a task's loss, which must exist."""
    if made.own_loss:
        return "losses of its architectures' own"
    must(made.default_loss, "it has no default_loss: a cell would always have to name one.")
    try:
        loss = registry.get("loss", made.default_loss)
    except SparkNNError as error:
        raise Fault(f"its default_loss does not exist: {error.message}") from error
    must(loss.serves(name), f"its default_loss '{loss.name}' is not for this task.")
    return f"the loss {loss.name}"
