"""What every check stands on: an item with its options, faults as sentences, the list of checks by kind and task."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sparknn_magic.errors import PluginError, SparkNNError, SpecError
from sparknn_magic.plugin import Item
from sparknn_magic.spec.layers import nested_options, resolve_nested
from sparknn_magic.spec.models import Step
from sparknn_magic.spec.schema import options_model, validate_options


class Fault(Exception):  # noqa: N818 (it is the plugin's, not an error of ours)
    """What is wrong with a plugin, in one sentence."""


@dataclass
class Report:
    """What was checked of one item, and what is wrong with it."""

    item: Item
    passed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The item in words: `the loss 'poly1'`."""
        return f"the {self.item.kind} '{self.item.name}'"

    def __str__(self) -> str:
        head = f"{self.item.kind} {self.item.name}: " + ("FAULTY" if self.faults else "ok")
        return "\n".join([head, *(f"  FAULT  {text}" for text in self.faults), *(f"  ok     {t}" for t in self.passed)])


@dataclass(frozen=True)
class Subject:
    """An item that is being checked, and the options that it is built with."""

    item: Item
    given: Mapping[str, Any] | None = None

    def options(self) -> dict[str, Any]:
        """Return all its options: those given, else its example's, and for the rest the signature's defaults."""
        given = self.given if self.given is not None else self.item.example
        step = Step(name=self.item.name, options=_filled(self.item, given))
        try:
            if nested_options(self.item):
                return resolve_nested(self.item, step.options)
            return validate_options(self.item, step, _spec_error)
        except SparkNNError as error:
            raise Fault(f"its annotations do not allow its own defaults or example: {error.message}") from error

    def build(self, *args: Any) -> Any:
        """Build it. Raises: SpecError as the plugin does, Fault where it raises anything else."""
        with guard(f"it does not build{_for(args)}"):
            return self.item.build(*args, **self.options())


Check = Callable[[Subject], str]
_CHECKS: dict[tuple[str | None, str | None], list[Check]] = {}


def checks(kind: str | None, *, task: str | None = None) -> Callable[[Check], Check]:
    """Add a check of a kind (None: of every item), or of those of a kind that serve a task.

    It returns the sentence of what is right, and raises Fault with the sentence of what is not.
    """

    def add(check: Check) -> Check:
        _CHECKS.setdefault((kind, task), []).append(check)
        return check

    return add


def examine(item: Item, options: Mapping[str, Any] | None = None) -> Report:
    """Run all checks of an item, one after the other, each whatever the others have found."""
    report, subject = Report(item), Subject(item, options)
    keys = [(None, None), (item.kind, None), *((item.kind, task) for task in item.tasks)]
    for check in [check for key in keys for check in _CHECKS.get(key, [])]:
        try:
            report.passed.append(check(subject))
        except Fault as fault:
            if str(fault) not in report.faults:  # what does not build fails every check with the same words
                report.faults.append(str(fault))
    return report


@contextmanager
def guard(what: str, *, allow: tuple[type[Exception], ...] = (SpecError,)) -> Iterator[None]:
    """Turn whatever the plugin's code raises into a Fault: `what`, and the error; let through what is allowed."""
    let_through: tuple[type[Exception], ...] = (Fault, *allow)
    try:
        yield
    except let_through:
        raise
    except SparkNNError as error:
        raise Fault(f"{what}: {error.message}") from error
    except Exception as error:  # a stranger's code may raise anything
        raise Fault(f"{what}: {type(error).__name__}: {_first_line(error)}") from error


def must(truth: Any, otherwise: str) -> None:
    """Raise Fault with the sentence where `truth` does not hold."""
    if not truth:
        raise Fault(otherwise)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")


def _for(args: tuple[Any, ...]) -> str:
    shown = [arg for arg in args if isinstance(arg, tuple | int) or type(arg).__module__.startswith("sparknn_magic.")]
    return f" for {', '.join(map(str, shown))}" if shown else ""


def _spec_error(path: Any, message: str, *, hint: str | None = None, key: bool = False) -> SparkNNError:
    return PluginError(message, hint=hint)


def _filled(item: Item, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options given, and for those that have no default a value of their type."""
    from sparknn_magic.show.catalogue import options_of
    from sparknn_magic.spec.parse import parse

    missing = [name for name, f in options_model(item).model_fields.items() if f.is_required()]
    samples = {option.name: option.example for option in options_of(item) if option.required}
    filled = {name: parse(f"value: {samples[name]}").value["value"] for name in missing if name not in given}
    return {**filled, **given}
