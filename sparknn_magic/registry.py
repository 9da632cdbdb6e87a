"""Names -> plugins: those that installed packages list as entry points, and those that the notebook itself has.

Listing reads package metadata and imports nothing; `get` imports the one asked for.
"""

import importlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import FunctionType
from typing import Any

from sparknn_magic.errors import PluginError, SparkNNError, UnknownName, did_you_mean, nearest
from sparknn_magic.plugin import GROUPS, Item

PLURALS = {"architecture": "architectures", "loss": "losses"}
NOTEBOOK = "notebook"  # the package, so to say, of what is defined in the notebook or script itself
OURS = "sparknn-magic"


def fold(name: str) -> str:
    """Return the form in which names are compared: `vgg-small`, `vgg_small` and `VGG-Small` are one name."""
    return name.lower().replace("-", "_")


@dataclass(frozen=True)
class Failure:
    """A plugin that is listed but does not load, and why."""

    kind: str
    name: str
    package: str
    reason: str


@dataclass(frozen=True)
class Claim:
    """Somebody's claim to a name: an entry point, or an item of the notebook."""

    name: str
    ref: str  # module:attribute
    package: str  # the distribution's name, or NOTEBOOK
    entry: EntryPoint | None = None
    item: Item | None = None

    def is_of(self, package: str) -> bool:
        """Tell whether `package:name` may mean this: by the distribution's name, or by the module's."""
        return fold(package) in (fold(self.package), fold(self.ref.partition(":")[0].partition(".")[0]))


def plural(kind: str) -> str:
    """Return the word for several of a kind: architectures, losses."""
    return PLURALS.get(kind, kind + "s")


def package_of(entry: EntryPoint) -> str:
    """Return the name of the distribution that declares the entry point."""
    return _name_of(entry.dist) if entry.dist is not None else entry.value.partition(".")[0]


# Each look at a distribution's name or needs would parse its METADATA anew, milliseconds for every plugin at every name
# that is looked up. All entry points are read at once, so that those of one package share its distribution; they are
# read again where a folder has changed, as one does when a package is installed in a running notebook.
def _folders() -> tuple[tuple[str, int], ...]:
    """Return the places where packages are looked for, and when each one's list of files changed last."""
    return tuple((place, _changed(place or os.curdir)) for place in sys.path)


def _changed(place: str) -> int:
    try:
        return os.stat(place).st_mtime_ns
    except OSError:  # a place that is not there, as Python's own list has some
        return 0


@lru_cache(maxsize=1)
def _all_entries(folders: tuple[tuple[str, int], ...]) -> Any:  # EntryPoints; in Python 3.11 something like it
    return entry_points()


@lru_cache(maxsize=2 * len(GROUPS))
def _sorted_entries(group: str, folders: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    return tuple(sorted(_all_entries(folders).select(group=group), key=lambda e: e.name))


def _entries(group: str) -> tuple[EntryPoint, ...]:
    return _sorted_entries(group, _folders())


@cache
def _name_of(dist: Distribution) -> str:
    return dist.name


def claims(kind: str) -> list[Claim]:
    """Return all claims to names of one kind, by name, without importing any plugin."""
    listed = [Claim(e.name, e.value, package_of(e), entry=e) for e in _entries(GROUPS[kind])]
    refs = {claim.ref for claim in listed}
    here = [Claim(i.name, i.ref, NOTEBOOK, item=i) for i in _of_the_notebook() if i.kind == kind and i.ref not in refs]
    return sorted(listed + here, key=lambda claim: claim.name)


def _of_the_notebook() -> list[Item]:
    """Return the items among the names of `__main__`: a cell that runs again thereby replaces its own."""
    values = list(vars(sys.modules["__main__"]).values())
    found = [vars(value).get("__sparknn__") for value in values if isinstance(value, FunctionType | type)]
    return list({id(item): item for item in found if isinstance(item, Item)}.values())


def names(kind: str) -> list[str]:
    """Return the names of one kind, sorted, without importing any plugin."""
    return sorted({claim.name for claim in claims(kind)})


def get(kind: str, name: str) -> Item:
    """Import and return one plugin. `package:name` chooses where two packages claim one name.

    The package is a distribution's name or its module's; `notebook` is the notebook itself.
    Raises: UnknownName with the nearest name; PluginError where two packages claim it, it does not import, it needs
    a newer version of something, or it is not what its entry point says.
    """
    package, _, bare = name.rpartition(":")
    same = [claim for claim in claims(kind) if fold(claim.name) == fold(bare)]
    found = [claim for claim in same if not package or claim.is_of(package)]
    if not found:
        raise _unknown(kind, package, bare, same)
    if len({claim.ref for claim in found}) > 1:
        both = " and ".join(sorted(f"{claim.package} ({claim.ref})" for claim in found))
        ways = " or ".join(
            f"'{claim.package}:{claim.name}'" for claim in sorted(found, key=lambda claim: claim.package)
        )
        raise PluginError(f"the {kind} '{name}' is claimed by {both}.", hint=f"Write {ways} to choose one.")
    return _load(kind, found[0])


def _unknown(kind: str, package: str, name: str, elsewhere: list[Claim]) -> UnknownName:
    known = names(kind)
    hint = f"`%sparknn zoo {plural(kind)}` lists all {len(known)}."
    if not package:
        return UnknownName(f"there is no {kind} named '{name}'.{did_you_mean(name, known)}", hint=hint)
    message = f"there is no {kind} named '{name}' in a package '{package}'."
    if elsewhere:
        owners = " and ".join(sorted({claim.package for claim in elsewhere}))
        return UnknownName(f"{message[:-1]}; {owners} has one.", hint=hint)
    theirs = [claim.name for claim in claims(kind) if claim.is_of(package)]
    if theirs:
        return UnknownName(message + did_you_mean(name, theirs), hint=f"Its {plural(kind)}: {_first(theirs)}.")
    packages = {claim.package for each in GROUPS for claim in claims(each)}
    return UnknownName(message + did_you_mean(package, packages), hint=f"Packages with plugins: {_first(packages)}.")


def _first(words: Iterable[str]) -> str:
    listed = sorted(words)
    return ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "")


def _load(kind: str, claim: Claim) -> Item:
    """Return the item of a claim, checked. Raises: PluginError."""
    if claim.item is not None:
        _check_needs(f"the {kind} '{claim.name}' of this notebook", claim.item.requires)
        return claim.item
    assert claim.entry is not None
    who = f"the {kind} '{claim.name}' of {claim.package}"
    for needed in _our_versions(claim.entry.dist):  # before the import, which would fail for this very reason
        _check_needs(who, needed)
    item = getattr(_import(who, claim.entry), "__sparknn__", None)
    if not isinstance(item, Item):
        raise PluginError(f"{claim.ref} is listed as the {kind} '{claim.name}' but has no @{kind} decorator.")
    if item.kind != kind:
        article = "an" if item.kind[0] in "aeiou" else "a"
        raise PluginError(
            f"{claim.ref} is listed as {plural(kind)} but is decorated as {article} {item.kind}.",
            hint=f'{claim.package} is to list it under [project.entry-points."{GROUPS[item.kind]}"].',
        )
    if fold(item.name) != fold(claim.name):
        raise PluginError(f"{claim.ref} is listed as '{claim.name}' but its decorator names it '{item.name}'.")
    _check_needs(who, item.requires)
    return item


def _import(who: str, entry: EntryPoint) -> Any:
    """Return the object of an entry point. Raises: PluginError, with the reason in one line."""
    if entry.pattern.match(entry.value) is None:
        raise PluginError(f"{who} is listed as '{entry.value}', which is not module:attribute.")
    try:
        found: Any = importlib.import_module(entry.module)
    except SparkNNError:
        raise
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises while it is imported, said by name
        if isinstance(error, ModuleNotFoundError) and f"{entry.module}.".startswith(f"{error.name}."):
            raise PluginError(f"{who} is listed as {entry.value}, but there is no module '{error.name}'.") from error
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise PluginError(f"{who} does not import: {reason}") from error
    for part in filter(None, (entry.attr or "").split(".")):
        if not hasattr(found, part):
            raise PluginError(
                f"{who} is listed as {entry.value}, but {entry.module} has no '{part}'."
                f"{did_you_mean(part, vars(found))}"
            )
        found = getattr(found, part)
    return found


@cache
def _our_versions(dist: Distribution | None) -> list[str]:
    """Return what a distribution requires of sparknn-magic, as its metadata has it."""
    from packaging.requirements import Requirement

    found = [Requirement(text) for text in (dist.requires or () if dist is not None else ())]
    return [
        str(r) for r in found if fold(r.name) == fold(OURS) and (r.marker is None or r.marker.evaluate({"extra": ""}))
    ]


def _check_needs(who: str, needed: str) -> None:
    """Raise PluginError where what an item needs, such as `sparknn-magic>=0.3`, is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement

    if not needed:
        return
    try:
        requirement = Requirement(needed)
        found = version(requirement.name)
    except InvalidRequirement as error:
        raise PluginError(f"{who} requires '{needed}', which cannot be read: {str(error).splitlines()[0]}") from error
    except PackageNotFoundError:
        found = "none"
    if found == "none" or not requirement.specifier.contains(found, prereleases=True):
        wanted = f"{requirement.name}{requirement.specifier}"
        raise PluginError(f"{who} needs {wanted}, and {found} is installed.", hint=f"pip install --upgrade '{wanted}'")


def load_all(kinds: Iterable[str] | None = None) -> tuple[list[Item], list[Failure]]:
    """Import every plugin of these kinds; one that fails harms only itself and is returned with its reason.

    Without kinds, entry points of groups that do not exist are among the failures too.
    """
    items, failures = load_claims((kind, claim) for kind in kinds or GROUPS for claim in claims(kind))
    return items, failures if kinds is not None else [*_strange_groups(), *failures]


def load_claims(wanted: Iterable[tuple[str, Claim]]) -> tuple[list[Item], list[Failure]]:
    """Import these plugins; one that fails harms only itself and is returned with its reason."""
    items: list[Item] = []
    failures: list[Failure] = []
    for kind, claim in wanted:
        try:
            item = _load(kind, claim)
        except SparkNNError as error:
            failures.append(Failure(kind, claim.name, claim.package, str(error)))
        else:
            if item not in items:  # one that two of its package's entry points name is still one
                items.append(item)
    return items, failures


def _strange_groups() -> list[Failure]:
    """Return the entry points of groups that nobody reads: sparknn.architecture, say, without its s."""
    groups = [g for g in _all_entries(_folders()).groups if g.startswith("sparknn.") and g not in GROUPS.values()]
    strange = [entry for group in groups for entry in _entries(group)]
    return [
        Failure(
            "plugin",
            entry.name,
            package_of(entry),
            f"there is no group '{entry.group}'.{did_you_mean(entry.group, GROUPS.values())}",
        )
        for entry in strange
    ]


def select(what: str | None = None) -> tuple[list[Item], list[Failure]]:
    """Return the plugins of a task, a kind (`architectures`, `losses`, ...) or a package, or all, and those that fail.

    Raises: UnknownName where there is no such task, kind or package.
    """
    found, strange = claims_of(what)
    items, failures = load_claims(found)
    if what is not None and is_task(what):
        items = [item for item in items if item.serves(what)]
    return items, [*strange, *failures]


def is_task(what: str) -> bool:
    """Tell whether this is the name of a task."""
    return fold(what) in {fold(name) for name in names("task")}


def claims_of(what: str | None = None) -> tuple[list[tuple[str, Claim]], list[Failure]]:
    """Return the claims of a kind or a package, or all; and entry points of groups that nobody reads.

    Of a task these are all claims: only a plugin itself tells which tasks it serves. No plugin is imported.
    Raises: UnknownName where there is no such task, kind or package.
    """
    kinds = {fold(form): kind for kind in GROUPS for form in (kind, plural(kind))}
    if what is not None and fold(what) in kinds:
        kind = kinds[fold(what)]
        return [(kind, claim) for claim in claims(kind)], []
    every = [(kind, claim) for kind in GROUPS for claim in claims(kind)]
    if what is None or is_task(what):
        return every, _strange_groups()
    if any(claim.is_of(what) for _, claim in every):
        return _claims_of_package(what)
    known = [*names("task"), *(plural(kind) for kind in GROUPS)]
    raise UnknownName(
        f"there is no task or kind '{what}'.{did_you_mean(what, known)}", hint=f"Known: {', '.join(known)}."
    )


def _claims_of_package(package: str) -> tuple[list[tuple[str, Claim]], list[Failure]]:
    theirs = [(kind, claim) for kind in GROUPS for claim in claims(kind) if claim.is_of(package)]
    return theirs, [failure for failure in _strange_groups() if fold(failure.package) == fold(package)]


def of_package(package: str) -> tuple[list[Item], list[Failure]]:
    """Return the plugins of one package, and those of its that do not load.

    Raises: UnknownName where no package of this name has any.
    """
    theirs, strange = _claims_of_package(package)
    items, failures = load_claims(theirs)
    failures = [*strange, *failures]
    if not items and not failures:
        packages = {claim.package for kind in GROUPS for claim in claims(kind)}
        raise UnknownName(
            f"no package '{package}' with plugins is installed.{did_you_mean(package, packages)}",
            hint=f"Packages with plugins: {_first(packages)}.",
        )
    return items, failures


def find(name: str) -> Item:
    """Return the plugin of this name (or `package:name`), whatever its kind.

    Raises: UnknownName where no kind has it; PluginError as `get` does.
    """
    package, _, bare = name.rpartition(":")
    for kind in GROUPS:
        same = [claim for claim in claims(kind) if fold(claim.name) == fold(bare)]
        if any(not package or claim.is_of(package) for claim in same):
            return get(kind, name)
    known = [each for kind in GROUPS for each in names(kind)]
    guess = did_you_mean(name, known)
    if package and nearest(bare, known):
        guess = did_you_mean(bare, known)
    raise UnknownName(f"there is no plugin named '{name}'.{guess}", hint="`%sparknn zoo` lists all.")


def owner(item: Item) -> str:
    """Return the name of the distribution that lists the item; NOTEBOOK where none does."""
    return next((claim.package for claim in claims(item.kind) if claim.ref == item.ref), NOTEBOOK)


def full_name(item: Item) -> str:
    """Return the name that a cell has to write: `package:name` where somebody else claims the name too."""
    same = {claim.ref for claim in claims(item.kind) if fold(claim.name) == fold(item.name)}
    return f"{owner(item)}:{item.name}" if len(same) > 1 else item.name


def is_listed(item: Item) -> bool:
    """Tell whether an entry point names the item, so that executors with the same packages can import it."""
    return any(entry.value == item.ref for entry in _entries(GROUPS[item.kind]))


def licence(item: Item) -> str:
    """Return the licence that the item states, or else that of the package that lists it; "" where neither says."""
    if item.licence:
        return item.licence
    entry = next((e for e in _entries(GROUPS[item.kind]) if e.value == item.ref), None)
    if entry is None or entry.dist is None:
        return ""
    facts = entry.dist.metadata.json
    return str(facts.get("license_expression") or facts.get("license") or "").split("\n")[0]
