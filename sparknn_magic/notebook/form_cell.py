"""What is chosen in the form of `%sparknn new` -> the cell. Choices are texts, as a cell writes them: no widgets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError
from sparknn_magic.show.starter import NAME, ROWS, starter
from sparknn_magic.show.words import yaml_text
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import DataSpec, Step, read_model, to_plain
from sparknn_magic.spec.parse import parse, parse_value
from sparknn_magic.spec.resolve import resolve
from sparknn_magic.spec.training import TrainSpec

FIRST_LINE = 2  # of a cell's body: the magic's own line is above it
KNOBS = ("epochs", "batch_size", "lr", "workers")


@dataclass(frozen=True)
class Choices:
    """What stands in the form. An empty text is nothing chosen: the key is left to its default."""

    task: str
    name: str = NAME
    source: str = ROWS  # SQL, a table or view, a DataFrame's name, or a path
    columns: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)  # by role: a column, or several
    validation: str = ""  # a share of the rows, or a source; nothing: none
    test: str = ""
    model: str = ""
    pretrained: str = ""  # files that the architecture starts from: a folder or a hub id
    knobs: Mapping[str, str] = field(default_factory=dict)  # by one of KNOBS


def starting(task: str) -> dict[str, Any]:
    """Return the experiment that the form of a task starts from, that of `init`, as plain values.

    Raises: UnknownName where there is no such task.
    """
    return parse(starter(task)).value


def starting_choices(task: str) -> Choices:
    """Return what the form of a task shows before anything is chosen. Raises: UnknownName."""
    spec = starting(task)
    train, data, model = spec.get("train") or {}, spec["data"], _step(spec.get("model"))
    knobs = {key: _written(train.get(key)) for key in ("epochs", "batch_size", "workers")}
    knobs["lr"] = _written(_rate(train))
    return Choices(
        task=spec["task"],
        validation=_written(data.get("validation")),
        test=_written(data.get("test")),
        model=model.name if model else "",
        pretrained=_written(model.options.get("pretrained")) if model else "",
        knobs=knobs,
    )


def roles_of(task: str) -> dict[str, str]:
    """Return the keys under `data` that name a task's columns, and what these hold. Raises: as `registry.get` does."""
    return dict(getattr(registry.get("task", task).build, "roles", {}))


def spec_of(choices: Choices) -> dict[str, Any]:
    """Return the experiment that is chosen, as plain values: that of `init` with what the form says in its place.

    Raises: UnknownName where there is no such task.
    """
    spec = starting(choices.task)
    spec["data"] = _data(choices, trains="train" in spec or "validation" in spec["data"])
    if model := _model(choices, spec.get("model")):
        spec["model"] = model
    if train := _train(choices.knobs, spec.get("train") or {}):
        spec["train"] = train
    else:
        spec.pop("train", None)
    return spec


def body_of(choices: Choices) -> str:
    """Return the YAML of the experiment that is chosen. Raises: UnknownName where there is no such task."""
    return yaml_text(spec_of(choices))


def cell_of(choices: Choices) -> str:
    """Return the whole cell. Raises: UnknownName where there is no such task."""
    return f"%%sparknn train {choices.name}\n{body_of(choices)}".rstrip()


def complaint(choices: Choices, variables: Mapping[str, Any] | None = None) -> SparkNNError | None:
    """Return what the cell would be refused for, with the place in it; None where it is sound.

    What only the rows can tell is not looked at: no table is opened here.
    """
    try:
        text = body_of(choices)
    except SparkNNError as error:
        return error
    try:
        resolve(Experiment.parse(text, name=choices.name, variables=variables, first_line=FIRST_LINE))
    except SparkNNError as error:
        error.point_at(text, FIRST_LINE)
        return error
    return None


def takes_pretrained(model: str) -> bool:
    """Tell whether an architecture can start from files; False too where it does not load."""
    from sparknn_magic.notebook.completion_plugins import outline

    return outline("architecture", model).option("pretrained") is not None


def _data(choices: Choices, *, trains: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"train": choices.source.strip()}
    if trains:
        # Without the key a tenth of the rows would be taken.
        data["validation"] = _value(choices.validation)
        data |= {"test": _value(choices.test)} if choices.test.strip() else {}
    for role, names in choices.columns.items():
        if names:
            data[role] = list(names) if isinstance(names, tuple) else names
    return data


def _model(choices: Choices, start: Any) -> Any:
    """Return the model; the options that `init` gives its own model stay with it."""
    if not choices.model:
        return start
    own = _step(start)
    options = dict(own.options) if own is not None and own.name == choices.model else {}
    options.pop("pretrained", None)
    if choices.pretrained.strip():
        options["pretrained"] = choices.pretrained.strip()
    return {choices.model: options} if options else choices.model


def _train(knobs: Mapping[str, str], start: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training, the knobs first; `lr` is an option of the optimizer, TrainSpec's where `init` names none."""
    train: dict[str, Any] = {key: _value(knobs.get(key, "")) for key in ("epochs", "batch_size")}
    train |= {key: value for key, value in start.items() if key not in train}
    train["workers"] = _value(knobs.get("workers", ""))
    optimizer = _step(start.get("optimizer"))
    rate = _value(knobs.get("lr", ""))
    if optimizer is not None or rate is not None:
        named = optimizer or TrainSpec().optimizer
        options = {key: value for key, value in named.options.items() if key != "lr"}
        options = {"lr": rate, **options} if rate is not None else options
        train["optimizer"] = to_plain(Step(name=named.name, options=options))
    return {key: value for key, value in train.items() if value is not None}


def _step(value: Any) -> Step | None:
    """Return a plugin as `init` writes it; None for a list of layers, or for nothing."""
    found = read_model(value) if value else None
    return found if isinstance(found, Step) else None


def _rate(train: Mapping[str, Any]) -> Any:
    optimizer = _step(train.get("optimizer"))
    return optimizer.options.get("lr") if optimizer is not None else None


def _value(text: str) -> Any:
    """Return what YAML reads in a text; the text itself where it reads nothing single in it, to be told by the spec."""
    try:
        value = parse_value(text)
    except SparkNNError:
        return text.strip()
    return value if value is None or isinstance(value, bool | int | float | str) else text.strip()


def _written(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def default_column(role: str) -> str:
    """Return the column that is meant where a cell names none for a role."""
    default = DataSpec.model_fields[role].default if role in DataSpec.model_fields else None
    return default if isinstance(default, str) else role
