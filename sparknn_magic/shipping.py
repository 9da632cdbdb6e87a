"""A plugin and its options -> the `Part` that travels: by name where executors can import it, by value where not.

By value travels what a notebook's cell defines, and what it imports from a file beside it: the function's code, pickled
by PySpark's cloudpickle, together with the functions and classes of the notebook that it uses. Executors unpickle only
what the driver itself has sent them in a job; a model folder never holds any of it.
"""

import hashlib
import importlib
import pickle
import platform
import site
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from sparknn_magic import registry
from sparknn_magic.errors import PluginError, UnknownName
from sparknn_magic.plugin import Code, Item, Part


def part_of(item: Item, options: Mapping[str, Any]) -> Part:
    """Return what travels to executors. Raises: PluginError where the notebook's function cannot be sent."""
    return Part(item.ref, dict(options), None if can_import(item) else code_of(item))


def describe(item: Item, part: Part) -> dict[str, Any]:
    """Return what a model folder says of a plugin: name, package, ref, options, and of a notebook's own the digest."""
    found = {"name": item.name, "package": registry.owner(item), "ref": part.ref, "options": dict(part.options)}
    return found | ({"code": part.code.digest} if part.code is not None else {})


def described_part(kind: str, said: Mapping[str, Any]) -> Part:
    """Return the part that a model folder describes: found by its name, never by a module path that the folder brings.

    Raises: PluginError where the plugin is not here, or the notebook's own is another one than the model was made with.
    """
    name, package, code = said["name"], said.get("package"), said.get("code")
    try:
        item = registry.get(kind, f"{package}:{name}" if package else name)
    except UnknownName as error:
        if code:
            message = f"the model needs the {kind} '{name}', which was defined in the notebook that trained it."
            raise PluginError(message, hint="Run the cell that defines it first, or put it into a package.") from error
        raise PluginError(
            f"the model needs the {kind} '{name}' of {package or 'a package'}, which is not installed here.",
            hint=f"pip install {package}" if package else None,
        ) from error
    if code and code.partition(":")[0] == _python() and code != digest(item):
        raise PluginError(
            f"the {kind} '{name}' of this notebook is not the one that the model was trained with.",
            hint="Run the cell that defines it as it was then, or train again.",
        )
    return part_of(item, said["options"])


def can_import(item: Item) -> bool:
    """Tell whether executors with the same packages find the item by its name."""
    return registry.is_listed(item) or is_installed(item.build.__module__)


def is_installed(module: str) -> bool:
    """Tell whether a module comes from Python itself or an installed package, not from the notebook or beside it."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return module != "__main__" and file is not None and any(Path(file).is_relative_to(place) for place in _places())


@cache
def _places() -> set[str]:
    """Return the folders that packages are installed into."""
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return {*paths, *site.getsitepackages(), site.getusersitepackages()}


def code_of(item: Item) -> Code:
    """Pickle an item's function by value. Raises: PluginError where something that it uses cannot be pickled."""
    from pyspark import cloudpickle

    package = sys.modules.get(_top(item.build.__module__))
    beside = package is not None and package.__name__ != "__main__"  # `__main__` goes by value anyway
    _name_trainers()
    if beside:
        cloudpickle.register_pickle_by_value(package)
    try:
        pickled = cloudpickle.dumps(item.build)
    except (pickle.PicklingError, TypeError, AttributeError, RuntimeError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise PluginError(
            f"the {item.kind} '{item.name}' of this notebook cannot be sent to executors: {reason}",
            hint="It uses a variable that cannot be pickled (a Spark session, an open file, ...): give it what it "
            "needs as options, or make it inside the function.",
        ) from error
    finally:
        if beside:
            cloudpickle.unregister_pickle_by_value(package)
    return Code(digest(item), pickled, item.build)


def _name_trainers() -> None:
    """Give `tokenizers.trainers` the name that executors import it by, which its own package leaves out."""
    trainers = getattr(sys.modules.get("tokenizers"), "trainers", None)
    if trainers is not None and trainers.__name__ == "trainers":
        importlib.import_module("tokenizers.trainers")
        trainers.__name__ = "tokenizers.trainers"


def digest(item: Item) -> str:
    """Return a text that changes with the code of an item, and only then: not when its cell merely runs again.

    It covers the bytecode, constants and defaults, and those of the notebook's functions, classes and values that it
    uses. Bytecode differs from one Python version to the next, so that is in front: `3.11:` and 16 digits.
    """
    found = _Digest({"__main__", _top(item.build.__module__)})
    found.add(item.build)
    return f"{_python()}:{found.hash.hexdigest()[:16]}"


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _top(module: str) -> str:
    return module.partition(".")[0]


class _Digest:
    """Feeds a hash with whatever decides what a function does."""

    def __init__(self, by_value: set[str]) -> None:
        self.hash = hashlib.sha256()
        self.by_value = by_value  # packages whose functions and classes travel by value
        self.seen: dict[int, Any] = {}  # the objects themselves too: a number could go to another one

    def say(self, *words: Any) -> None:
        self.hash.update(repr(words).encode())

    def add(self, value: Any) -> None:
        """Add a value, and what it refers to."""
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            self.say(type(value).__name__, value)
        elif id(value) in self.seen:  # a function that calls itself
            self.say("seen")
        else:
            self.seen[id(value)] = value
            self._add_object(value)

    def _add_object(self, value: Any) -> None:
        if isinstance(value, CodeType):
            self._code(value)
        elif isinstance(value, ModuleType):
            self.say("module", value.__name__)
        elif isinstance(value, FunctionType | type) and _top(value.__module__) not in self.by_value:
            self.say("by name", value.__module__, value.__qualname__)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, Mapping):
            for key in value:
                self.add(key)
                self.add(value[key])
        elif isinstance(value, list | tuple):
            for each in value:
                self.add(each)
        elif isinstance(value, set | frozenset):
            self.say("set", *sorted(map(repr, value)))
        elif isinstance(value, Item):
            self.say(value.kind, value.name)
        elif isinstance(value, staticmethod | classmethod | property):
            for function in (getattr(value, name, None) for name in ("__func__", "fget", "fset")):
                self.add(function)
        else:
            self._other(value)

    def _code(self, code: CodeType) -> None:
        self.say(code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_flags)
        self.add(code.co_consts)

    def _function(self, function: FunctionType) -> None:
        self.add(function.__code__)
        self.add(function.__defaults__)
        self.add(function.__kwdefaults__)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self.add([cell.cell_contents for name, cell in cells if name != "__class__"])
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                self.say(name)
                self.add(function.__globals__[name])

    def _class(self, kind: type) -> None:
        self.say("class", kind.__qualname__)
        self.add(kind.__bases__)
        for name, value in sorted(vars(kind).items()):
            if name not in ("__dict__", "__weakref__", "__module__", "__firstlineno__", "__static_attributes__"):
                self.say(name)
                self.add(value)

    def _other(self, value: Any) -> None:
        """Add an array, a compiled pattern and the like by what it pickles to; else by its type."""
        self.say("object", f"{type(value).__module__}.{type(value).__qualname__}")
        try:
            self.hash.update(pickle.dumps(value, protocol=5))
        except (pickle.PicklingError, TypeError, AttributeError):  # sending it will fail too, or it is no value at all
            self.say("no value")


def _names(code: CodeType) -> set[str]:
    """Return the global names that a function, or one inside it, may look up."""
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*(_names(each) for each in inner))
