"""What a task changes of the cell's defaults: a detector learns from other batches than a classifier does."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError


def with_defaults(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell's keys and values with those that its task has in `defaults` where it says nothing.

    Of a section, such as `train`, each key counts alone. A task that there is none of is left to those who report it.
    """
    filled = dict(cell)
    for key, value in _defaults(cell.get("task")).items():
        written = filled.get(key)
        if key not in filled:
            filled[key] = value
        elif isinstance(value, Mapping) and isinstance(written, Mapping):
            filled[key] = {**value, **written}
    return filled


def _defaults(task: Any) -> Mapping[str, Any]:
    if not isinstance(task, str) or not task:
        return {}
    try:
        item = registry.get("task", task)
    except SparkNNError:  # reported with its place when the experiment is resolved
        return {}
    return getattr(item.build, "defaults", {})
