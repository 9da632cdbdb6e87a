"""The tables of zoo/README.md, made from the plugins themselves; the text around them is written by hand.

python -m tests.zoo.catalogue_tables        # prints what differs
python -m tests.zoo.catalogue_tables write  # puts the tables into zoo/README.md, and the list into its own file

The list is what `%sparknn zoo` shows of the built-in plugins without importing them: `sparknn_catalogue.json`.

Two columns are a person's: "what it does", where a row has more to say than the docstring's first line, and "ms". They
are kept for the rows that have them. A plugin that belongs to no table is an error: give its kind or task a mark.
"""

import functools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from sparknn_magic import registry
from sparknn_magic.initializers import ITEMS
from sparknn_magic.listing import FILE
from sparknn_magic.plugin import DetectionInputs, ImageInputs, Item, TextInputs, VectorInputs
from sparknn_magic.show.catalogue import options_of
from sparknn_magic.show.zoo_listing import brief

README = Path(__file__).parents[2] / "zoo" / "README.md"
PICTURES, COLUMNS, TEXTS = "image-classification", "vector-regression", "text-classification"
SCENES = "object-detection"
SMALL = {
    PICTURES: (ImageInputs(3, 32, 32), 10),
    COLUMNS: (VectorInputs(8, (11,), (0,)), 1),
    TEXTS: (TextInputs(8000, 128, separator=3, word_start=4), 10),
    SCENES: (DetectionInputs(3, 320, 320), 10),
}
SAME = {  # tasks whose networks differ in the last layer alone from those that are counted
    "vector-classification": COLUMNS,
    "token-classification": TEXTS,
    "text-embedding": TEXTS,
}
LIST = README.parent / "sparknn_zoo" / FILE
MARK = re.compile(r"<!-- table: (?P<name>[^>]+?) -->\n(?P<table>.*?)<!-- end -->", re.DOTALL)


def serves(task: str) -> Callable[[Item], bool]:
    """Return whether an item is for this task by name."""
    return lambda item: task in item.tasks


# Which items each marked table has.
TABLES: dict[str, tuple[str, Callable[[Item], bool]]] = {
    "architectures of pictures": ("architecture", serves(PICTURES)),
    "architectures of columns": ("architecture", serves(COLUMNS)),
    "architectures of texts": ("architecture", serves(TEXTS)),
    "architectures of scenes": ("architecture", serves(SCENES)),
    "layers": ("layer", lambda item: True),
    "initializers": ("initializer", lambda item: True),
    "preprocessors of pictures": ("preprocessor", lambda item: not item.tasks or PICTURES in item.tasks),
    "preprocessors of columns": ("preprocessor", serves(COLUMNS)),
    "preprocessors of texts": ("preprocessor", serves("text-classification")),
    "tokenizers": ("tokenizer", lambda item: True),
    "augmentations": ("augmentation", lambda item: True),
    "losses": ("loss", lambda item: True),
    "optimizers": ("optimizer", lambda item: True),
    "schedules": ("schedule", lambda item: True),
    "tasks": ("task", lambda item: True),
}


def built_in(kind: str) -> list[Item]:
    """Return the items of a kind that are ours, by name."""
    if kind == "initializer":
        return sorted({item.name: item for item in ITEMS.values()}.values(), key=lambda item: item.name)
    items = [registry.get(kind, claim.name) for claim in registry.claims(kind) if claim.ref.startswith("sparknn_zoo.")]
    return sorted(items, key=lambda item: item.name)


def homeless() -> list[Item]:
    """Return the items that no table has."""
    kinds = {kind for kind, _ in TABLES.values()}
    return [
        item
        for kind in kinds
        for item in built_in(kind)
        if not any(of == kind and has(item) for of, has in TABLES.values())
    ]


def table(name: str, written: str) -> str:
    """Return a table, with the words that a person wrote into the one that stands there now."""
    kind, has = TABLES[name]
    items = [item for item in built_in(kind) if has(item)]
    if kind == "architecture":
        task = next(task for task in SMALL if has(items[0]) and task in items[0].tasks and name.endswith(_word(task)))
        head = ["name", "options", "parameters", "published", "licence", "source"]
        rows = [_architecture(item, task) for item in items]
    elif kind == "task":
        head = ["name", "what it does", "default loss", "figure", "source"]
        rows = [_task(item) for item in items]
    else:
        timed = "| ms |" in written
        head = ["name", "options", "what it does", *(["ms"] if timed else []), "licence", "source"]
        said = _said(written)
        rows = [_row(item, said.get(item.name, {}), timed) for item in items]
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |") for cells in lines)


def _word(task: str) -> str:
    return {PICTURES: "pictures", COLUMNS: "columns", TEXTS: "texts", SCENES: "scenes"}[task]


def _said(written: str) -> dict[str, dict[str, str]]:
    """Return for each name the cells of the columns that a person writes."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in written.splitlines()]
    if not rows:
        return {}
    head, *body = rows
    kept = [(n, title) for n, title in enumerate(head) if title in ("what it does", "ms")]
    return {row[0].strip("`"): {title: row[n] for n, title in kept} for row in body if row[0].startswith("`")}


def _row(item: Item, said: dict[str, str], timed: bool) -> list[str]:
    does = said.get("what it does") or _cell(brief(item.summary.split(" Source: ")[0]))
    measured = [said.get("ms", "")] if timed else []
    return [f"`{item.name}`", _options(item), does, *measured, _licence(item), _cell(_source(item))]


def _architecture(item: Item, task: str) -> list[str]:
    return [
        f"`{item.name}`",
        _options(item),
        f"{parameters(item.name, task):,}",
        _published(item.notes),
        _licence(item),
        _cell(item.source),
    ]


@functools.cache
def parameters(name: str, task: str) -> int:
    """Return how many parameters an architecture has for this task, with its default options."""
    item, (inputs, outputs) = registry.get("architecture", name), SMALL[task]
    return sum(p.numel() for p in item.build(inputs, outputs, **item.example).parameters())


def listed() -> str:
    """Return the text of the list: a line for each built-in plugin."""
    lines = [json.dumps(_listed(kind, item), ensure_ascii=False) for kind in registry.GROUPS for item in built_in(kind)]
    return '{"plugins": [\n' + ",\n".join(lines) + "\n]}\n"


def _listed(kind: str, item: Item) -> dict[str, object]:
    ref = next(claim.ref for claim in registry.claims(kind) if claim.name == item.name)
    said: dict[str, object] = {"kind": kind, "name": item.name, "ref": ref, "summary": item.summary}
    said |= {"tasks": list(item.tasks)} if item.tasks else {}
    said |= {"reference": item.source} if item.source else {}
    if kind == "architecture":
        said["parameters"] = {task: parameters(item.name, SAME.get(task, task)) for task in item.tasks}
        said |= {"files": True} if {"pretrained", "config"} <= {option.name for option in options_of(item)} else {}
    return said


def _task(item: Item) -> list[str]:
    kind = item.build
    loss = f"`{kind.default_loss}`" if kind.default_loss else ""
    return [f"`{item.name}`", _cell(item.summary), loss, kind.figure, _cell(item.source)]


def _options(item: Item) -> str:
    """Return the options with their defaults, the main one in bold."""
    shown = []
    for option in options_of(item):
        name = f"**`{option.name}`**" if option.name == item.main else f"`{option.name}`"
        shown.append(name if option.required else f"{name} {_cell(option.default)}")
    return ", ".join(shown)


def _source(item: Item) -> str:
    found = re.search(r"Source: (.+?)\.?$", item.summary)
    return item.source or (found[1] if found else "")


def _licence(item: Item) -> str:
    return registry.licence(item) if item.kind != "initializer" else "Apache-2.0"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _published(notes: dict) -> str:
    if "parameters" not in notes:
        return ""
    at = dict(notes["at"])
    outputs = at.pop("outputs")
    if "numbers" in at:
        size = [f"{at.pop('numbers')} numbers", f"{outputs} output{'s' * (outputs != 1)}"]
    else:
        size = [f"{at.pop('channels')}x{at.pop('height')}x{at.pop('width')}", f"{outputs} classes"]
    options = [f"{key} {value}" for key, value in at.items()]
    return f"{notes['parameters']:,} ({', '.join([*size, *options])})"


@functools.cache  # every architecture is built for it
def tables(text: str) -> dict[str, tuple[str, str]]:
    """Return for each marked table of a text what stands there and what should."""
    return {m["name"]: (m["table"], table(m["name"], m["table"])) for m in MARK.finditer(text)}


def main() -> None:
    """Print the tables that are stale, or write them."""
    text = README.read_text(encoding="utf-8")
    made = tables(text)
    for item in homeless():
        print(f"no table has the {item.kind} '{item.name}'")
    if sys.argv[1:] == ["write"]:
        text = MARK.sub(lambda m: f"<!-- table: {m['name']} -->\n{made[m['name']][1]}<!-- end -->", text)
        README.write_text(text, encoding="utf-8")
        LIST.write_text(listed(), encoding="utf-8")
    else:
        print("" if LIST.is_file() and LIST.read_text(encoding="utf-8") == listed() else f"{FILE} is stale")
        print("".join(f"{name}\n\n{new}\n" for name, (old, new) in made.items() if old != new) or "nothing is stale")


if __name__ == "__main__":
    main()
