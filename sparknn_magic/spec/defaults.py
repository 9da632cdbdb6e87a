"""What a task or an architecture changes of a cell's defaults: a detector learns otherwise than a classifier.

A task says it in `defaults`, an architecture in `notes["defaults"]`, which goes before: keys and values as a cell would
write them. Before both goes what the project has set.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError, SpecError, did_you_mean
from sparknn_magic.plugin import Item
from sparknn_magic.settings import settings
from sparknn_magic.spec.training import TrainSpec
from sparknn_magic.spec.words import problems


def with_defaults(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell's keys and values with those that the project, the architecture and the task have besides.

    Of a section, such as `train`, each key counts alone. Names that nothing has are left to those who report them.
    """
    task = _item("task", cell.get("task"))
    train = _of_project() if task is not None and getattr(task.build, "trains", True) else {}
    filled = _filled(cell, {"train": train}) if train else dict(cell)
    if task is None:
        return filled
    if getattr(task.build, "defaults", {}):
        model = _item("architecture", cell.get("model"))
        if model is not None:
            filled = _filled(filled, model.notes.get("defaults", {}))
    return _filled(filled, getattr(task.build, "defaults", {}))


def _of_project() -> Mapping[str, Any]:
    train = settings().train
    unknown = next((key for key in train if key not in TrainSpec.model_fields), None)
    if unknown is not None:
        message = f"the project's settings, train: no key '{unknown}'."
        raise SpecError(message + did_you_mean(str(unknown), TrainSpec.model_fields))
    try:
        TrainSpec.model_validate(dict(train))
    except ValidationError as error:
        first = problems(error, TrainSpec, dict(train), (), "train")[0]
        raise SpecError(f"the project's settings, train: {first.message}", hint=first.hint) from None
    return train


def _filled(cell: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(cell)
    for key, value in defaults.items():
        written = filled.get(key)
        if key not in filled:
            filled[key] = value
        elif isinstance(value, Mapping) and isinstance(written, Mapping):
            filled[key] = {**value, **written}
    return filled


def _item(kind: str, written: Any) -> Item | None:
    """Return the item that a cell names: `name` or `{name: options}`; None where there is none such."""
    name = next(iter(written)) if isinstance(written, Mapping) and len(written) == 1 else written
    if not isinstance(name, str) or not name:
        return None
    try:
        return registry.get(kind, name)
    except SparkNNError:  # reported with its place when the experiment is resolved
        return None
