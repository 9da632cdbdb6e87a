"""Pydantic's errors -> one SpecError at the right place, in words that say what is allowed there."""

import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types as bound
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sparknn_magic.errors import did_you_mean, nearest
from sparknn_magic.plugin import Nested
from sparknn_magic.spec.marks import Path, cut, dotted
from sparknn_magic.spec.values import Frame

TYPES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "a mapping",
    list: "a list",
}
PLURALS = {int: "whole numbers", float: "numbers", str: "texts", bool: "true or false values"}
BOUNDS: dict[type, tuple[str, str]] = {
    bound.Gt: ("gt", "greater than"),
    bound.Ge: ("ge", "at least"),
    bound.Lt: ("lt", "less than"),
    bound.Le: ("le", "at most"),
}
BOUND_ERRORS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}

MAX_WORDED = 100  # errors beyond these are not even counted
SPLIT_TAGS = ("<source>", "<fraction>", "<column>")  # how pydantic's paths tell the three forms of a split apart


@dataclass(frozen=True)
class Words:
    """Put into `Annotated[...]`: what stands in errors for what the type allows."""

    text: str


class Problem(NamedTuple):
    """One thing that is wrong: where, in which words, and whether the key itself is at fault."""

    path: Path
    message: str
    hint: str | None = None
    key: bool = False
    missing: bool = False  # told last: a key beside it may be this one, misspelt


def problems(error: ValidationError, model: type[BaseModel], value: Any, base: Path, owner: str) -> list[Problem]:
    """Return what is wrong with `value`, read as `model`, one problem for each field, in pydantic's order.

    `base` is where `value` stands; `owner` names it in "unknown key" and "option" messages ("" for the experiment).
    """
    found: dict[Path, Problem] = {}
    for item in error.errors(include_url=False)[:MAX_WORDED]:
        loc = item["loc"]
        if loc[:1] == ("data",) and loc[2:3] and loc[2] in SPLIT_TAGS and loc[1] != "train":
            loc = loc[:2] + loc[3:]
        inner, field, path = _field_at(model, loc)
        if path not in found:
            found[path] = _problem(item | {"loc": loc}, inner, field, path, value, base, owner)
        elif field is not None and item["type"] != "spec" and _value_at(value, path) is not None:
            # Several branches of a union failed: say what all of them allow.
            given = _value_at(value, path)
            guess = did_you_mean(given, [str(c) for c in literals(field.annotation)]) if isinstance(given, str) else ""
            message = f"{dotted(base + path)} must be {describe_field(field)}, not {show(given)}.{guess}"
            found[path] = Problem(base + path, message)
    return list(found.values())


def _problem(
    item: Any, model: type[BaseModel], field: FieldInfo | None, path: Path, value: Any, base: Path, owner: str
) -> Problem:
    here, name, kind = base + path, dotted(base + path), item["type"]
    if kind == "spec":
        context = item["ctx"]
        message = context["message"]
        if item["input"] is None:
            message = message.replace("{path} must", "{path} has no value; it must").replace(", not {value}", "")
        message = message.replace("{path}", name).replace("{value}", show(item["input"]))
        return Problem(here + tuple(context["at"]), message, context["hint"], context["key"])
    if kind == "extra_forbidden":
        key, parent = str(path[-1]), dotted(base + path[:-1])
        if item["input"] is None and " " in key:  # {train: SELECT a, b FROM t}
            return Problem(
                here, f"unknown key '{cut(key)}': between {{ and }} a text with a comma needs quotes.", key=True
            )
        return Problem(here, _unknown(key, model, parent, owner), None, True)
    if kind == "missing" and len(item["loc"]) == len(path):
        return Problem(base + path[:-1], *_missing(str(path[-1]), field, dotted(base + path[:-1]), owner), True, True)
    given = _value_at(value, path)
    if field is None or kind in ("model_type", "model_attributes_type"):
        section = next(iter(models_in(field.annotation)), model) if field is not None else model
        keys = ", ".join(known_keys(section)[:4])
        guess = " A space belongs after each colon." if isinstance(given, str) and re.match(r"\w+:\S", given) else ""
        return Problem(here, f"{name} must have lines such as 'key: value' ({keys}, ...), not {show(given)}.{guess}")
    if given is None:
        return Problem(here, f"{name} has no value; it must be {describe_field(field)}.")
    if kind in BOUND_ERRORS and given == item["input"]:
        attribute, words = BOUND_ERRORS[kind]
        return Problem(here, f"{name} must be {words} {_number(item['ctx'][attribute])}, not {show(given)}.")
    choices = [str(c) for c in literals(field.annotation)]
    guess = did_you_mean(given, choices) if isinstance(given, str) else ""
    return Problem(here, f"{name} must be {describe_field(field)}, not {show(given)}.{guess}")


def _unknown(key: str, model: type[BaseModel], parent: str, owner: str) -> str:
    known = known_keys(model)
    inner = [(name, m) for name, field in model.model_fields.items() for m in models_in(field.annotation)]
    sections = [name for name, m in inner if key in known_keys(m)]
    if ":" in key and key.split(":")[0] in known:
        guess = f" Write '{cut(key.replace(':', ': ', 1))}', with a space after the colon."
    elif sections:
        guess = f" It belongs under '{sections[0]}'."
    else:
        # Of the keys one level down too: 'epoch' beside 'train' is 'train.epochs'.
        near = {key: f"{name}.{key}" for name, m in inner for key in known_keys(m)} | {key: key for key in known}
        match = nearest(key, near)
        guess = f" Did you mean '{near[match]}'?" if match else ""
    if owner:
        return f"{owner} has no option '{cut(key)}'.{guess or _listed(known)}"
    return f"unknown key '{cut(key)}'" + (f" in '{parent}'" if parent else "") + f".{guess or _listed(known)}"


def _listed(known: list[str]) -> str:
    return f" It has {_either(known, 'and')}." if known else " It takes none."


def _missing(key: str, field: FieldInfo | None, parent: str, owner: str) -> tuple[str, str | None]:
    examples = field.examples if field is not None else None
    hint = f"For example: `{key}: {examples[0]}`." if examples else None
    if owner:
        return f"{owner} needs the option '{key}'" + (f": {describe_field(field)}." if field else "."), hint
    return f"the key '{key}' is missing" + (f" in '{parent}'." if parent else "."), hint


def more(found: list[Problem], error: ValidationError) -> str:
    """Return " (and 2 more)" for three problems, "" for one."""
    if error.error_count() > MAX_WORDED:
        return " (and many more)"
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


def known_keys(model: Any) -> list[str]:
    """Return the keys that a model takes, as a cell writes them."""
    return [info.alias or name for name, info in model.model_fields.items()]


def _field_at(model: type[BaseModel], loc: tuple[Any, ...]) -> tuple[type[BaseModel], FieldInfo | None, Path]:
    """Return the innermost model on the way, its field, and the path that ends at that field."""
    field: FieldInfo | None = None
    path: list[Any] = []
    for part in loc:
        inner = models_in(field.annotation) if field is not None else []
        if field is not None and get_origin(field.annotation) is dict:
            path.append(part)
            return model, FieldInfo.from_annotation(get_args(field.annotation)[1]), tuple(path)
        if field is not None and isinstance(part, int) and _holds_steps(field.annotation):
            path.append(part)
            return model, field, tuple(path)
        owner = (
            model if field is None else next((m for m in inner if part in known_keys(m)), inner[0] if inner else None)
        )
        if owner is None:
            break
        model = owner
        fields = {info.alias or name: info for name, info in model.model_fields.items()}
        path.append(part)
        field = fields.get(part)
        if field is None:
            break
    return model, field, tuple(path)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models among what an annotation allows."""
    if _is_model(annotation):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [m for a in get_args(annotation) for m in models_in(a)]
    return []


def _holds_steps(annotation: Any) -> bool:
    return get_origin(annotation) is tuple and bool(models_in(get_args(annotation)[0]))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _value_at(value: Any, path: Path) -> Any:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return value
    return value


def describe_field(field: FieldInfo) -> str:
    """Return what a field takes, in words: "a whole number greater than 0"."""
    return describe(field.annotation, tuple(field.metadata))


def describe(annotation: Any, bounds: tuple[Any, ...] = ()) -> str:
    """Return what an annotation takes, in words."""
    origin, args = get_origin(annotation), get_args(annotation)
    words = next((m.text for m in bounds if isinstance(m, Words | Nested)), None)
    if words is not None:
        return words
    if origin is Annotated:
        return describe(args[0], (*args[1:], *bounds))
    if origin in (Union, types.UnionType):
        kinds = [a for a in args if a is not type(None) and not (a is int and float in args)]
        either = [
            w for a in kinds for w in (map(show, get_args(a)) if get_origin(a) is Literal else [describe(a, bounds)])
        ]
        return _either(["true/false" if e == TYPES[bool] else e for e in either])
    if origin is Literal:
        return _either([show(a) for a in args])
    if origin is tuple:
        return _describe_tuple(args)
    base = TYPES.get(origin or annotation, "a value")
    if _is_model(annotation):
        base = "a mapping"
    return f"{base}{_bounds(bounds)}"


def _describe_tuple(args: tuple[Any, ...]) -> str:
    kinds = {describe(a) for a in args if a is not Ellipsis}
    plain, _ = _unwrap(args[0])
    if len(kinds) > 1:
        return "[" + ", ".join(describe(a) for a in args) + "]"
    count = "" if args[-1] is Ellipsis else f"{len(args)} "
    _, inner = _unwrap(args[0])
    return f"a list of {count}{PLURALS.get(plain, 'values')}{_bounds(inner)}"


def _unwrap(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return inner, tuple(metadata)
    return annotation, ()


def _bounds(metadata: tuple[Any, ...]) -> str:
    found = []
    flat = [m for entry in metadata for m in (entry.metadata if isinstance(entry, FieldInfo) else [entry])]
    for entry in (part for m in flat for part in (m if isinstance(m, bound.GroupedMetadata) else [m])):
        if type(entry) in BOUNDS:
            attribute, words = BOUNDS[type(entry)]
            found.append(f"{words} {_number(getattr(entry, attribute))}")
    return (" of " if found and found[0].startswith("at ") else " ") + " and ".join(found) if found else ""


def _number(limit: float) -> str:
    return str(int(limit)) if float(limit).is_integer() else f"{limit:g}"


def _either(words: list[str], joint: str = "or") -> str:
    words = list(dict.fromkeys(words))
    return f"{', '.join(words[:-1])} {joint} {words[-1]}" if len(words) > 1 else words[0]


def literals(annotation: Any) -> list[Any]:
    """Return the fixed values that an annotation allows."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for inner in get_args(annotation) for value in literals(inner)]


def show(value: Any) -> str:
    """Return a value as a cell would write it, short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{cut(value)}'"
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(show(v) for v in value[:10]) + "]"
        return text if len(value) <= 10 and len(text) <= 60 else f"a list of {len(value)}"
    return "a DataFrame" if isinstance(value, Frame) else str(value)
