"""The zoo as a table: text for a terminal, and HTML that can be filtered by task, size and source.

The filters are lists to choose from and style rules (`:has`), no script, and need no kernel. They are hidden but for
these rules: where a frontend takes styles away, as of a notebook that is not trusted, the whole table alone is left.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import combinations
from typing import Any

from sparknn_magic.listing import BOUNDS, SIZES, Entry, listed
from sparknn_magic.registry import Failure, plural
from sparknn_magic.show.markup import Markup, el, linked
from sparknn_magic.show.style import NOTEBOOK
from sparknn_magic.show.words import amount, plain, shorten, table

COLUMNS = {"name": 36, "parameters": 20, "summary": 62, "reference": 44, "source": 24}  # the widest that each may be
MORE = "`%sparknn help NAME` shows the options of one, and a cell to paste."
COUNTED = f"Parameters are those of the default options; {BOUNDS}."
OF_FILES = "* or those of the files that `pretrained:` names."
NOTHING = "Nothing in this list is both."
NO_TORCH = "Training needs torch, which is not installed here: pip install 'sparknn-magic[train]'."

STYLE = """
.sparknn.zoo { max-width: 1100px; }
.sparknn.zoo .filters { display: flex; flex-wrap: wrap; gap: 6px 18px; margin: 2px 0 8px; }
.sparknn.zoo select { font: inherit; color: inherit; background: transparent; padding: 2px 4px; margin-left: 4px;
  border: 1px solid rgba(128, 128, 128, 0.5); border-radius: 4px; max-width: 260px; }
.sparknn.zoo option { color: #000; background: #fff; }
.sparknn.zoo .count { opacity: 0.7; font-weight: 400; }
.sparknn.sparknn.zoo td.num, .sparknn.sparknn.zoo td.by { white-space: nowrap; }
.sparknn.sparknn.zoo td { font-size: 13px; max-width: 340px; }
.sparknn.zoo a { color: inherit; text-decoration: underline; }
"""


@dataclass(frozen=True)
class Zoo:
    """A list of plugins, as HTML and as text."""

    entries: Sequence[Entry]
    failures: Sequence[Failure] = ()
    task: str | None = None  # of which the parameters are told

    def __repr__(self) -> str:
        return _text(self).rstrip("\n")

    def _repr_html_(self) -> str:
        return _html(self)


def zoo(what: str | None = None, *, size: str | None = None, source: str | None = None) -> Zoo:
    """Return the plugins of a task, a kind (`architectures`, `losses`, ...) or a package, or all of them.

    `size` keeps the networks that are small (below 1 million parameters), medium (below 10 million) or large; `source`
    those of a package, of `built-in` or of `notebook`. No built-in plugin is imported for it.
    Raises: UnknownName, SpecError.
    """
    from sparknn_magic.registry import is_task

    entries, failures = listed(what, size=size, source=source)
    return Zoo(entries, failures, what if what is not None and is_task(what) else None)


def groups_of(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return the entries by heading, `architectures for image-classification`, in the order in which they come."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(plural(entry.kind) + (f" for {_tasks(entry)}" if entry.tasks else ""), []).append(entry)
    return groups


def brief(summary: str) -> str:
    """Return a summary without the shapes, which are the same in a whole group: those are in the item's help."""
    words = re.sub(r"^float32\[[^]]*\][^>]*-> the same shape[,:] *", "", summary)
    return re.sub(r": (numbers float32|ids, mask int64|float32)\[.*$", "", words).rstrip(".")


def _tasks(entry: Entry) -> str:
    *others, last = (plain(task) for task in entry.tasks)
    return f"{', '.join(others)} and {last}" if others else last


def _parameters(entry: Entry, task: str | None) -> str:
    counts = entry.counts(task)
    if not counts:
        return ""
    said = amount(counts[0]) if len(counts) == 1 else f"{amount(counts[0])} to {amount(counts[-1])}"
    return said + ("*" if entry.files else "")


def _cells(zoo: Zoo) -> dict[str, Callable[[Entry], str]]:
    """Return what stands in each column; where all plugins have one source, a column of it says nothing."""
    many = len({entry.package for entry in zoo.entries}) > 1
    return {
        "name": lambda entry: entry.name,
        "parameters": lambda entry: _parameters(entry, zoo.task),
        "summary": lambda entry: brief(entry.summary),
        "reference": lambda entry: entry.reference,
        "source": lambda entry: entry.source if many else "",
    }


def _text(zoo: Zoo) -> str:
    """Return the plugins grouped by kind and task; then those that do not load, and why."""
    blocks = []
    for heading, group in groups_of(zoo.entries).items():
        columns = {title: [cell(entry) for entry in group] for title, cell in _cells(zoo).items()}
        kept = {title: cells for title, cells in columns.items() if any(cells)}
        cells = [[shorten(c, COLUMNS[title]) if c else "" for c in column] for title, column in kept.items()]
        align = "".join("r" if title == "parameters" else "l" for title in kept)
        blocks.append(f"{heading} ({len(group)})\n{table(list(zip(*cells, strict=True)), align, indent='  ')}")
    if zoo.failures:
        rows = [[plain(f.name), f.kind, plain(f.package), plain(f.reason)] for f in zoo.failures]
        blocks.append(f"do not load ({len(zoo.failures)})\n" + table(rows, "llll", indent="  "))
    if not blocks:
        return "no plugins found\n"
    return "\n\n".join([*blocks, "\n".join([*_notes(zoo), MORE])]) + "\n"


def _notes(zoo: Zoo) -> list[str]:
    notes = [COUNTED] if any(entry.parameters for entry in zoo.entries) else []
    notes += [OF_FILES] if any(entry.files for entry in zoo.entries) else []
    return [*notes, *([NO_TORCH] if notes and find_spec("torch") is None else [])]


def _html(zoo: Zoo) -> str:
    """Return the filters, a table for each kind to unfold, and what does not load."""
    tasks = list(dict.fromkeys(task for entry in zoo.entries for task in entry.tasks))
    sources = list(dict.fromkeys(entry.source for entry in zoo.entries))
    choices = {"task": tasks if zoo.task is None else [], "source": sources}
    choices["size"] = [name for name in SIZES if any(name in entry.sizes(zoo.task) for entry in zoo.entries)]
    choices = {name: values for name, values in choices.items() if len(values) > 1}
    kinds: dict[str, list[Entry]] = {}
    for entry in zoo.entries:
        kinds.setdefault(plural(entry.kind), []).append(entry)
    rules = "".join([*_rules(choices), *_rules_of_none(zoo, choices)])
    parts: list[Any] = [el("style", Markup(NOTEBOOK + STYLE + rules))]
    if choices:
        lists = [_list(name, choices[name]) for name in sorted(choices, reverse=True)]
        parts += [
            el("div", *lists, cls="filters", hidden="hidden"),
            el("div", NOTHING, cls="none soft", hidden="hidden"),
        ]
    for kind, group in kinds.items():
        opened = len(kinds) == 1 or group[0].kind == "architecture"
        said = el("summary", kind, el("span", f" ({len(group)})", cls="count"))
        parts.append(el("details", said, _table(zoo, group, choices), open="open" if opened else None))
    if zoo.failures:
        rows = [el("tr", el("th", plain(f.name)), el("td", f.kind), el("td", plain(f.reason))) for f in zoo.failures]
        parts += [el("div", f"do not load ({len(zoo.failures)})", cls="title failed"), el("table", el("tbody", *rows))]
    if not zoo.entries and not zoo.failures:
        parts.append(el("div", "no plugins found", cls="soft"))
    parts += [el("div", *_code(note), cls="soft") for note in [*_notes(zoo), MORE]]
    return str(el("div", *parts, cls="sparknn zoo"))


def _table(zoo: Zoo, group: Sequence[Entry], choices: Mapping[str, Sequence[str]]) -> Markup:
    columns = _cells(zoo)
    shown = {title: cell for title, cell in columns.items() if title == "name" or any(map(cell, group))}
    tasks = any(entry.tasks for entry in group)
    head = [el("th", title, cls="num" if title == "parameters" else None) for title in shown]
    head = [head[0], *([el("th", "task")] if tasks else []), *head[1:]]
    rows = []
    for entry in group:
        cells = [_cell(title, entry, cell) for title, cell in shown.items()]
        cells = [cells[0], *([el("td", ", ".join(map(plain, entry.tasks)) or "any")] if tasks else []), *cells[1:]]
        rows.append(el("tr", *cells, cls=" ".join(["item", *_marks(zoo, entry, choices)])))
    return el("table", el("thead", el("tr", *head)), el("tbody", *rows))


def _cell(title: str, entry: Entry, cell: Callable[[Entry], str]) -> Markup:
    if title == "name":
        return el("th", el("code", plain(entry.name)))
    said = cell(entry)
    shown: Any = plain(said) if said else ""
    kinds = {"parameters": "num", "source": "by"}
    return el("td", linked(shown) if title == "reference" else shown, cls=kinds.get(title))


def _marks(zoo: Zoo, entry: Entry, choices: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the classes by which the rules find a row; one that serves any task has the class of each."""
    has: dict[str, Callable[[str], bool]] = {
        "task": entry.serves,
        "size": lambda size: size in entry.sizes(zoo.task),
        "source": lambda source: source == entry.source,
    }
    return [f"{name}{n}" for name, values in choices.items() for n, value in enumerate(values) if has[name](value)]


def _code(note: str) -> list[Any]:
    """Return a sentence whose words in backticks are code."""
    return [el("code", part) if n % 2 else part for n, part in enumerate(note.split("`"))]


def _list(name: str, values: Sequence[str]) -> Markup:
    options = [el("option", "any"), *(el("option", plain(value), cls=f"{name}{n}") for n, value in enumerate(values))]
    return el("label", name, el("select", *options))


def _rules(choices: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Yield for each choice the rules that hide other rows, and groups in which nothing is left."""
    for name, values in choices.items():
        for n in range(len(values)):
            chosen = f".sparknn.zoo:has(option.{name}{n}:checked)"
            yield f"{chosen} tr.item:not(.{name}{n}) {{ display: none; }}\n"
            yield f"{chosen} .count {{ display: none; }}\n"
            yield f"{chosen} details:not(:has(.{name}{n})) {{ display: none; }}\n"


def _rules_of_none(zoo: Zoo, choices: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Yield the rules that say so where no plugin fits two choices."""
    rows = [set(_marks(zoo, entry, choices)) for entry in zoo.entries]
    marks = [f"{name}{n}" for name, values in choices.items() for n in range(len(values))]
    for one, other in combinations(marks, 2):
        if one.rstrip("0123456789") != other.rstrip("0123456789") and not any({one, other} <= row for row in rows):
            both = f".sparknn.zoo:has(option.{one}:checked):has(option.{other}:checked)"
            yield f"{both} details {{ display: none; }}\n{both} .none {{ display: block; }}\n"
