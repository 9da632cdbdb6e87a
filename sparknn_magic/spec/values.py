"""Python values -> plain values, and `${name}` -> the value of a Python variable, by look-up alone."""

import math
import numbers
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparknn_magic.errors import did_you_mean
from sparknn_magic.spec.marks import Marks, Path, cut, dotted
from sparknn_magic.spec.parse import MAX_DEPTH, MAX_INTEGER, MAX_VALUES

# Where the rows of a DataFrame may be read from.
SOURCES: tuple[Path, ...] = (("data", "train"), ("data", "validation"), ("data", "test"))
_QUERIES: tuple[Path, ...] = (("data",), ("preprocess",))  # where SQL may stand
_WHOLE = re.compile(r"\$\{(\w+)\}")
_BRACES = re.compile(r"\$\{[^{}]*\}")


@dataclass(frozen=True, eq=False)
class Frame:
    """A DataFrame and the name of its variable: "" where it has none, `frame` None where only the name is known."""

    name: str
    frame: Any = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self.name == other.name and self.frame is other.frame

    def __hash__(self) -> int:
        return hash((self.name, id(self.frame)))


def is_frame(value: Any) -> bool:
    """Tell whether `value` is a DataFrame of PySpark (classic or Connect) or pandas, importing neither."""
    return any(kind.__name__ == "DataFrame" for kind in type(value).__mro__)


def frame_names(variables: Mapping[str, Any] | None) -> list[str]:
    """Return the names of a notebook's DataFrames."""
    return [key for key, value in (variables or {}).items() if not key.startswith("_") and is_frame(value)]


class Plain:
    """Copies a tree of values: `${name}` replaced, numbers and paths made plain, everything else refused."""

    def __init__(self, marks: Marks, variables: Mapping[str, Any] | None):
        self.marks = marks
        self.variables = variables or {}
        self.count = 0

    def copy(self, value: Any, path: Path = (), name: str = "", *, look_up: bool = True) -> Any:
        """Return `value` as str, int, float, bool, None, list, dict of those, or a `Frame` where data is read.

        `name` is the variable it came from. Raises: SpecError.
        """
        self.count += 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            limit = f"more than {MAX_VALUES:,} values" if self.count > MAX_VALUES else f"more than {MAX_DEPTH} levels"
            raise self.marks.error(path[:1], f"{self._subject(path[:1], name)} has {limit}.")
        if value is None or isinstance(value, bool):
            return value
        if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
            return bool(value)
        if isinstance(value, str):
            return self._text(str(value), path) if look_up else str(value)
        if isinstance(value, numbers.Integral | numbers.Real):
            return self._number(value, path)
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, Mapping):
            return self._mapping(value, path, name, look_up)
        if isinstance(value, list | tuple):
            return [self.copy(item, (*path, n), name, look_up=look_up) for n, item in enumerate(value)]
        if isinstance(value, Frame):
            return value
        if is_frame(value):
            return self._frame(value, path, name)
        raise self.marks.error(
            path,
            f"{self._subject(path, name)} has the type {type(value).__qualname__}; "
            "only text, numbers, true/false, lists and dicts can stand here.",
        )

    def _mapping(self, value: Mapping[Any, Any], path: Path, name: str, look_up: bool) -> dict[str, Any]:
        for key in value:
            if not isinstance(key, str):
                raise self.marks.error(path, f"{self._subject(path, name)} has the key {key!r}; a key must be text.")
        return {str(k): self.copy(v, (*path, str(k)), name, look_up=look_up) for k, v in value.items()}

    def _number(self, value: Any, path: Path) -> int | float:
        if isinstance(value, numbers.Integral):
            whole = int(value)
            if abs(whole) > MAX_INTEGER:
                raise self.marks.error(path, f"{dotted(path)} is too large a whole number; at most {MAX_INTEGER} fits.")
            return whole
        number = float(value)
        if not math.isfinite(number):
            raise self.marks.error(path, f"{dotted(path)} is {number}; it must be a finite number.")
        return number

    def _frame(self, value: Any, path: Path, name: str) -> Frame:
        if path not in SOURCES and not (path[-1:] == ("frame",) and path[:-1] in SOURCES):
            raise self.marks.error(
                path,
                f"{self._subject(path, name)} is a DataFrame, and rows are not read from {dotted(path)}.",
                hint="A DataFrame can stand under data.train, data.validation or data.test.",
            )
        return Frame(name, value)

    def _text(self, text: str, path: Path) -> Any:
        whole = _WHOLE.fullmatch(text.strip())
        if whole:
            name = whole.group(1)
            if name not in self.variables:
                known = [n for n in self.variables if isinstance(n, str) and not n.startswith("_")]
                raise self.marks.error(path, f"there is no variable named '{cut(name)}'.{did_you_mean(name, known)}")
            return self.copy(self.variables[name], path, name, look_up=False)
        if _BRACES.fullmatch(text.strip()):
            message = f"`{cut(text.strip())}` is not a variable's name; no attributes, no calls."
            hint = "Give the value a name in Python first, and write that name."
            raise self.marks.error(path, message, hint=hint)
        if "${" in text:
            hint = "Build the text in Python and write `${name}` alone"
            hint += ", or give SQL `:name` and its value under `params`." if path[:1] in _QUERIES else "."
            message = f"{dotted(path)} has '${{' inside a longer text; only a whole value is replaced."
            raise self.marks.error(path, message, hint=hint)
        return text

    def _subject(self, path: Path, name: str) -> str:
        return f"`${{{name}}}`" if name else dotted(path) or "the experiment"


def attach_frames(data: Any, marks: Marks, variables: Mapping[str, Any]) -> None:
    """Put the DataFrames of `variables` in the place of their names: `{frame: products}`."""
    if not isinstance(data, Mapping):
        return
    for key in ("train", "validation", "test"):
        source = data.get(key)
        if isinstance(source, dict) and isinstance(source.get("frame"), str):
            name = source["frame"]
            if not is_frame(variables.get(name)):
                frames = [n for n, v in variables.items() if is_frame(v)]
                message = f"there is no DataFrame named '{name}' in the notebook.{did_you_mean(name, frames)}"
                raise marks.error(("data", key, "frame"), message)
            source["frame"] = Frame(name, variables[name])
