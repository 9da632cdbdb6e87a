"""What plugins are for and which options they take, without importing any: read from the text of their modules.

An architecture's module imports torch, which takes seconds; a keystroke must not. What is imported already, or defined
in the notebook, is asked itself. What the text does not tell (a signature that is made when the module runs) stays
unknown: a plugin of unknown tasks is offered everywhere, and of unknown options none is.
"""

import ast
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError
from sparknn_magic.plugin import GROUPS, Item, Nested

INITIALIZERS = "sparknn_magic.initializers"
BOOLEANS = ("true", "false")


@dataclass(frozen=True)
class Option:
    """An option, and what completion can offer after it."""

    name: str
    values: tuple[str, ...] = ()
    layers: str = ""  # "Layers" or "Branches": it holds layers


@dataclass(frozen=True)
class Outline:
    """What is known of a plugin."""

    tasks: tuple[str, ...] = ()  # none: any task, or unknown
    main: str | None = None
    options: tuple[Option, ...] = ()

    def serves(self, task: str | None) -> bool:
        """Tell whether it can be used for a task."""
        return task is None or not self.tasks or registry.fold(task) in map(registry.fold, self.tasks)

    def option(self, name: str | None) -> Option | None:
        """Return the option of this name."""
        return next((option for option in self.options if option.name == name), None)


def names(kind: str, task: str | None = None) -> list[str]:
    """Return the names of a kind that serve a task."""
    if kind == "initializer":
        return sorted(_initializers())
    return sorted({claim.name for claim in registry.claims(kind) if _of_claim(kind, claim).serves(task)})


def outline(kind: str, name: str) -> Outline:
    """Return what is known of a plugin; an empty one where there is none of this name."""
    bare = registry.fold(name.rpartition(":")[2])
    claims = registry.claims(kind) if kind in GROUPS else []
    claim = next((claim for claim in claims if registry.fold(claim.name) == bare), None)
    return _of_claim(kind, claim) if claim is not None else Outline()


def _of_claim(kind: str, claim: registry.Claim) -> Outline:
    if claim.entry is not None and claim.entry.module not in sys.modules:
        return of_text(kind, claim.entry)
    try:
        return of_item(claim.item or registry.get(kind, f"{claim.package}:{claim.name}"))
    except SparkNNError:  # said where the plugin is used
        return Outline()


def of_item(item: Item) -> Outline:
    """Return what a plugin itself says. Raises: PluginError where its signature cannot be read."""
    from sparknn_magic.spec.schema import options_model

    fields = options_model(item).model_fields
    options = [_option(info.alias or name, info) for name, info in fields.items()]
    return Outline(item.tasks, item.main, tuple(options))


def _option(name: str, info: Any) -> Option:
    from sparknn_magic.spec.words import literals

    nested = next((mark for mark in info.metadata if isinstance(mark, Nested)), None)
    layers = "" if nested is None else "Branches" if nested.branches else "Layers"
    values = [value for value in literals(info.annotation) if isinstance(value, str)]
    return Option(name, (*values, *(BOOLEANS if info.annotation is bool else ())), layers)


class _Unknown(Exception):  # noqa: N818
    """The text does not tell."""


@dataclass(frozen=True)
class _Module:
    """A module's text, parsed."""

    name: str
    functions: dict[str, ast.FunctionDef]
    values: dict[str, ast.expr]  # what top-level names are set to
    imports: dict[str, tuple[str, str]]  # name -> (module, name there)


@cache
def of_text(kind: str, entry: EntryPoint) -> Outline:
    """Return what the text of a plugin's module says of it; what it does not tell is empty."""
    try:
        module = _module(entry.module)
        function, marks = _definition(module, kind, entry.attr)
        tasks = _value(marks["task"], module) if "task" in marks else ()
        main = _value(marks["main"], module) if "main" in marks else None
    except _Unknown:
        return Outline()
    asked = function.args.kwonlyargs if function is not None else []
    options = [Option(arg.arg, *_takes(arg.annotation, module)) for arg in asked]
    return Outline((tasks,) if isinstance(tasks, str) else tuple(tasks or ()), main, tuple(options))


def _definition(module: _Module, kind: str, attribute: str) -> tuple[ast.FunctionDef | None, dict[str, ast.expr]]:
    """Return the function of a plugin and the keywords of its decorator.

    Of one that a function of the module makes (`bert = _of(...)`), what that function defines and marks.
    """
    function = module.functions.get(attribute)
    if function is not None:
        calls = [node for node in function.decorator_list if isinstance(node, ast.Call)]
        return function, _marks(calls, kind)
    made = module.values.get(attribute)
    while isinstance(made, ast.Call) and not isinstance(made.func, ast.Name):
        made = made.func
    maker = (
        module.functions.get(made.func.id) if isinstance(made, ast.Call) and isinstance(made.func, ast.Name) else None
    )
    if maker is None:
        raise _Unknown
    inside = list(ast.walk(maker))
    built = [node for node in inside if isinstance(node, ast.FunctionDef) and node is not maker]
    return (built[0] if built else None), _marks([node for node in inside if isinstance(node, ast.Call)], kind)


def _marks(calls: list[ast.Call], kind: str) -> dict[str, ast.expr]:
    for call in calls:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name == kind:
            return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    raise _Unknown


def _takes(annotation: ast.expr | None, module: _Module) -> tuple[tuple[str, ...], str]:
    """Return the fixed values of an annotation, and "Layers" or "Branches" where it is one of these."""
    name = getattr(annotation, "id", "")
    if name in ("Layers", "Branches"):
        return (), name
    if name == "bool":
        return BOOLEANS, ""
    return tuple(_literals(annotation, module)), ""


def _literals(node: ast.expr | None, module: _Module) -> list[str]:
    if isinstance(node, ast.BinOp):
        return [*_literals(node.left, module), *_literals(node.right, module)]
    if isinstance(node, ast.Subscript):
        name = getattr(node.value, "id", "")
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Literal":
            return [each.value for each in inner if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return _literals(inner[0], module) if name in ("Annotated", "Optional") else []
    if isinstance(node, ast.Name):
        try:
            where, found = _look_up(node.id, module)
        except _Unknown:  # int, PositiveInt, ...: no fixed values
            return []
        return _literals(found, where)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _literals(ast.parse(node.value, mode="eval").body, module)
    return []


def _value(node: ast.expr, module: _Module) -> Any:
    """Return the value of a constant expression: a text, a number, a tuple, a name of one."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(
            each
            for part in node.elts
            for each in (_value(part.value, module) if isinstance(part, ast.Starred) else [_value(part, module)])
        )
    if isinstance(node, ast.Name):
        where, found = _look_up(node.id, module)
        return _value(found, where)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in module.imports:
        where, found = _look_up(node.attr, _module(".".join(module.imports[node.value.id])))
        return _value(found, where)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _value(node.left, module) + _value(node.right, module)
    raise _Unknown


def _look_up(name: str, module: _Module) -> tuple[_Module, ast.expr]:
    """Return what a name of a module is set to, and in which module, through imports of its package and of ours."""
    packages = (module.name.partition(".")[0], "sparknn_magic")
    for _ in range(8):
        if name in module.values:
            return module, module.values[name]
        source, name = module.imports.get(name, ("", name))
        if source.partition(".")[0] not in packages:
            break
        module = _module(source)
    raise _Unknown


@cache
def _module(name: str) -> _Module:
    try:
        tree = ast.parse(_file(name).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise _Unknown from error
    module = _Module(name, {}, {}, {})
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            module.functions[node.name] = node
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            module.imports.update({alias.asname or alias.name: (node.module, alias.name) for alias in node.names})
        elif isinstance(node, ast.Assign):
            _assign(node.targets[0], node.value, module.values)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            module.values[node.target.id] = node.value
    return module


def _assign(target: ast.expr, value: ast.expr, values: dict[str, ast.expr]) -> None:
    if isinstance(target, ast.Name):
        values[target.id] = value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for name, each in zip(target.elts, value.elts, strict=False):
            _assign(name, each, values)


def _file(name: str) -> Path:
    """Return a module's file. The packages around it are not imported, as `find_spec` of the whole name would."""
    top, *parts = name.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise _Unknown
    if not parts:
        return Path(spec.origin or "")
    for folder in spec.submodule_search_locations or ():
        base = Path(folder, *parts)
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return file
    raise _Unknown


@cache
def _initializers() -> tuple[str, ...]:
    """Return the names that `init:` takes: the keys of a dict in their module, which needs torch."""
    for node in ast.walk(ast.parse(_file(INITIALIZERS).read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.AnnAssign)
            and getattr(node.target, "id", "") == "draws"
            and isinstance(node.value, ast.Dict)
        ):
            named = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            return tuple(name for name in named if isinstance(name, str))
    return ()
