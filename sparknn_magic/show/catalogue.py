"""A plugin as text: its help, and a cell to paste."""

import inspect
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from sparknn_magic.plugin import Item, Nested
from sparknn_magic.registry import full_name, names
from sparknn_magic.show.starter import starter_cell
from sparknn_magic.show.words import PAGE, count, options_text, plain, table, value_text, width
from sparknn_magic.spec.schema import options_model
from sparknn_magic.spec.words import describe_field, literals

_PRETRAINED = "minilm: {pretrained: sentence-transformers/all-MiniLM-L6-v2}"
_EXAMPLES = {  # task -> rows, and a network that takes them
    "image-classification": ("SELECT image, label FROM my_table", "resnet8"),
    "text-classification": ("SELECT text, label FROM my_table", "fasttext"),
    "text-embedding": ("SELECT text FROM my_table", _PRETRAINED),
    "token-classification": ("my_table", _PRETRAINED),
    "object-detection": ("SELECT image, boxes, labels FROM my_table", "centernet"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a plugin, in words."""

    name: str
    takes: str  # "a whole number of at least 1"
    default: str  # "required" where it has none
    about: str  # what the docstring says of it
    example: str  # a value, as a cell writes it

    @property
    def required(self) -> bool:
        """Whether a cell must give it."""
        return self.default == "required"


def options_of(item: Item) -> list[Option]:
    """Return the options of a plugin, as its schema has them.

    Raises: PluginError where its signature cannot be read.
    """
    fields = options_model(item).model_fields
    return [_option(field.alias or name, field, item.example) for name, field in fields.items()]


def _option(name: str, field: FieldInfo, examples: Mapping[str, Any]) -> Option:
    takes = describe_field(field)
    default = "required" if field.is_required() else value_text(field.default)
    example = value_text(examples[name]) if name in examples else _sample(field, takes)
    return Option(name, takes, default, field.description or "", example)


def _sample(field: FieldInfo, takes: str) -> str:
    """Return the default as a cell writes it, or where there is none a value of the type."""
    if not field.is_required():
        return value_text(field.default)
    if nested := [m for m in field.metadata if isinstance(m, Nested)]:
        return nested[0].example
    if fixed := literals(field.annotation):
        return value_text(fixed[0])
    samples = {"a number": "0.1", "text": "text", "true": "true", "a list": "[32, 32]"}
    return next((sample for words, sample in samples.items() if takes.startswith(words)), "32")


def item_help(item: Item) -> str:
    """Return the help of one plugin: what it does, its options, source and licence, and a cell to paste.

    Raises: PluginError where its signature cannot be read.
    """
    title, options = f"{plain(item.name)} ({item.kind})", options_of(item)
    about = [f"{title}\n{'=' * len(title)}", _prose(inspect.cleandoc(item.build.__doc__ or ""), options)]
    example = "\n".join(f"  {line}".rstrip() for line in example_cell(item).split("\n"))
    blocks = [*about, _options_block(item, options), _facts_block(item), f"example\n{example}"]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _prose(docstring: str, options: Sequence[Option]) -> str:
    """Return the docstring without the lines that the table of options repeats."""
    said = {f"{o.name}: {o.about}" for o in options}
    kept: list[str] = []
    for paragraph in docstring.split("\n\n"):
        entries = re.split(r"\n(?=\w+: )", paragraph)
        kept.append("\n".join(_filled(e) for e in entries if " ".join(e.split()).rstrip(".") not in said))
    return "\n\n".join(k for k in kept if k.strip())


def _filled(text: str) -> str:
    """Return text in lines of a page; one with lines of a layout of their own stays as it is."""
    own = re.search(r"^([ |*-]|\d+\. )", text, re.MULTILINE)
    return text if own else textwrap.fill(text, PAGE, break_long_words=False, break_on_hyphens=False)


def _options_block(item: Item, options: Sequence[Option]) -> str:
    if not options:
        return "no options" if item.kind not in ("task", "sample") else ""
    rows = [["name", "default", "takes", "meaning"]]
    taken = (max(width(k), *(width(getattr(o, k)) for o in options)) + 2 for k in ("name", "default", "takes"))
    room = PAGE - 2 - sum(taken)
    for option in options:
        first, *more = textwrap.wrap(option.about, max(room, 40)) or [""]
        rows += [[option.name, option.default, option.takes, first], *(["", "", "", line] for line in more)]
    note = f"\n  `{item.name}: VALUE` sets {item.main}." if item.main else ""
    return "options\n" + table(rows, "llll", indent="  ") + note


def _facts_block(item: Item) -> str:
    notes = {name: count(v) if isinstance(v, int) else value_text(v) for name, v in item.notes.items()}
    if isinstance(at := item.notes.get("at"), Mapping) and "parameters" in notes:
        notes["parameters"] += f" ({options_text(at)})"
        del notes["at"]
    facts = [
        ("task", ", ".join(item.tasks)),
        ("dynamic axes", ", ".join(item.dynamic) if item.kind == "architecture" else None),
        *notes.items(),
        ("source", item.source),
        ("licence", item.licence),
        ("code", item.ref),
    ]
    return table([[name, plain(value)] for name, value in facts if value], "ll")


def example_cell(item: Item) -> str:
    """Return a whole cell that uses the item, with its main or its first option written out."""
    if item.kind == "sample":
        return f'import sparknn_magic\n\nrows = sparknn_magic.sample("{item.name}", spark)'
    if item.kind == "task" and item.name in names("task"):
        return starter_cell(item.name)
    usual = "text-classification" if item.kind == "tokenizer" else "image-classification"
    task = item.name if item.kind == "task" else next(iter(item.tasks), usual)
    rows, network = _EXAMPLES.get(task, ("my_table", "mlp"))
    head = ["%%sparknn train my_model", f"task: {task}", "data:", f"  train: {rows}"]
    written, model = _written(item), [f"model: {network}" if ": " not in network else f"model:\n  {network}"]
    places = {
        "architecture": [f"model: {written}" if ": " not in written else f"model:\n  {written}"],
        "layer": ["model:", f"- {written}"],
        "preprocessor": ["preprocess:", f"- {written}", *model],
        "tokenizer": [f"tokenizer: {{{written}}}" if ": " in written else f"tokenizer: {written}", *model],
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
    name, options = full_name(item), options_of(item)
    required = [o for o in options if o.required]
    main = next((o for o in options if o.name == item.main), None)
    if main is not None and all(o is main for o in required):
        return name if main.example in ("0", "null", "false") else f"{name}: {main.example}"
    shown = [o for o in options if o.name in item.example] or required or options[:1]
    return f"{name}: {{{', '.join(f'{o.name}: {o.example}' for o in shown)}}}" if shown else name
