"""A cell's list of layers -> plain values that build it, each layer's plugin found and its options checked.

A layer becomes `{"name": ..., "ref": ..., "options": ...}`, and what its options hold of layers (`residual`, `repeat`,
`parallel`) becomes the same, so that an error at any depth has its line and column.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import PydanticCustomError

from sparknn_magic import registry, shipping
from sparknn_magic.errors import SparkNNError, SpecError, UnknownName, did_you_mean
from sparknn_magic.plugin import Item, Nested, Part, load_ref
from sparknn_magic.spec.marks import Path, dotted
from sparknn_magic.spec.models import Step, read_step
from sparknn_magic.spec.schema import options_model, validate_options
from sparknn_magic.spec.words import show

STACK = "sparknn_magic.layers:stack"
INITIALIZERS = "sparknn_magic.initializers:ITEMS"
SOFTMAX_NOTE = "the last softmax is left out: the task applies softmax itself"

Place = tuple[str | int, ...]  # (2, "layers", 0): the first of the layers inside the third
Find = Callable[[str, Path], Item]  # a layer's name and where it stands -> its plugin
Fail = Callable[..., SparkNNError]  # as Experiment.error


@dataclass
class LayerList:
    """The layers of a cell, resolved."""

    layers: list[dict[str, Any]]
    places: dict[Place, Path]  # of each layer, also of those inside others: where the cell writes it
    notes: list[str] = field(default_factory=list)  # what was changed


def resolve_layers(steps: Sequence[Step], find: Find, error: Fail, path: Path = ("model",)) -> LayerList:
    """Find and check the layers that a list at `path` names.

    Raises: what `find` raises for a name, and what `error` returns for options.
    """
    resolver = _Resolver(find, error)
    return LayerList(resolver.steps(steps, path, ()), resolver.places)


def resolve_nested(item: Item, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layer's options, as a cell writes them, checked and with the layers inside them found by name.

    Raises: SparkNNError without a place.
    """

    def error(path: Path, message: str, *, hint: str | None = None, key: bool = False) -> SparkNNError:
        return SpecError(message, hint=hint)

    resolver = _Resolver(lambda name, _: registry.get("layer", name), error)
    return resolver.options(item, Step(name=item.name, options=dict(options)), (), ())


def drop_softmax(found: LayerList) -> None:
    """Leave out a softmax at the end of a classifier's list, with a note: the task takes logits."""
    layers = found.layers
    if layers and layers[-1]["name"] == "softmax":
        layers.pop()
        found.notes.append(SOFTMAX_NOTE)
    elif layers and layers[-1]["options"].get("activation") == "softmax":
        layers[-1]["options"]["activation"] = None
        found.notes.append(SOFTMAX_NOTE)


def described(layers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a model folder says of layers: plain values, of a notebook's own code the digest."""
    return [_plain(layer) for layer in layers]


def described_stack(said: Mapping[str, Any]) -> Part:
    """Return the part of the list of layers that a model folder describes (`meta["model"]`).

    Every layer is found by its name among the installed plugins, never by a module path that the folder brings.
    Raises: PluginError or UnknownName where one is not here.
    """
    options: dict[str, Any] = {"layers": [_found_again(layer) for layer in said["options"]["layers"]]}
    if init := said["options"].get("init"):
        options["init"] = {**init, "ref": initializer(init["name"]).ref}
    return Part(STACK, options)


def initializer(name: str) -> Item:
    """Return the way to draw weights that `init:` names. Raises: UnknownName with the nearest name."""
    items: Mapping[str, Item] = load_ref(INITIALIZERS)
    folded = registry.fold(name)
    if folded not in items:
        raise UnknownName(
            f"there is no initialization named '{name}'.{did_you_mean(name, items)}", hint=f"Known: {', '.join(items)}."
        )
    return items[folded]


class _Resolver:
    def __init__(self, find: Find, error: Fail):
        self.find, self.error = find, error
        self.places: dict[Place, Path] = {}

    def steps(self, steps: Sequence[Step], path: Path, place: Place) -> list[dict[str, Any]]:
        return [self.layer(step, (*path, n), (*place, n)) for n, step in enumerate(steps)]

    def layer(self, step: Step, path: Path, place: Place) -> dict[str, Any]:
        named = (*path, step.name)
        item = self.find(step.name, named)
        self.places[place] = named
        part = shipping.part_of(item, self.options(item, step, path, place))
        found = {"name": item.name, "ref": part.ref, "options": dict(part.options)}
        return found | ({"code": part.code} if part.code is not None else {})

    def options(self, item: Item, step: Step, path: Path, place: Place) -> dict[str, Any]:
        """Return the checked options; of those that hold layers, the layers."""
        named = (*path, step.name)
        given, bare = dict(step.options), step.value is not None
        if bare and item.main is not None:
            given = {item.main: step.value}
        inner: dict[str, Any] = {}
        for option, nested in nested_options(item).items():
            if option in given:
                at = named if bare else (*named, option)
                inner[option] = self.nested(given[option], nested, at, (*place, option))
        if inner:  # checked already: an empty list stands for them
            step = Step(name=step.name, options={**given, **{option: [] for option in inner}})
        return validate_options(item, step, self.error, path) | inner

    def nested(self, value: Any, nested: Nested, path: Path, place: Place) -> list[Any]:
        if not isinstance(value, list | tuple) or not value:
            raise self.error(path, f"{dotted(path)} must be {nested.text}, not {show(value)}.")
        if not nested.branches:
            return self.steps(self.read(value, path), path, place)
        found = []
        for n, branch in enumerate(value):
            if isinstance(branch, list | tuple):
                steps = self.read(branch, (*path, n))
                found.append(self.steps(steps, (*path, n), (*place, n)))
            else:  # one layer, without brackets
                (step,) = self.read([branch], path, first=n)
                found.append([self.layer(step, (*path, n), (*place, n, 0))])
        return found

    def read(self, values: Sequence[Any], path: Path, first: int = 0) -> list[Step]:
        steps = []
        for n, value in enumerate(values, first):
            try:
                steps.append(read_step(value))
            except PydanticCustomError as wrong:
                said: dict[str, Any] = dict(wrong.context or {})
                message = said["message"].replace("{path}", dotted((*path, n))).replace("{value}", show(value))
                at = (*path, n, *said["at"])
                raise self.error(at, message, hint=said["hint"], key=said["key"]) from None
        return steps


def nested_options(item: Item) -> dict[str, Nested]:
    """Return the options of a plugin that hold layers."""
    fields = options_model(item).model_fields
    marked = {info.alias or name: [m for m in info.metadata if isinstance(m, Nested)] for name, info in fields.items()}
    return {name: found[0] for name, found in marked.items() if found}


def _plain(layer: Mapping[str, Any]) -> dict[str, Any]:
    item: Item = Part(layer["ref"], {}, layer.get("code")).load().__sparknn__
    options = dict(layer["options"])
    for option, nested in nested_options(item).items():
        options[option] = [described(b) for b in options[option]] if nested.branches else described(options[option])
    found = {"name": item.name, "package": registry.owner(item), "ref": layer["ref"], "options": options}
    return found | ({"code": layer["code"].digest} if "code" in layer else {})


def _found_again(said: Mapping[str, Any]) -> dict[str, Any]:
    part = shipping.described_part("layer", said)
    item: Item = part.load().__sparknn__
    options = dict(part.options)
    for option, nested in nested_options(item).items():
        inner = options[option]
        options[option] = (
            [[_found_again(layer) for layer in branch] for branch in inner]
            if nested.branches
            else [_found_again(layer) for layer in inner]
        )
    found = {"name": item.name, "ref": part.ref, "options": options}
    return found | ({"code": part.code} if part.code is not None else {})
