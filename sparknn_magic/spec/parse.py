"""YAML text -> plain values, each with its place in the text.

The event stream of ruamel.yaml is read with a stack of our own: no recursion, no object is ever constructed, and
text made to be slow (aliases, deep nesting, size) is refused on sight. YAML 1.2: `1e-3` is a number, `no` a string.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from sparknn_magic.errors import SpecError
from sparknn_magic.spec.marks import Mark, Marks, Path, cut
from sparknn_magic.spec.yaml_words import reword, reword_crash

# Text below these limits is read in well under a second by ruamel's scanner, which is pure Python.
MAX_CHARACTERS = 64 * 1024
MAX_VALUES = 5_000
MAX_DEPTH = 32
MAX_INTEGER = 2**63 - 1

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# All but tab, line feed and the printable rest: control characters, line ends that editors do not show as such,
# halves of surrogate pairs, and byte order marks.
_FORBIDDEN = re.compile("[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
# ruamel looks ahead over such a run in quadratic time, before it says a word.
_BRACKETS = re.compile(r"(?:[\[{]\s*+){100}")
_DIRECTIVE = re.compile(r"(?:[ \t]*(?:#.*)?\n)*%")
# `${name}` has braces, which flow collections would read as theirs. While YAML is parsed they are two private
# characters, so every column stays where it is.
_VARIABLE = re.compile(r"\$\{([^{}\n]*)\}")
_VEILED = re.compile("\\$\ue000([^{}\n]*)\ue001")


@dataclass
class Parsed:
    """What a text says: dicts, lists, str, int, float, bool, None; and where it says so."""

    value: Any
    marks: Marks = field(default_factory=Marks)


@dataclass
class _Open:
    """A collection that is still being read."""

    path: Path
    value: dict[str, Any] | list[Any]
    mark: Mark
    flow: bool  # written with brackets
    key: str | None = None  # of a mapping: the key whose value comes next


def parse(text: str, *, first_line: int = 1) -> Parsed:
    """Return the mapping that `text` holds. `first_line` is the number of its first line in the cell.

    Raises: SpecError with line and column, whatever the text is.
    """
    parsed = _read(text, first_line)
    if parsed is None:
        raise SpecError(
            "there is nothing here yet.", line=first_line, column=1, hint="Start with `task: image-classification`."
        )
    if not isinstance(parsed.value, dict):
        mark = parsed.marks.values[()]
        found = "a list" if isinstance(parsed.value, list) else "a single value"
        raise SpecError(
            f"an experiment is written as 'key: value' lines; this is {found}.",
            line=mark.line,
            column=mark.column,
            hint="Start with `task: image-classification`.",
        )
    return parsed


def parse_value(text: str) -> Any:
    """Return one value as YAML writes it: `3`, `1e-3`, `[0.5, 0.5]`, `{width: 16}`; None for empty text.

    Raises: SpecError with the line and column within `text`.
    """
    parsed = _read(text, 1)
    return None if parsed is None else parsed.value


def _read(text: str, first_line: int) -> Parsed | None:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    _check_text(text, first_line)
    builder = _Builder(first_line)
    try:
        for event in YAML(typ="safe", pure=True).parse(_VARIABLE.sub("$\ue000\\1\ue001", text)):
            builder.take(event)
    except YAMLError as error:
        raise reword(error, text.split("\n"), first_line, builder.open_bracket()) from None
    except (ValueError, OverflowError, IndexError, AttributeError, TypeError, AssertionError) as error:
        # ruamel's scanner ends this way on some broken escapes and directives; it has no mark for us.
        raise reword_crash(error, text, first_line, builder.last) from None
    return builder.parsed


def _check_text(text: str, first_line: int) -> None:
    if len(text) > MAX_CHARACTERS:
        raise SpecError(
            f"this text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read.",
            line=first_line,
            column=1,
            hint="Put data into a table or a file, and name it here.",
        )
    for pattern in (_FORBIDDEN, _BRACKETS):
        bad = pattern.search(text)
        if bad:
            message = f"the character U+{ord(bad.group()[0]):04X} is not allowed in YAML; delete it."
            if pattern is _BRACKETS:
                message = f"this is nested more than {MAX_DEPTH} levels deep."
            before = text[: bad.start()]
            line, column = first_line + before.count("\n"), bad.start() - before.rfind("\n")
            raise SpecError(message, line=line, column=column)
    directive = _DIRECTIVE.match(text)
    if directive:
        line = first_line + directive.group().count("\n")
        raise SpecError(
            "a line cannot start with '%' here; delete it, or move it to the top of the cell.", line=line, column=1
        )


class _Builder:
    """Events -> values and marks."""

    def __init__(self, first_line: int):
        self.first_line = first_line
        self.stack: list[_Open] = []
        self.parsed: Parsed | None = None
        self.documents = self.values = 0
        self.last = Mark(first_line, 1)

    def open_bracket(self) -> Mark | None:
        """Return the place of the innermost bracket that is not closed yet."""
        return next((c.mark for c in reversed(self.stack) if c.flow), None)

    def take(self, event: Event) -> None:
        start = event.start_mark
        self.last = Mark(self.first_line + start.line, start.column + 1, inset=_inset(event))
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.error("a second document starts here; write one experiment at a time.")
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.stack.pop()
        elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent | AliasEvent):
            self.refuse(event)
            self.add(event)

    def refuse(self, event: Any) -> None:
        if isinstance(event, AliasEvent):
            raise self.error(
                f"'*{cut(event.anchor)}' is a YAML alias, and aliases are not read. Put text in quotes, or repeat it."
            )
        if event.anchor is not None:
            raise self.error(
                f"'&{cut(event.anchor)}' is a YAML anchor, and anchors are not read. Put the text in quotes."
            )
        if event.ctag is not None:
            tag = cut(str(event.ctag).replace("tag:yaml.org,2002:", "!!"))
            raise self.error(f"'{tag}' is a YAML tag, and tags are not read. Put the text in quotes.")
        self.values += 1
        if self.values > MAX_VALUES:
            raise self.error(f"this text has more than {MAX_VALUES:,} values.")
        if len(self.stack) >= MAX_DEPTH:
            raise self.error(f"this is nested more than {MAX_DEPTH} levels deep.")

    def add(self, event: Any) -> None:
        parent = self.stack[-1] if self.stack else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            self.start_pair(parent, event)
            return
        if isinstance(event, ScalarEvent):
            value: Any = self.scalar(event)
        else:
            value = {} if isinstance(event, MappingStartEvent) else []
        path: Path = ()
        if parent is None:
            self.parsed = Parsed(value)
        elif isinstance(parent.value, list):
            path = (*parent.path, len(parent.value))
            parent.value.append(value)
        else:
            assert parent.key is not None
            path = (*parent.path, parent.key)
            parent.value[parent.key] = value
            parent.key = None
        assert self.parsed is not None
        empty = isinstance(event, ScalarEvent) and event.style is None and not event.value
        # A value that is not there has its key's place: ruamel gives that of whatever comes next.
        self.parsed.marks.values[path] = self.parsed.marks.keys.get(path, self.last) if empty else self.last
        if not isinstance(event, ScalarEvent):
            self.stack.append(_Open(path, value, self.last, bool(event.flow_style)))

    def start_pair(self, parent: _Open, event: Any) -> None:
        if not isinstance(event, ScalarEvent):
            raise self.error("a key must be text, not a list or a mapping.")
        key = self.scalar(event)
        if key == "<<":
            raise self.error("'<<' is a YAML merge key, and merge keys are not read. Repeat the values.")
        if not isinstance(key, str):
            shown = cut(event.value) or "empty"
            raise self.error(
                f"a key must be text, not {shown}." + (f" Put it in quotes: '{shown}'." if key is not None else "")
            )
        assert self.parsed is not None
        path = (*parent.path, key)
        if path in self.parsed.marks.keys:
            first = self.parsed.marks.keys[path]
            raise self.error(f"the key '{cut(key)}' is written twice; the first is in line {first.line}.")
        self.parsed.marks.keys[path] = self.last
        parent.key = key

    def scalar(self, event: ScalarEvent) -> Any:
        text = _VEILED.sub(r"${\1}", event.value)
        if event.style is not None:  # quoted, or a block: text, whatever it looks like
            bad = _FORBIDDEN.search(text.replace("\r", "\n"))
            if bad:
                raise self.error(
                    f"an escape in this text makes the character U+{ord(bad.group()):04X}, which is not allowed."
                )
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INTEGER.fullmatch(text) or _PREFIXED.fullmatch(text):
            return self.integer(text)
        if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            number = math.inf if _NOT_FINITE.fullmatch(text) else float(text)
            if not math.isfinite(number):
                raise self.error(f"{cut(text)} is not a finite number.")
            return number
        return text

    def integer(self, text: str) -> int:
        # Python refuses to read integers of thousands of digits, so their length is looked at first.
        number = int(text, 0 if _PREFIXED.fullmatch(text) else 10) if len(text) <= 100 else MAX_INTEGER + 1
        if abs(number) > MAX_INTEGER:
            raise self.error(f"{cut(text)} is too large a whole number; at most {MAX_INTEGER} fits.")
        return number

    def error(self, message: str) -> SpecError:
        return SpecError(message, line=self.last.line, column=self.last.column)


def _inset(event: Event) -> int | None:
    """Return 1 for a text in quotes, 0 for one without; None where it has escapes or several lines."""
    start, end = event.start_mark, event.end_mark
    if not isinstance(event, ScalarEvent) or start.line != end.line or event.style in ("|", ">"):
        return None
    quotes = end.column - start.column - len(event.value)
    return {0: 0, 2: 1}.get(quotes)
