"""Where each value was written: the line and column of the cell, or the word of the command line that set it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sparknn_magic.errors import SparkNNError, SpecError

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the cell, 1-based; or `origin`, the `key.path=value` word of the command line."""

    line: int | None = None
    column: int | None = None
    origin: str | None = None
    inset: int | None = None  # columns up to a text's first character, where it is in one line and without escapes


@dataclass(eq=False)
class Marks:
    """The marks of every key and value, by path: `("train", "epochs")`, `("preprocess", 0, "resize")`."""

    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        # Two experiments are equal whatever the layout of the text they were read from.
        return isinstance(other, Marks)

    __hash__ = None  # type: ignore[assignment]

    def find(self, path: Path, *, key: bool = False) -> Mark | None:
        """Return the mark of the value at `path` (of its key, where asked), else that of the nearest parent.

        Of a parent that holds others the key is the place to look at; of a bare value, the value.
        """
        for end in range(len(path), -1, -1):
            by_key = key if end == len(path) else self._has_keys(path[:end])
            tables = (self.keys, self.values) if by_key else (self.values, self.keys)
            for table in tables:
                if path[:end] in table:
                    return table[path[:end]]
        return None

    def _has_keys(self, path: Path) -> bool:
        return any(p[:-1] == path for p in self.keys if p)

    def set_from(self, path: Path, origin: str) -> None:
        """Say that the value at `path`, and all that is under it, comes from the command-line word `origin`."""
        for table in (self.values, self.keys):
            for known in [p for p in table if p[: len(path)] == path]:
                del table[known]
        self.values[path] = self.keys[path] = Mark(origin=origin)

    def error(
        self,
        path: Iterable[str | int],
        message: str,
        *,
        hint: str | None = None,
        key: bool = False,
        kind: type[SparkNNError] = SpecError,
        inside: tuple[int, int] | None = None,
    ) -> SparkNNError:
        """Return an error of `kind` that points at `path`; at `inside`, a place in its text, where it can."""
        mark = self.find(tuple(path), key=key)
        if inside is not None and inside[0] == 1 and mark is not None and mark.inset is not None and mark.column:
            mark = Mark(mark.line, mark.column + mark.inset + inside[1] - 1)
        return error_at(mark, message, hint=hint, kind=kind)


def error_at(
    mark: Mark | None, message: str, *, hint: str | None = None, kind: type[SparkNNError] = SpecError
) -> SparkNNError:
    """Return an error of `kind` at `mark`."""
    if mark is None:
        return kind(message, hint=hint)
    if mark.origin is not None:
        return kind(f"in `{cut(mark.origin, 80)}`: {message}", hint=hint)
    return kind(message, line=mark.line, column=mark.column, hint=hint)


def dotted(path: Iterable[str | int]) -> str:
    """Return a path as the command line writes it: `preprocess.0.resize`."""
    return ".".join(cut(str(part)) for part in path)


def cut(text: str, length: int = 40) -> str:
    """Return the text, or its beginning and three dots: an error is one or two lines, whatever it quotes."""
    return text if len(text) <= length else text[:length] + "..."
