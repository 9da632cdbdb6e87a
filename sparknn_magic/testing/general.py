"""What holds for every item: its name, docstring, source, licence, options and reference."""

import inspect
import json
import pickle
import re

from sparknn_magic import registry, shipping
from sparknn_magic.plugin import Item, Part
from sparknn_magic.spec.schema import options_model
from sparknn_magic.testing.kit import Subject, checks, guard, must

NAME = re.compile(r"[a-z][a-z0-9_-]*")
SHAPES = re.compile(r"\[[^\]]+\]|(any|same) shape")
SHAPED = ("architecture", "layer", "augmentation", "loss")  # kinds whose docstring gives shapes: float32[B, C] -> ...
ARROWS = (*SHAPED, "preprocessor", "tokenizer", "schedule")  # what goes in -> what comes out


@checks(None)
def named(subject: Subject) -> str:
    """Have a name that a cell can write without quotes."""
    name = subject.item.name
    must(NAME.fullmatch(name), f"its name '{name}' is not made of small letters, digits, _ and -, a letter first.")
    must(len(name) <= 100, "its name has more than 100 characters.")
    return "its name can stand in a cell"


@checks(None)
def documented(subject: Subject) -> str:
    """Have a docstring that says what goes in and what comes out."""
    item, text = subject.item, inspect.getdoc(subject.item.build) or ""
    must(text.strip(), "it has no docstring; its first line is what `%sparknn zoo` shows.")
    if item.kind in ARROWS:
        must("->" in text, "its docstring does not say what goes in and what comes out: `this -> that`.")
    if item.kind in SHAPED:
        must(SHAPES.search(text), "its docstring gives no shapes, such as float32[batch, features].")
    return "its docstring tells what goes in and what comes out"


@checks(None)
def explained(subject: Subject) -> str:
    """Have every option explained in the docstring."""
    with guard("its options cannot be read"):
        fields = options_model(subject.item).model_fields
    missing = [field.alias or name for name, field in fields.items() if not field.description]
    must(not missing, f"its docstring does not explain {_and(missing)}; write `{(missing or [''])[0]}: what it is.`")
    return f"its {len(fields)} options are explained" if fields else "it takes no options"


@checks(None)
def sourced(subject: Subject) -> str:
    """Have a source and a licence."""
    item = subject.item
    text = inspect.getdoc(item.build) or ""
    must(item.source or "Source:" in text, "it names no source: a paper, a page, or yourself, as source='...'.")
    must(
        registry.licence(item),
        "no licence is recorded: write licence='...' in its decorator, or `license = ...` in its package's pyproject.",
    )
    return f"its source and its licence ({registry.licence(item)}) are recorded"


@checks(None)
def plain_options(subject: Subject) -> str:
    """Take keyword-only options that are plain values, with defaults that their annotations allow."""
    item = subject.item
    if item.kind in ("task", "sample"):
        return "it takes no options"
    with guard("its options cannot be read"):
        named_here = {f.alias or name: f for name, f in options_model(item).model_fields.items()}
    for name, option in named_here.items():
        if not option.is_required():
            with guard(f"its option '{name}' has a default that is no plain value, {option.default!r}"):
                json.dumps(option.default)
    given = {name: option.default for name, option in named_here.items() if not option.is_required()}
    Subject(item, given | dict(subject.given or item.example)).options()  # pydantic itself takes defaults as they are
    return "its defaults are plain values that its annotations allow"


@checks(None)
def referable(subject: Subject) -> str:
    """Be found again by its reference, from a pickled Part, or be pickled by value where it is the notebook's."""
    item = subject.item
    if item.kind in ("task", "sample"):  # never leave the driver
        return "its reference is not needed on executors"
    part: Part = shipping.part_of(item, subject.options())
    with guard(f"its reference {item.ref} does not come back from pickle"):
        data = pickle.dumps(part)
        if part.code is not None:  # not unpickled here, where the notebook's own classes are
            return f"its code travels by value, in {len(data):,} bytes"
        found = getattr(pickle.loads(data).load(), "__sparknn__", None)
    must(isinstance(found, Item), f"its reference {item.ref} is something else: an undecorated function hides it.")
    assert found is not None
    must(found.name == item.name and found.kind == item.kind, f"its reference {item.ref} is another item.")
    return "its reference pickles"


def _and(names: list[str]) -> str:
    return " and ".join(", ".join(f"'{name}'" for name in names).rsplit(", ", 1))
