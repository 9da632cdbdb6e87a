"""sparknn-magic: train and run neural networks on Apache Spark from one notebook cell.

All names are imported when they are first used: executors import this file too.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "annotated_pictures": "sparknn_magic.data.boxes.formats",
    "train": "sparknn_magic.run",
    "dry_run": "sparknn_magic.run",
    "lr_find": "sparknn_magic.lr_finder",
    "explain": "sparknn_magic.explaining",
    "graph": "sparknn_magic.graphing",
    "look": "sparknn_magic.looking",
    "preview": "sparknn_magic.previewing",
    "compare": "sparknn_magic.comparing",
    "runs": "sparknn_magic.kept_runs",
    "load": "sparknn_magic.model",
    "Model": "sparknn_magic.model",
    "sample": "sparknn_magic.samples",
    "session": "sparknn_magic.sessions",
    "shelf_scenes": "sparknn_magic.data.boxes.shelf",
    "SparkNNError": "sparknn_magic.errors",
    "zoo": "sparknn_magic.show.zoo_listing",
}
__all__ = [
    "Model",
    "SparkNNError",
    "annotated_pictures",
    "compare",
    "dry_run",
    "explain",
    "graph",
    "load",
    "load_ipython_extension",
    "look",
    "lr_find",
    "preview",
    "runs",
    "sample",
    "session",
    "shelf_scenes",
    "train",
    "unload_ipython_extension",
    "zoo",
]

if TYPE_CHECKING:
    from sparknn_magic.comparing import compare
    from sparknn_magic.data.boxes.formats import annotated_pictures
    from sparknn_magic.data.boxes.shelf import shelf_scenes
    from sparknn_magic.errors import SparkNNError
    from sparknn_magic.explaining import explain
    from sparknn_magic.graphing import graph
    from sparknn_magic.kept_runs import runs
    from sparknn_magic.looking import look
    from sparknn_magic.lr_finder import lr_find
    from sparknn_magic.model import Model, load
    from sparknn_magic.previewing import preview
    from sparknn_magic.run import dry_run, train
    from sparknn_magic.samples import sample
    from sparknn_magic.sessions import session
    from sparknn_magic.show.zoo_listing import zoo


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'sparknn_magic' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])


def load_ipython_extension(shell: Any) -> None:
    """Register `%sparknn` and `%%sparknn`, and their completion; called by `%load_ext sparknn_magic`."""
    from sparknn_magic.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take all of that away again; called by `%unload_ext sparknn_magic`."""
    from sparknn_magic.notebook.magics import unload

    unload(shell)
