"""The zoo and its items as text: a table of all, the help of one, a cell to paste."""

import inspect
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sparknn_magic.plugin import Item
from sparknn_magic.registry import Failure, plural
from sparknn_magic.show.words import count, plain, shorten, table, value_text

COLUMNS = {"name": 24, "summary": 62, "source": 44, "package": 24}  # the widest that each may be


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a plugin, in words."""

    name: str
    kind: str  # its type
    default: str  # "required" where it has none
    about: str  # bounds and description, where the signature gives any


def options_of(item: Item) -> list[Option]:
    """Return the keyword-only options of a plugin: its signature is its schema."""
    try:
        hints = typing.get_type_hints(item.build, include_extras=True)
    except (NameError, TypeError):  # a name that only a type checker sees: the words in the source will do
        hints = {}
    parameters = inspect.signature(item.build).parameters.values()
    return [_option(p, hints.get(p.name, p.annotation)) for p in parameters if p.kind is p.KEYWORD_ONLY]


def _option(parameter: inspect.Parameter, hint: Any) -> Option:
    default = "required" if parameter.default is parameter.empty else value_text(parameter.default)
    extras = hint.__metadata__ if typing.get_origin(hint) is typing.Annotated else ()
    about = [text for extra in extras for text in _facts(extra)]
    return Option(parameter.name, type_text(hint), default, ", ".join(about))


def _facts(extra: Any) -> list[str]:
    """Return what an annotation says: a text, or the bounds and the description of a pydantic Field."""
    if isinstance(extra, str):
        return [extra]
    signs = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "multiple_of": "a multiple of"}
    parts = [extra, *(getattr(extra, "metadata", None) or [])]
    bounds = [f"{word} {getattr(p, sign):g}" for p in parts for sign, word in signs.items() if hasattr(p, sign)]
    description = getattr(extra, "description", None)
    return [*bounds, description] if description else bounds


def type_text(hint: Any) -> str:
    """Return a type as the help prints it: `int`, `"mean" or "sum"`, `int or [int, int]`."""
    if hint is inspect.Parameter.empty:
        return "any"
    if isinstance(hint, str):
        return hint
    if hint is type(None):
        return "null"
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return type_text(inner[0])
    if origin is typing.Literal:
        return " or ".join(value_text(v) for v in inner)
    if _is_union(hint):
        return " or ".join(type_text(t) for t in inner)
    if origin is tuple:
        return "[" + ", ".join("..." if t is Ellipsis else type_text(t) for t in inner) + "]"
    if origin is list:
        return f"list of {type_text(inner[0])}" if inner else "list"
    return getattr(hint, "__name__", None) or str(hint).replace("typing.", "")


def _is_union(hint: Any) -> bool:
    return isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union


def package_of(item: Item) -> str:
    """Return the top package that the item comes from; `__main__` is the notebook."""
    package = item.build.__module__.partition(".")[0]
    return "this notebook" if package == "__main__" else package


def zoo_groups(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Return the items by heading, `architectures for image-classification`, in the order in which they come."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(plural(item.kind) + (f" for {plain(item.task)}" if item.task else ""), []).append(item)
    return groups


def zoo_columns(items: Sequence[Item], *, many_packages: bool) -> list[tuple[str, list[str]]]:
    """Return the columns of one group; a column that says nothing of any item is left out."""
    columns = [
        ("name", [i.name for i in items]),
        ("summary", [brief(i.summary) for i in items]),
        ("source", [i.source for i in items]),
        ("package", [package_of(i) if many_packages else "" for i in items]),
    ]
    return [(title, cells) for title, cells in columns if any(cells)]


def brief(summary: str) -> str:
    """Return a summary without the shapes, which are the same in a whole group: those are in the item's help."""
    words = re.sub(r"^float32\[[^]]*\][^>]*-> the same shape[,:] *", "", summary)
    return re.sub(r": float32\[.*$", "", words).rstrip(".")


def zoo_table(items: Sequence[Item], failures: Sequence[Failure] = ()) -> str:
    """Return the plugins grouped by kind and task: name, summary, source; then those that do not load, and why.

    Where they come from more than one package, each line names its own.
    """
    blocks = []
    many = len({package_of(i) for i in items}) > 1
    for heading, group in zoo_groups(items).items():
        columns = zoo_columns(group, many_packages=many)
        cells = [[shorten(cell, COLUMNS[title]) if cell else "" for cell in column] for title, column in columns]
        lines = table(list(zip(*cells, strict=True)), "l" * len(cells), indent="  ")
        blocks.append(f"{heading} ({len(group)})\n{lines}")
    if failures:
        rows = [[plain(f.name), f.kind, plain(f.package), plain(f.reason)] for f in failures]
        blocks.append(f"do not load ({len(failures)})\n" + table(rows, "llll", indent="  "))
    if not blocks:
        return "no plugins found\n"
    return "\n\n".join(blocks) + "\n\n`%sparknn help NAME` shows the options of one, and a cell to paste.\n"


def item_help(item: Item) -> str:
    """Return the help of one plugin: what it does, its options, source and licence, and a cell to paste."""
    title = f"{plain(item.name)} ({item.kind})"
    doc = inspect.cleandoc(item.build.__doc__ or "")
    blocks = [f"{title}\n{'=' * len(title)}", doc, _options_block(item), _facts_block(item)]
    blocks.append("example\n" + "\n".join(f"  {line}" for line in example_cell(item).split("\n")))
    return "\n\n".join(b for b in blocks if b) + "\n"


def _options_block(item: Item) -> str:
    options = options_of(item)
    if not options:
        return "no options"
    rows = [[o.name, o.kind, o.default, _about(o, item)] for o in options]
    return "options\n" + table([["name", "type", "default", ""], *rows], "llll", indent="  ")


def _about(option: Option, item: Item) -> str:
    bare = f"`{item.name}: VALUE` sets it" if option.name == item.main else ""
    return "; ".join(part for part in (option.about, bare) if part)


def _facts_block(item: Item) -> str:
    notes = [(name, count(v) if isinstance(v, int) else value_text(v)) for name, v in item.notes.items()]
    facts = [
        ("task", item.task),
        ("dynamic axes", ", ".join(item.dynamic) if item.kind == "architecture" else None),
        *notes,
        ("source", item.source),
        ("licence", item.licence),
        ("code", item.ref),
    ]
    return table([[name, plain(value)] for name, value in facts if value], "ll")


def example_cell(item: Item) -> str:
    """Return a whole cell that uses the item, with its main or its first option written out."""
    if item.kind == "sample":
        return f"import sparknn_magic\n\nrows = sparknn_magic.sample({item.name!r}, spark)"
    head = [
        "%%sparknn train my_model",
        f"task: {item.name if item.kind == 'task' else item.task or 'image-classification'}",
    ]
    head += ["data:", "  train: SELECT image, label FROM my_table"]
    written, model = _written(item), ["model: resnet8"]
    places = {
        "architecture": [f"model: {written}" if ": " not in written else f"model:\n  {written}"],
        "layer": ["model:", f"- {written}"],
        "preprocessor": ["preprocess:", f"- {written}", *model],
        "augmentation": ["augment:", f"- {written}", *model],
        "loss": [*model, f"loss: {{{written}}}" if ": " in written else f"loss: {written}"],
        "optimizer": [
            *model,
            "train:",
            f"  optimizer: {{{written}}}" if ": " in written else f"  optimizer: {written}",
        ],
        "schedule": [*model, "train:", f"  schedule: {{{written}}}" if ": " in written else f"  schedule: {written}"],
    }
    return "\n".join([*head, *places.get(item.kind, model)])


def _written(item: Item) -> str:
    """Return the item as a cell writes it: `resize: 32`, `resnet18: {width: 64}`, or the bare name."""
    options = [p for p in inspect.signature(item.build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if not options:
        return item.name
    required = [p for p in options if p.default is p.empty]
    main = next((p for p in options if p.name == item.main), None)
    if main is not None and all(p is main for p in required):
        sample = _sample(main)
        return item.name if sample in ("0", "null", "false") else f"{item.name}: {sample}"
    shown = required or options[:1]
    return f"{item.name}: {{{', '.join(f'{p.name}: {_sample(p)}' for p in shown)}}}"


def _sample(parameter: inspect.Parameter) -> str:
    """Return the option's default, or where it has none a value of its type."""
    if parameter.default is not parameter.empty:
        return value_text(parameter.default)
    hint = parameter.annotation
    if typing.get_origin(hint) is typing.Literal:
        return value_text(typing.get_args(hint)[0])
    words = type_text(hint)
    samples = {"int": "32", "bool": "true", "float": "0.1", "str": "text"}
    return next((sample for kind, sample in samples.items() if words.startswith(kind)), "32")
