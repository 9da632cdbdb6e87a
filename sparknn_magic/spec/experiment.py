"""An experiment: what a cell, a file or a Python call asks for. Every door reads into the same model."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from keyword import iskeyword
from pathlib import Path as FilePath
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError, SpecError, did_you_mean
from sparknn_magic.spec import overrides as override_words
from sparknn_magic.spec.defaults import with_defaults
from sparknn_magic.spec.export import AnExport
from sparknn_magic.spec.marks import Mark, Marks
from sparknn_magic.spec.metrics import Metrics
from sparknn_magic.spec.models import AStep, DataSpec, Model, Name, Source, Spec, Steps
from sparknn_magic.spec.parse import MAX_CHARACTERS, parse
from sparknn_magic.spec.preprocess import Preprocess
from sparknn_magic.spec.training import TrainSpec
from sparknn_magic.spec.values import Plain, attach_frames, is_frame
from sparknn_magic.spec.words import Problem, more, problems, show

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NO_MODEL = "none"  # in the place of the model, where only the rows matter and none is given
# A section with nothing under it (every line commented out, say) is as if it were not written.
_SECTIONS = ("name", "preprocess", "tokenizer", "augment", "init", "loss", "metrics", "train", "export")


class Experiment(Spec):
    """One experiment, checked: data, steps, network, training."""

    name: str | None = Field(default=None, description="name of the model in Python and in SQL")
    task: Name = Field(description="what is learnt; `%sparknn zoo tasks` lists them", examples=["image-classification"])
    data: DataSpec = Field(description="the rows, their split and columns")
    preprocess: Preprocess = Field(
        default=(), description="steps on the rows before training and before every prediction: plugins, and SQL"
    )
    tokenizer: AStep | None = Field(
        default=None,
        description="how texts become tokens, trained on the training rows; the architecture's own where none is given",
    )
    augment: Steps = Field(default=(), description="random changes to the training pictures")
    model: Model = Field(description="the architecture and its options, or a list of layers", examples=["resnet18"])
    init: AStep | None = Field(
        default=None, description="how the weights of a list of layers are drawn: he, xavier, orthogonal, ..."
    )
    loss: AStep | None = Field(
        default=None, description="what training minimizes; the task's own where it is not given"
    )
    metrics: Metrics = Field(
        default={}, description="SQL aggregates over the predictions by name, computed beside the task's own figures"
    )
    train: TrainSpec = Field(default=TrainSpec(), description="how the network is trained")
    export: AnExport | None = Field(default=None, description="folder that the model is written to, and what else")

    _marks: Marks = PrivateAttr(default_factory=Marks)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        name: str | None = None,
        overrides: Iterable[str] = (),
        variables: Mapping[str, Any] | None = None,
        first_line: int = 1,
        rows_only: bool = False,
    ) -> "Experiment":
        """Read a cell's text.

        `overrides` are `key.path=value` words, `variables` what `${name}` is looked up in (a notebook's namespace),
        `first_line` the number of the text's first line in the cell. With `rows_only` it need name no model.
        Raises: SpecError with line and column.
        """
        parsed = parse(text, first_line=first_line)
        return cls._build(parsed.value, parsed.marks, name, overrides, variables, rows_only)

    @classmethod
    def load(
        cls,
        source: "str | FilePath | Mapping[str, Any] | Experiment",
        *,
        name: str | None = None,
        overrides: Iterable[str] = (),
        variables: Mapping[str, Any] | None = None,
        rows_only: bool = False,
    ) -> "Experiment":
        """Read a dict, YAML text, the path of a YAML file, or another Experiment to apply `overrides` to.

        Raises: SpecError; with line and column where there is a text.
        """
        marks = Marks()
        if isinstance(source, Experiment):
            marks = Marks(dict(source._marks.values), dict(source._marks.keys))
            source = _with_frames(source)
        if isinstance(source, Mapping):
            value = Plain(marks, None).copy(source, look_up=False)
            return cls._build(value, marks, name, overrides, variables, rows_only)
        if isinstance(source, FilePath) or (isinstance(source, str) and _is_path(source)):
            source = _read_file(FilePath(source))
        if not isinstance(source, str):
            raise SpecError(f"an experiment is a dict, YAML text or a path, not a {type(source).__qualname__}.")
        return cls.parse(source, name=name, overrides=overrides, variables=variables, rows_only=rows_only)

    @classmethod
    def _build(
        cls,
        value: dict[str, Any],
        marks: Marks,
        name: str | None,
        overrides: Iterable[str],
        variables: Mapping[str, Any] | None,
        rows_only: bool,
    ) -> "Experiment":
        override_words.apply(overrides, value, marks)
        value = Plain(marks, variables).copy(value)
        if variables is not None:
            attach_frames(value.get("data"), marks, variables)
        value = {k: v for k, v in value.items() if v is not None or k not in _SECTIONS}
        if rows_only and value.get("model") is None:
            value["model"] = NO_MODEL
        value = with_defaults(value)
        if name is not None:
            value["name"] = name
        _check_name(value.get("name"), marks if name is None else Marks())
        try:
            experiment = cls.model_validate(value)
        except ValidationError as error:
            raise _first(error, value, marks) from None
        experiment._marks = marks
        experiment._find_variables(variables or {})
        return experiment

    def _find_variables(self, variables: Mapping[str, Any]) -> None:
        for source in (self.data.train, self.data.validation, self.data.test):
            if isinstance(source, Source) and source.auto is not None and is_frame(variables.get(source.auto)):
                source._variable = variables[source.auto]

    def where(self, *path: str | int, key: bool = False) -> tuple[int, int] | None:
        """Return the line and column of the value at a path (or of its key); None where the cell does not write it."""
        mark = (self._marks.keys if key else self._marks.values).get(path)
        return (mark.line, mark.column) if mark is not None and mark.line and mark.column else None

    def error(
        self,
        path: Iterable[str | int],
        message: str,
        *,
        hint: str | None = None,
        key: bool = False,
        kind: type[SparkNNError] = SpecError,
        inside: tuple[int, int] | None = None,
    ) -> SparkNNError:
        """Return an error of `kind` that points at `path`, or at what is written nearest above it.

        `inside` is a line and column within the text that stands there, from 1.
        """
        return self._marks.error(path, message, hint=hint, key=key, kind=kind, inside=inside)

    def to_dict(self) -> dict[str, Any]:
        """Return values that JSON can hold and `Experiment.load` reads back; a DataFrame is its variable's name."""
        return self.to_plain()

    def fingerprint(self, parts: Iterable[str] = ("data", "preprocess")) -> str:
        """Return the sha256 (hex) of these top-level keys, defaults included; the text's layout has no part in it.

        Raises: ValueError for a part that no experiment has.
        """
        parts = tuple(parts)
        plain = self.to_dict()
        unknown = set(parts) - set(type(self).model_fields)
        if unknown:
            raise ValueError(f"no such parts: {sorted(unknown)}")
        chosen = {part: plain.get(part) for part in parts}
        text = json.dumps(chosen, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def _first(error: ValidationError, value: Any, marks: Marks) -> SparkNNError:
    found = problems(error, Experiment, value, (), "")

    def place(problem: Problem) -> tuple[bool, int, int]:
        mark = marks.find(problem.path, key=problem.key) or Mark()
        return problem.missing, mark.line or 0, mark.column or 0

    first = min(found, key=place)
    hint = first.hint
    if first.missing and "model" not in value and isinstance(value.get("task"), str):
        try:
            task = registry.get("task", value["task"]).name
        except SparkNNError as unknown:  # a misspelt task goes before the architecture that is missing
            return marks.error(("task",), unknown.message, hint=unknown.hint)
        hint = f"`%sparknn zoo {task}` lists the architectures of this task."
    return marks.error(first.path, first.message + more(found, error), hint=hint, key=first.key)


def _check_name(name: Any, marks: Marks) -> None:
    if name is None:
        return
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        fixed = re.sub(r"\W", "_", str(name), flags=re.ASCII)
        guess = f" Did you mean '{fixed}'?" if _NAME.fullmatch(fixed) and len(fixed) <= 40 else ""
        message = f"{show(name)} cannot name a model: use letters, digits and _, and start with a letter.{guess}"
        raise marks.error(("name",), message)
    if iskeyword(name):
        raise marks.error(("name",), f"'{name}' is a word of Python's own and cannot name a model.")


def _is_path(text: str) -> bool:
    if "\n" in text:
        return False
    return text.endswith((".yaml", ".yml")) or ":" not in text


def _read_file(path: FilePath) -> str:
    if path.is_dir():
        raise SpecError(f"'{path}' is a folder; name the YAML file in it.")
    if not path.is_file():
        folder = path.parent
        known = [p.name for p in folder.iterdir() if p.suffix in (".yaml", ".yml")] if folder.is_dir() else []
        raise SpecError(f"there is no file '{path}'.{did_you_mean(path.name, known)}")
    if path.stat().st_size > 4 * MAX_CHARACTERS:
        raise SpecError(f"'{path}' has {path.stat().st_size:,} bytes; at most {MAX_CHARACTERS:,} characters are read.")
    data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        raise SpecError(
            f"'{path}' is not UTF-8 text (byte 0x{data[error.start]:02x}); save it as UTF-8.",
            line=before.count(b"\n") + 1,
            column=len(before[before.rfind(b"\n") + 1 :].decode()) + 1,
        ) from None


def _with_frames(experiment: Experiment) -> dict[str, Any]:
    """Return `to_dict`, with DataFrames in place of their names."""
    plain = experiment.to_dict()
    for key in ("train", "validation", "test"):
        source = getattr(experiment.data, key)
        if isinstance(source, Source) and source.frame is not None:
            plain["data"][key] = source.frame
    return plain
