"""Weights of another model to start from: what fits, and what does not. Nothing is ever unpickled."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from sparknn_magic.errors import BundleError
from sparknn_magic.training.job import Pretrained

Shapes = Mapping[str, Sequence[int]]


def shapes_in(file: str | Path) -> dict[str, list[int]]:
    """Return the names and shapes of the tensors of a safetensors file, reading its head alone."""
    with safe_open(str(file), framework="pt") as opened:
        return {name: list(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118


def head_of(body: nn.Module, outputs: int) -> tuple[str, ...]:
    """Return the names of the parameters of the last layer, which gives the outputs; () where there is none such.

    A network that gives more than one number a class names these layers in `heads`.
    """
    named = getattr(body, "heads", ())
    if named:
        return tuple(f"{name}.{each}" for name in named for each, _ in body.get_submodule(name).named_parameters())
    for name, module in reversed(list(body.named_modules())):
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.ndim >= 2:
            own = [f"{name}.{each}" if name else each for each, _ in module.named_parameters(recurse=False)]
            return tuple(own) if len(weight) == outputs else ()
    return ()


def fitting(body: nn.Module, found: Shapes, head: Sequence[str], same_classes: bool) -> tuple[str, ...]:
    """Return the names of what cannot be taken over and starts anew: nothing, or the last layer.

    `found` has the names and shapes of the other model's weights. Raises: BundleError where more than the last layer
    differs: then it is another architecture.
    """
    own = {name: list(tensor.shape) for name, tensor in body.state_dict().items()}
    differing = [name for name in own if list(found.get(name, ())) != own[name] or name not in found]
    beyond = [name for name in (*differing, *(name for name in found if name not in own)) if name not in head]
    if beyond:
        raise BundleError(_difference(beyond, own, found))
    return tuple(head) if differing or not same_classes else ()


def _difference(names: Sequence[str], own: Shapes, found: Shapes) -> str:
    name = names[0]
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    if name not in found:
        return f"its weights do not fit this network: they have no '{name}'{more}."
    if name not in own:
        return f"its weights do not fit this network, which has no '{name}'{more}."
    there, here = ("x".join(map(str, shape[name])) or "one number" for shape in (found, own))
    return f"its weights do not fit this network: '{name}' is {there} there and {here} here{more}."


def take(body: nn.Module, pretrained: Pretrained) -> None:
    """Copy the weights of a file into the network, but for those that start anew.

    Raises: RuntimeError where the file has others than `fitting` found.
    """
    weights = load_file(pretrained.file)
    own = body.state_dict()
    body.load_state_dict({**weights, **{name: own[name] for name in pretrained.fresh}})
