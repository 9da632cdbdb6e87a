"""Entry points -> plugins. Listing reads package metadata and imports nothing; `get` imports the one asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from sparknn_magic.errors import PluginError, SparkNNError, UnknownName, did_you_mean
from sparknn_magic.plugin import GROUPS, Item

PLURALS = {"architecture": "architectures", "loss": "losses"}


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


def plural(kind: str) -> str:
    """Return the word for several of a kind: architectures, losses."""
    return PLURALS.get(kind, kind + "s")


def package_of(entry: EntryPoint) -> str:
    """Return the name of the distribution that declares the entry point."""
    return entry.dist.name if entry.dist is not None else entry.value.partition(".")[0]


@cache
def _entries(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=GROUPS[kind]), key=lambda e: e.name))


def refresh() -> None:
    """Forget what was read, so that a package installed since then is seen."""
    _entries.cache_clear()


def names(kind: str) -> list[str]:
    """Return the names of one kind, sorted, without importing any plugin."""
    return sorted({e.name for e in _entries(kind)})


def get(kind: str, name: str) -> Item:
    """Import and return one plugin. `package:name` chooses where two packages claim one name.

    Raises: UnknownName with the nearest name; PluginError where two packages claim it, it does not import,
    or it is not what its entry point says.
    """
    package, _, bare = name.rpartition(":")
    found = [e for e in _entries(kind) if fold(e.name) == fold(bare) and package in ("", package_of(e))]
    if not found:
        known = names(kind)
        hint = f"`%sparknn zoo {plural(kind)}` lists all {len(known)}."
        raise UnknownName(f"there is no {kind} named '{name}'.{did_you_mean(bare, known)}", hint=hint)
    if len({e.value for e in found}) > 1:
        claims = " and ".join(sorted(f"{package_of(e)} ({e.value})" for e in found))
        first = sorted(package_of(e) for e in found)[0]
        raise PluginError(f"the {kind} '{name}' is claimed by {claims}.", hint=f"Write '{first}:{bare}' to choose one.")
    return _load(kind, found[0])


def _load(kind: str, entry: EntryPoint) -> Item:
    try:
        build = entry.load()
    except SparkNNError:
        raise
    except Exception as error:  # whatever a stranger's module raises while it is imported, said once and by name
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise PluginError(f"the {kind} '{entry.name}' of {package_of(entry)} does not import: {reason}") from error
    item = getattr(build, "__sparknn__", None)
    if not isinstance(item, Item):
        raise PluginError(f"{entry.value} is listed as the {kind} '{entry.name}' but has no @{kind} decorator.")
    if item.kind != kind:
        raise PluginError(f"{entry.value} is listed as {plural(kind)} but is decorated as a {item.kind}.")
    return item


def load_all(kinds: Iterable[str] | None = None) -> tuple[list[Item], list[Failure]]:
    """Import every plugin of these kinds; one that fails harms only itself and is returned with its reason."""
    items, failures = [], []
    for kind in kinds or GROUPS:
        for entry in _entries(kind):
            try:
                items.append(_load(kind, entry))
            except SparkNNError as error:
                failures.append(Failure(kind, entry.name, package_of(entry), str(error)))
    return items, failures


def select(what: str | None = None) -> tuple[list[Item], list[Failure]]:
    """Return the plugins of a task or of a kind (`architectures`, `losses`, ...), or all, and those that do not load.

    Raises: UnknownName where there is no such task or kind.
    """
    if what is None:
        return load_all()
    kinds = {fold(form): kind for kind in GROUPS for form in (kind, plural(kind))}
    if fold(what) in kinds:
        return load_all([kinds[fold(what)]])
    tasks = names("task")
    if fold(what) not in {fold(name) for name in tasks}:
        known = [*tasks, *(plural(kind) for kind in GROUPS)]
        raise UnknownName(
            f"there is no task or kind '{what}'.{did_you_mean(what, known)}", hint=f"Known: {', '.join(known)}."
        )
    items, failures = load_all()
    return [item for item in items if item.serves(what)], failures


def find(name: str) -> Item:
    """Return the plugin of this name, whatever its kind.

    Raises: UnknownName where no kind has it; PluginError as `get` does.
    """
    for kind in GROUPS:
        if fold(name.rpartition(":")[2]) in {fold(known) for known in names(kind)}:
            return get(kind, name)
    known = [each for kind in GROUPS for each in names(kind)]
    raise UnknownName(
        f"there is no plugin named '{name}'.{did_you_mean(name, known)}", hint="`%sparknn zoo` lists all."
    )
