"""Every error a user can cause: what happened, where, the nearest valid thing, the next step.

Standard library only: executors, notebooks and plugins all import this file.
"""

import difflib
from collections.abc import Iterable
from typing import Any
from unicodedata import east_asian_width

WIDTH = 100  # characters of a cell's line that are shown


class SparkNNError(Exception):
    """A user's error, worded in one or two lines.

    `line` and `column` count from 1 in the text of the cell or file; None where the error has no place in it.
    In a notebook IPython shows the message alone, without a traceback, and the cell still fails; below it the line of
    the cell with a mark under the column, where `point_at` was given the text.
    """

    excerpt = ""

    def __init__(self, message: str, *, line: int | None = None, column: int | None = None, hint: str | None = None):
        self.line, self.column, self.hint = line, column, hint
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        where = ""
        if self.line is not None:
            where = f"line {self.line}" + (f", column {self.column}" if self.column is not None else "") + ": "
        return where + self.message + (f"\n{self.hint}" if self.hint else "")

    def point_at(self, text: str, first_line: int = 1) -> None:
        """Note the line of `text` that the error is about; `first_line` is the number of the text's first line."""
        lines = text.splitlines()
        if self.line is None or not first_line <= self.line < first_line + len(lines):
            return
        line = lines[self.line - first_line].expandtabs(1)
        start = max(0, (self.column or 1) - WIDTH // 2) if len(line) > WIDTH else 0
        shown = line[start : start + WIDTH]
        self.excerpt = f"    {shown}"
        if self.column is not None:
            before = line[start : self.column - 1]
            blanks = "".join("\u3000" if east_asian_width(c) in "WF" else " " for c in before)
            self.excerpt += f"\n    {blanks}^"

    def _render_traceback_(self) -> list[str]:
        # IPython's hook: the lines it prints in place of a traceback.
        message, _, hint = f"{type(self).__name__}: {self}".partition("\n")
        return ["\n".join(filter(None, (message, self.excerpt, hint)))]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.line, self.column, self.hint)


def _rebuild(
    kind: type[SparkNNError], message: str, line: int | None, column: int | None, hint: str | None
) -> SparkNNError:
    error = kind.__new__(kind)
    SparkNNError.__init__(error, message, line=line, column=column, hint=hint)
    return error


class SpecError(SparkNNError):
    """The cell, file or call is wrong: bad YAML, an unknown key, a value of the wrong type or out of range."""


class UnknownName(SparkNNError):  # noqa: N818 (a user reads the name: it says what is wrong)
    """No plugin, model, table or option has this name."""


class PluginError(SparkNNError):
    """A plugin cannot be imported, is of the wrong kind, or shares its name with another package's."""


class DataError(SparkNNError):
    """The rows are not what the experiment needs: a missing column, a wrong type, no usable rows."""


class SessionError(SparkNNError):
    """Spark cannot be started, or has too few slots."""


class TrainError(SparkNNError):
    """Training failed on a worker, or the loss is not finite."""


class ExportError(SparkNNError):
    """The network cannot be exported, or ONNX Runtime and PyTorch disagree on it."""


class BundleError(SparkNNError):
    """A model folder is missing, incomplete or damaged."""


class InferenceError(SparkNNError):
    """A row cannot be scored and the mode is failfast, or a provider is missing."""


class MissingExtra(SparkNNError):  # noqa: N818
    """An optional dependency is not installed."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`, or one that begins with it; None where none is close."""
    folded = {k.lower().replace("-", "_"): k for k in known}
    wanted = name.lower().replace("-", "_")
    # The same letters in another order are a slip of the fingers: resnet81 means resnet18 and not resnet8.
    swapped = [k for k in folded if sorted(k) == sorted(wanted)]
    match = difflib.get_close_matches(wanted, swapped or folded, n=1, cutoff=0.5)
    if match:
        return folded[match[0]]
    begun = [k for k in folded if k.startswith(wanted)] if len(wanted) >= 3 else []  # image: image-classification
    return folded[min(begun, key=len)] if begun else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with a leading space, or "" where nothing is close."""
    match = nearest(name, known)
    return f" Did you mean '{match}'?" if match else ""
