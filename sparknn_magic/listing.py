"""The zoo as it is listed: what each plugin is, and how large; what a package writes down of its own is not imported.

A package may bring `sparknn_catalogue.json` in its top folder. Its plugins are listed as that file has them, which
imports none: an architecture's module imports torch, which takes seconds. Ours is made, and compared, by
`tests/zoo/catalogue_tables.py`: there every network is built with its default options, and its parameters are counted.
Other plugins are imported, so that those that do not load are named; of these the size is what `notes` declares.
Standard library only.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any

from sparknn_magic import registry
from sparknn_magic.errors import PluginError, SpecError, UnknownName, did_you_mean
from sparknn_magic.plugin import Item
from sparknn_magic.registry import NOTEBOOK, OURS, Claim, Failure, fold

FILE = "sparknn_catalogue.json"
BUILT_IN = "built-in"
SIZES = {"small": (0, 1e6), "medium": (1e6, 1e7), "large": (1e7, inf)}  # parameters, from and below
BOUNDS = "small: below 1 million parameters, medium: below 10 million, large: 10 million and more"


@dataclass(frozen=True)
class Entry:
    """A plugin as it is listed."""

    kind: str
    name: str  # `package:name` where somebody else claims the name too
    tasks: tuple[str, ...] = ()  # none: any
    summary: str = ""
    reference: str = ""  # the paper or page it comes from
    package: str = OURS  # the distribution's name, or NOTEBOOK
    parameters: Mapping[str, int] = field(default_factory=dict)  # by task; by "": of any
    files: bool = False  # it may be made from pretrained files, and then has their size

    @property
    def source(self) -> str:
        """Who brings it: built-in, a package with its version, or this notebook."""
        if self.package in (OURS, NOTEBOOK):
            return BUILT_IN if self.package == OURS else "this notebook"
        try:
            return f"{self.package} {version(self.package)}"
        except PackageNotFoundError:
            return self.package

    def serves(self, task: str) -> bool:
        """Tell whether it can be used for a task, or is that task."""
        if self.kind == "task":
            return fold(task) == fold(self.name)
        return not self.tasks or fold(task) in map(fold, self.tasks)

    def counts(self, task: str | None = None) -> list[int]:
        """Return how many parameters it has: for this task, where that is known, else for each that is; ascending."""
        own = [n for name, n in self.parameters.items() if task is not None and fold(name) == fold(task)]
        return sorted({*(own or self.parameters.values())})

    def sizes(self, task: str | None = None) -> list[str]:
        """Return its sizes: small, medium, large; of an item without parameters none."""
        counts = self.counts(task)
        return [name for name, (least, most) in SIZES.items() if any(least <= n < most for n in counts)]


def listed(
    what: str | None = None, *, size: str | None = None, source: str | None = None
) -> tuple[list[Entry], list[Failure]]:
    """Return the entries of a task, a kind or a package, or all; of this size and source; and what does not load.

    `size` is small, medium or large; `source` a package with plugins, `built-in`, or `notebook`.
    Raises: UnknownName for a task, kind, package or source that is not there; SpecError for another size.
    """
    if size is not None and fold(size) not in SIZES:
        raise SpecError(f"zoo: there is no size '{size}'.{did_you_mean(size, SIZES)}", hint=f"Sizes: {BOUNDS}.")
    claims, strange = registry.claims_of(what)
    failures = list(strange)
    if source is not None:
        claims = _of_source(claims, source)
        names = {fold(claim.package) for _, claim in claims}
        failures = [failure for failure in failures if fold(failure.package) in names]
    entries: list[Entry] = []
    seen: set[tuple[str, str]] = set()
    for kind, claim in claims:
        if (kind, claim.ref) in seen:  # one that two of its package's entry points name is still one
            continue
        seen.add((kind, claim.ref))
        entry, reasons = _entry(kind, claim)
        entries += [entry] if entry is not None else []
        failures += [reason for reason in reasons if reason not in failures]
    task = what if what is not None and registry.is_task(what) else None
    kept = [entry for entry in entries if task is None or entry.serves(task)]
    return [entry for entry in kept if size is None or fold(size) in entry.sizes(task)], failures


def _entry(kind: str, claim: Claim) -> tuple[Entry | None, list[Failure]]:
    try:
        said = _written(re.split("[.:]", claim.ref)[0]).get((kind, claim.ref))
    except PluginError as error:
        said, reasons = None, [Failure("file", FILE, claim.package, str(error))]
    else:
        reasons = []
    if said is not None:
        return _of_file(kind, claim, said), []
    items, others = registry.load_claims([(kind, claim)])
    return (entry_of(items[0], claim.package) if items else None), [*reasons, *others]


def entry_of(item: Item, package: str = NOTEBOOK) -> Entry:
    """Return what is listed of a plugin that is imported; its size is what its notes declare."""
    declared = item.notes.get("parameters")
    return Entry(
        kind=item.kind,
        name=registry.full_name(item),
        tasks=item.tasks,
        summary=item.summary,
        reference=item.source,
        package=package,
        parameters={"": declared} if isinstance(declared, int) else {},
    )


def _of_file(kind: str, claim: Claim, said: Mapping[str, Any]) -> Entry:
    shared = {other.ref for other in registry.claims(kind) if fold(other.name) == fold(claim.name)}
    return Entry(
        kind=kind,
        name=f"{claim.package}:{said['name']}" if len(shared) > 1 else said["name"],
        tasks=tuple(said.get("tasks", ())),
        summary=said.get("summary", ""),
        reference=said.get("reference", ""),
        package=claim.package,
        parameters=said.get("parameters", {}),
        files=said.get("files", False),
    )


def _of_source(claims: list[tuple[str, Claim]], source: str) -> list[tuple[str, Claim]]:
    wanted = OURS if fold(source) == fold(BUILT_IN) else source
    found = [(kind, claim) for kind, claim in claims if claim.is_of(wanted)]
    if not found:
        packages = {claim.package for kind in registry.GROUPS for claim in registry.claims(kind)}
        if any(claim.is_of(wanted) for kind in registry.GROUPS for claim in registry.claims(kind)):
            return []
        known = [BUILT_IN, *sorted(packages - {OURS})]
        raise UnknownName(
            f"zoo: there is no source '{source}'.{did_you_mean(source, known)}", hint=f"Sources: {', '.join(known)}."
        )
    return found


@cache
def _written(module: str) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return what the file of a top module says of its plugins, by kind and ref; nothing where there is no file.

    Raises: PluginError where the file cannot be read.
    """
    spec = find_spec(module) if module.isidentifier() and module != "__main__" else None
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = Path(folder) / FILE
        if file.is_file():
            try:
                said = json.loads(file.read_text(encoding="utf-8"))
                return {(each["kind"], each["ref"]): each for each in said["plugins"]}
            except (ValueError, KeyError, TypeError) as error:
                raise PluginError(f"{file} cannot be read: {type(error).__name__}: {error}") from error
    return {}
