"""Does a plugin keep to its contract? For its author's own tests, and behind `sparknn check PACKAGE`.

    from sparknn_magic.testing import check_plugin

    def test_my_architecture():
        check_plugin(my_architecture)

Every item: a name, a docstring with shapes, a source and a licence; options that are plain values with defaults that
their own annotations allow, each explained; a reference that pickles. Then what its kind is for: see the files here.
A new kind or task adds its checks with `@checks(kind, task=...)`, in a file that `_KINDS` names.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from sparknn_magic import registry
from sparknn_magic.errors import MissingExtra, PluginError
from sparknn_magic.plugin import Item
from sparknn_magic.testing.kit import Report, examine

__all__ = ["Report", "check_package", "check_plugin"]

# Where the checks of each kind are; imported when an item of the kind is checked.
_KINDS = {
    "architecture": "architectures",
    "layer": "layers",
    "preprocessor": "preprocessors",
    "tokenizer": "tokenizers",
    "augmentation": "augmentations",
    "loss": "losses",
    "optimizer": "optimizers",
    "schedule": "optimizers",
    "sample": "others",
    "task": "others",
}
DETECTION = "object-detection"  # whose architectures have a file of checks of their own


def check_plugin(item: Item | Callable[..., Any], options: Mapping[str, Any] | None = None) -> Report:
    """Check an item, or a function or class with a decorator; return what was checked, one sentence each.

    `options` are given to it where its own example and its defaults are not what is to be checked.
    Raises: PluginError with the sentence of every fault, a line each; MissingExtra where there is no torch.
    """
    report = _examine(_item(item), options)
    if report.faults:
        first, *more = [f"{report.title}: {fault}" for fault in report.faults]
        raise PluginError(first, hint="\n".join(more) or None)
    return report


def check_package(package: str) -> tuple[list[Report], list[registry.Failure]]:
    """Check every plugin of an installed package; return a report of each, and those that do not even load.

    Raises: UnknownName where no package of that name has any.
    """
    items, failures = registry.of_package(package)
    return [_examine(item, None) for item in items], failures


def _item(what: Item | Callable[..., Any]) -> Item:
    item = what if isinstance(what, Item) else getattr(what, "__sparknn__", None)
    if not isinstance(item, Item):
        raise PluginError(f"{getattr(what, '__name__', what)} has no decorator of sparknn_magic.plugin.")
    return item


def _examine(item: Item, options: Mapping[str, Any] | None) -> Report:
    module = _KINDS.get(item.kind)
    try:
        more = ("detectors",) if item.kind == "architecture" and item.serves(DETECTION) else ()
        for name in filter(None, ("general", module, *more)):
            importlib.import_module(f"sparknn_magic.testing.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtra(f"checking needs {error.name}: pip install 'sparknn-magic[train]'") from error
    return examine(item, options)
