"""A model -> the graph of its network, for `%sparknn show NAME --graph`. The network is built as training built it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import MissingExtra, SpecError
from sparknn_magic.plugin import DetectionInputs, ImageInputs, TextInputs, VectorInputs

if TYPE_CHECKING:
    from torch import nn

    from sparknn_magic.model import Model
    from sparknn_magic.show.graph import NetworkGraph


def graph(model: "Model | str | Path") -> "NetworkGraph":
    """Return the graph of a model's network: of a trained model, or of a model folder.

    In a notebook it shows itself as a drawing, `print` gives an indented tree. A network that came from pretrained
    files needs them again.
    Raises: MissingExtra without torch; PluginError, SpecError where the network cannot be built here.
    """
    from importlib.util import find_spec

    from sparknn_magic.bundle.folder import read_bundle

    if find_spec("torch") is None:
        raise MissingExtra(
            "a graph is drawn of the network itself, which needs torch: pip install 'sparknn-magic[train]'"
        )
    from sparknn_magic.tracing import follow

    meta = read_bundle(model) if isinstance(model, str | Path) else model.meta
    inputs = _inputs(meta)
    return follow(_network(meta, inputs), inputs, title=str(meta["name"]))


def _network(meta: Mapping[str, Any], inputs: Any) -> "nn.Module":
    from sparknn_magic import registry
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import resolve

    @dataclass(frozen=True)
    class Known:
        classes: list[str]

    task = registry.get("task", meta["task"]).build()
    model = resolve(Experiment.load(meta["spec"])).model
    return model.part.build(inputs, task.outputs(Known(list(meta["classes"]))))


def _inputs(meta: Mapping[str, Any]) -> Any:
    """Return what the network was built for."""
    said = dict(meta["input"])
    if "vocabulary" in said:
        return TextInputs(**said)
    if "numbers" in said:
        return VectorInputs(said["numbers"], tuple(said["categories"]), tuple(said["embedded"]))
    if "height" not in said:
        raise SpecError(f"{meta['name']}: a graph is drawn of networks of pictures, columns and texts.")
    if "detections" in meta:
        return DetectionInputs(**said, sizes=tuple((meta.get("boxes") or {}).get("quantiles") or ()))
    return ImageInputs(**said)
