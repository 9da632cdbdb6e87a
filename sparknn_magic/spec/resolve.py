"""Names -> plugins: every step's item, with its options checked and filled in, before anything runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError, UnknownName
from sparknn_magic.plugin import Item, Part, Target, build_loss
from sparknn_magic.shipping import describe, part_of
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.layers import STACK, described, drop_softmax, initializer, resolve_layers
from sparknn_magic.spec.marks import Path
from sparknn_magic.spec.models import Step
from sparknn_magic.spec.preprocess import SqlStep
from sparknn_magic.spec.schema import validate_options
from sparknn_magic.spec.training import TrainSpec

TOKENIZER = "wordpiece"  # where neither the cell nor the architecture names one
# Where a cell names plugins of each kind.
PLACES = {
    "preprocessor": "preprocess",
    "tokenizer": "tokenizer",
    "augmentation": "augment",
    "architecture": "model",
    "loss": "loss",
    "optimizer": "train.optimizer",
    "schedule": "train.schedule",
    "layer": "model",
}


@dataclass(frozen=True)
class ResolvedStep:
    """A plugin and its options, all of them, defaults included."""

    item: Item
    options: Mapping[str, Any] = field(default_factory=dict)
    path: Path = ()  # where it stands in the cell
    notes: tuple[str, ...] = ()  # what was changed of what the cell says

    @cached_property
    def part(self) -> Part:
        """What travels to executors."""
        return part_of(self.item, self.options)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Of a loss the further numbers of the row that it reads."""
        return tuple(getattr(build_loss(self.item.build, Target(), self.options), "columns", ()))

    def describe(self) -> dict[str, Any]:
        """Return what a model folder says of it: plain values."""
        return describe(self.item, self.part)

    def where(self, error: SparkNNError) -> Path:
        """Return the path in the cell of what an error of its builder is about."""
        return ("model",)


def stack(inputs: Any, outputs: int, **options: Any) -> Any:
    """A list of layers, written in the cell."""
    return Part(STACK, options).build(inputs, outputs)


LAYERS = Item("architecture", "layers", stack)


def nothing() -> None:
    """The loss of a task that trains nothing."""


NO_LOSS = ResolvedStep(Item("loss", "none", nothing))


@dataclass(frozen=True)
class ResolvedLayers(ResolvedStep):
    """A list of layers: as an architecture whose options are the layers, each by its name, ref and options."""

    places: Mapping[tuple[str | int, ...], Path] = field(default_factory=dict)  # where the cell writes each

    @property
    def part(self) -> Part:
        """What travels to executors."""
        return Part(STACK, dict(self.options))

    def describe(self) -> dict[str, Any]:
        """Return what a model folder says of it: plain values."""
        options = {**self.options, "layers": described(self.options["layers"])}
        return {"name": self.item.name, "ref": STACK, "options": options}

    def where(self, error: SparkNNError) -> Path:
        """Return the path of the layer that an error is about."""
        place = getattr(error, "place", ())
        return self.places.get(place, ("model",))


@dataclass(frozen=True)
class Query:
    """An SQL step, and where it stands among the plugins."""

    sql: str
    params: Mapping[str, Any]
    before: int  # how many of the plugins under `preprocess` stand before it
    path: Path  # of the query in the cell


@dataclass(frozen=True)
class Resolved:
    """An experiment's plugins."""

    task: Item
    preprocess: tuple[ResolvedStep, ...]
    queries: tuple[Query, ...]  # the SQL steps among them
    augment: tuple[ResolvedStep, ...]
    model: ResolvedStep
    loss: ResolvedStep
    optimizer: ResolvedStep
    schedule: ResolvedStep
    tokenizer: ResolvedStep | None = None  # of a task of texts


def resolve(experiment: Experiment) -> Resolved:
    """Find and check every plugin that an experiment names.

    Raises: UnknownName, SpecError or PluginError, with the line and column of the name or option.
    """
    task = _get(experiment, "task", experiment.task, ("task",))

    def step(kind: str, spec: Step, path: Path) -> ResolvedStep:
        return _step(experiment, task, kind, spec, path)

    def steps(kind: str, key: str, specs: tuple[Step | SqlStep, ...]) -> tuple[ResolvedStep, ...]:
        return tuple(step(kind, spec, (key, n)) for n, spec in enumerate(specs) if isinstance(spec, Step))

    model = _model(experiment, task)
    return Resolved(
        task=task,
        preprocess=steps("preprocessor", "preprocess", experiment.preprocess),
        queries=_queries(experiment),
        augment=steps("augmentation", "augment", experiment.augment),
        model=model,
        tokenizer=_tokenizer(experiment, task, model),
        loss=_loss(experiment, task),
        optimizer=step("optimizer", experiment.train.optimizer, ("train", "optimizer")),
        schedule=step("schedule", experiment.train.schedule, ("train", "schedule")),
    )


def resolve_rows(experiment: Experiment, *, augment: bool = False) -> Resolved:
    """Find and check what lays out an experiment's rows; what trains on them need not be here.

    With `augment` the random changes to pictures are resolved too. Raises: as `resolve` does.
    """
    rows: dict[str, Any] = {"model": (), "init": None, "loss": None, "train": TrainSpec()}
    rows |= {} if augment else {"augment": ()}
    return resolve(experiment.model_copy(update=rows))


def _model(experiment: Experiment, task: Item) -> ResolvedStep:
    if isinstance(experiment.model, Step):
        if experiment.init is not None:
            message = (
                f"'{experiment.model.name}' draws its weights itself; `init` is for a list of layers under `model`."
            )
            raise experiment.error(("init",), message, key=True)
        return _step(experiment, task, "architecture", experiment.model, ("model",))

    def find(name: str, path: Path) -> Item:
        return _get(experiment, "layer", name, path)

    found = resolve_layers(experiment.model, find, experiment.error)
    if getattr(task.build, "figure", "accuracy") == "accuracy":  # the outputs are logits of classes
        drop_softmax(found)
    options: dict[str, Any] = {"layers": found.layers}
    if experiment.init is not None:
        options["init"] = _init(experiment, experiment.init)
    return ResolvedLayers(LAYERS, options, places=found.places, notes=tuple(found.notes))


def _tokenizer(experiment: Experiment, task: Item, model: ResolvedStep) -> ResolvedStep | None:
    """Return the tokenizer that the cell names, or else the architecture's own; None where nothing is tokenized.

    A pretrained network brings its own, in a file: then there is none here either.
    """
    if not getattr(task.build, "tokenizes", False):
        if experiment.tokenizer is not None:
            message = f"`tokenizer` is for tasks of texts, and {task.name} reads none."
            raise experiment.error(("tokenizer",), message, key=True)
        return None
    if model.options.get("pretrained") is not None:
        if experiment.tokenizer is not None:
            message = f"a pretrained {model.item.name} has a tokenizer of its own; leave `tokenizer` out."
            raise experiment.error(("tokenizer",), message, key=True)
        return None
    spec = experiment.tokenizer or Step(name=model.item.notes.get("tokenizer", TOKENIZER))
    return _step(experiment, task, "tokenizer", spec, ("tokenizer",))


def _init(experiment: Experiment, spec: Step) -> dict[str, Any]:
    try:
        item = initializer(spec.name)
    except UnknownName as error:
        named = ("init", spec.name)
        raise experiment.error(named, error.message, hint=error.hint, key=True, kind=UnknownName) from error
    options = validate_options(item, spec, experiment.error, ("init",))
    return {"name": item.name, "ref": item.ref, "options": options}


def _queries(experiment: Experiment) -> tuple[Query, ...]:
    found, before = [], 0
    for n, spec in enumerate(experiment.preprocess):
        if isinstance(spec, SqlStep):
            found.append(Query(spec.sql, dict(spec.params), before, ("preprocess", n, "sql")))
        else:
            before += 1
    return tuple(found)


def with_loss(experiment: Experiment, resolved: Resolved, name: str) -> Resolved:
    """Return the same plugins with this loss, where the cell names none."""
    if experiment.loss is not None:
        return resolved
    return replace(resolved, loss=_step(experiment, resolved.task, "loss", Step(name=name), ("loss",)))


def check_loss(experiment: Experiment, resolved: Resolved, classes: Sequence[str]) -> None:
    """Build the loss for what is learnt, which is known by now: these classes, or a number where there are none.

    Raises: SparkNNError with the place in the cell.
    """
    # Of the rest any values will do here.
    target = Target(tuple(classes), (1,) * len(classes)) if classes else Target(std=2.0)
    place = ("loss", experiment.loss.name) if experiment.loss is not None else ("loss",)
    _try(experiment, resolved.loss.item, dict(resolved.loss.options), place, target)


def _loss(experiment: Experiment, task: Item) -> ResolvedStep:
    """Return the loss that the cell names, or else the task's own; that of nothing where nothing is trained."""
    if not getattr(task.build, "trains", True):
        return NO_LOSS
    if getattr(task.build, "own_loss", False):
        if experiment.loss is None:
            return NO_LOSS
        message = f"`loss` is not for {task.name}, whose architectures each have a loss of their own."
        raise experiment.error(("loss",), message, hint="Leave `loss` out.", key=True)
    name = getattr(task.build, "default_loss", None)
    if experiment.loss is None and not name:
        raise experiment.error(("task",), f"the task '{task.name}' has no loss of its own; name one with `loss:`.")
    return _step(experiment, task, "loss", experiment.loss or Step(name=str(name)), ("loss",))


def _step(experiment: Experiment, task: Item, kind: str, spec: Step, path: Path) -> ResolvedStep:
    named = (*path, spec.name)  # of `resize: 32` the key, of a bare `resize` the value
    item = _get(experiment, kind, spec.name, named)
    if not item.serves(task.name):
        raise experiment.error(
            named,
            f"the {kind} '{item.name}' is for {' and '.join(item.tasks)}, not for {task.name}.",
            hint=f"`%sparknn zoo {task.name}` lists what this task can use.",
            key=True,
        )
    options = validate_options(item, spec, experiment.error, path)
    _try(experiment, item, options, named)
    return ResolvedStep(item, options, path)


def _get(experiment: Experiment, kind: str, name: str, path: Path) -> Item:
    try:
        return registry.get(kind, name)
    except SparkNNError as error:
        message, hint = error.message, error.hint
        other = next((k for k in PLACES if k != kind and _known(k, name)), None)
        if isinstance(error, UnknownName) and other:
            message = f"there is no {kind} named '{name}'."
            hint = _elsewhere(kind, other, name)
        raise experiment.error(path, message, hint=hint, key=kind != "task", kind=type(error)) from error


def _elsewhere(kind: str, other: str, name: str) -> str:
    """Return the hint for a name of another kind than the one that its place is for."""
    if other == "layer":
        return f"It is a layer: write `model:` as a list, with `- {name}` as one of its lines."
    if (kind, other) == ("layer", "architecture"):
        return f"It is a whole network: write `model: {name}`, without a list."
    return f"It is one of the {registry.plural(other)}: write it under '{PLACES[other]}'."


def _known(kind: str, name: str) -> bool:
    return registry.fold(name) in {registry.fold(known) for known in registry.names(kind)}


def _try(experiment: Experiment, item: Item, options: dict[str, Any], path: Path, target: Target | None = None) -> None:
    """Build what can be built without data, so that a plugin's own objections come now and with their line."""
    arguments: dict[str, tuple[Any, ...]] = {"preprocessor": (), "augmentation": (), "loss": (), "schedule": (100, 10)}
    if item.kind == "optimizer":
        from torch import nn  # the item's module has imported it already

        arguments["optimizer"] = ([nn.Linear(1, 1).weight],)
    if item.kind not in arguments:
        return
    try:
        if item.kind == "loss":
            build_loss(item.build, target or Target(), options)
        else:
            item.build(*arguments[item.kind], **options)
    except SparkNNError as error:
        place = next((o for o in options if re.search(rf"\b{re.escape(o)}\b", error.message)), None)
        where = (*path, place) if place else path
        inside = getattr(error, "at", None)  # of an SQL expression
        raise experiment.error(where, error.message, hint=error.hint, kind=type(error), inside=inside) from error
    except (ValueError, TypeError, ArithmeticError) as error:
        reason = str(error).split("\n")[0]
        raise experiment.error(path, f"{item.name} refuses its options: {reason}", key=True) from error
