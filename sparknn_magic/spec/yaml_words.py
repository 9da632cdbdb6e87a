"""What ruamel.yaml says of broken YAML -> what a data scientist needs to hear: the place, the cause, the way out."""

import re
from collections.abc import Callable

from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError

from sparknn_magic.errors import SpecError
from sparknn_magic.spec.marks import Mark

# What some characters start, where a text was meant. The keys end ruamel's "while scanning a ...".
STARTS = {
    "block scalar": "'|' and '>' start a text on the lines below; a value that begins with one belongs in quotes.",
    "tag": "'!' starts a YAML tag, and tags are not read. Put the text in quotes.",
    "alias": "'*' starts a YAML alias, and aliases are not read. Put the text in quotes.",
    "anchor": "'&' starts a YAML anchor, and anchors are not read. Put the text in quotes.",
}
At = Callable[[StreamMark, str], SpecError]

CLOSING = {"[": "]", "{": "}"}


def reword(error: YAMLError, lines: list[str], first_line: int, bracket: Mark | None) -> SpecError:
    """Return the SpecError, with line and column in the cell, for what ruamel raised on these lines.

    `bracket` is the place of the innermost bracket that was open then.
    """
    marked = error if isinstance(error, MarkedYAMLError) else MarkedYAMLError()
    mark, opened = marked.problem_mark or marked.context_mark, marked.context_mark or marked.problem_mark
    if mark is None or opened is None:
        return SpecError(f"this is not valid YAML ({_first_line(error)}).", line=first_line, column=1)

    def at(place: StreamMark, message: str) -> SpecError:
        return SpecError(message, line=first_line + place.line, column=place.column + 1)

    problem, context = str(marked.problem or ""), str(marked.context or "")
    tab = _tab_indent(lines, mark.line)
    if tab is not None:
        return SpecError("a tab cannot indent YAML; use spaces.", line=first_line + tab, column=1)
    if context == "while scanning a quoted scalar":
        return at(opened, f"this quote ({_char(lines, opened)}) is never closed.")
    if bracket is not None and context.startswith("while parsing a flow"):
        return _unclosed(at, lines, mark, bracket, first_line)
    if problem == "could not find expected ':'":
        text = _line(lines, opened)[opened.column :].strip()
        return at(opened, f"'{text[:40]}' has no ':' after it; write 'key: value'.")
    if problem == "mapping values are not allowed here":
        return _second_colon(at, lines, mark)
    if "expected <block end>" in problem:
        return at(mark, _misplaced(lines, mark, problem))
    for scanned, message in STARTS.items():
        if context.endswith(f" {scanned}"):
            return at(opened, message)
    return at(mark, _other(lines, mark, problem))


def reword_crash(error: Exception, text: str, first_line: int, last: Mark) -> SpecError:
    """Return the SpecError for text on which ruamel's scanner itself broke; `last` is the last place it had read."""
    escape = re.search(r"\\U[0-9a-fA-F]{8}", text)
    if escape and "chr()" in str(error):
        before = text[: escape.start()]
        line, column = first_line + before.count("\n"), escape.start() - before.rfind("\n")
        return SpecError(f"'{escape.group()}' is not a character.", line=line, column=column)
    return SpecError(f"this is not valid YAML ({_first_line(error)}).", line=last.line, column=last.column)


def _unclosed(at: At, lines: list[str], mark: StreamMark, bracket: Mark, first_line: int) -> SpecError:
    assert bracket.line is not None
    assert bracket.column is not None
    opening = lines[bracket.line - first_line][bracket.column - 1 :][:1]
    closing = CLOSING.get(opening, "]")
    found = _line(lines, mark)[mark.column :].split(",")[0].strip()
    if not found or first_line + mark.line > bracket.line:
        message = f"this '{opening}' is never closed; '{closing}' is missing."
        return SpecError(message, line=bracket.line, column=bracket.column)
    return at(mark, f"expected ',' or '{closing}' before '{found[:20]}'.")


def _second_colon(at: At, lines: list[str], mark: StreamMark) -> SpecError:
    before = _line(lines, mark)[: mark.column]
    if not re.fullmatch(r"\s*(- +)*[^\s:]+\s*", before):
        return at(mark, "a second ':' in one line. Put the value in quotes, or start a new line.")
    above = next((n for n in range(mark.line - 1, -1, -1) if lines[n].strip()), None)
    if above is not None and ":" not in lines[above] and _indent(lines[above]) == _indent(before):
        place = StreamMark("", 0, above, _indent(before))
        return at(place, f"'{lines[above].strip()[:40]}' has no ':' after it; write 'key: value'.")
    key = before.strip().removeprefix("- ")
    start = StreamMark("", 0, mark.line, before.index(key))
    return at(start, f"'{key}' is indented under a line that already has a value; check the indentation.")


def _misplaced(lines: list[str], mark: StreamMark, problem: str) -> str:
    before, rest = _line(lines, mark)[: mark.column], _line(lines, mark)[mark.column :]
    if before.strip():
        return f"unexpected text after the closing quote or bracket: `{rest.strip()[:40]}`."
    if rest.startswith("- ") or rest.strip() == "-":
        return "a list item ('- ') stands where 'key: value' is expected; check the indentation."
    if "block mapping" in problem or re.match(r"[^\s:]+:(\s|$)", rest):
        return "this line's indentation matches no line above it."
    return f"'{rest.strip()[:40]}' is neither a list item ('- ') nor 'key: value'; check the indentation."


def _other(lines: list[str], mark: StreamMark, problem: str) -> str:
    char = _char(lines, mark)
    if "cannot start any token" in problem:
        return f"a value cannot start with '{char}'; put it in quotes."
    if "unknown escape character" in problem:
        return f"'\\{char}' means nothing inside double quotes; use single quotes, or write '\\\\{char}'."
    if "escape sequence" in problem:
        return "this escape in double quotes is not complete; use single quotes, or write '\\\\' for a backslash."
    if "sequence entries are not allowed" in problem:
        return "a list item ('- ') cannot start here; start a new line, indented under its key."
    if "mapping keys are not allowed" in problem:
        return "a key ('? ') cannot start here; start a new line."
    if "expected the node content" in problem and char and char in "]},":
        return f"this '{char}' closes nothing; a value that starts with it belongs in quotes."
    if "expected the node content" in problem:
        return "a value is missing here."
    if "<document start>" in problem:
        return "this does not belong to the value above it; a cell holds 'key: value' lines."
    if any(line.startswith("%") for line in lines[: mark.line + 1]):
        return "a line above starts with '%'; delete it, or move it to the top of the cell."
    return f"this is not valid YAML ({_first_line(problem)})."


def _tab_indent(lines: list[str], line: int) -> int | None:
    """Return the line (0-based) whose indentation holds a tab: the faulty one, or the one above it."""
    for candidate in (line, line - 1):
        text = lines[candidate] if 0 <= candidate < len(lines) else ""
        if "\t" in text[: len(text) - len(text.lstrip())] and text.strip():
            return candidate
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _line(lines: list[str], mark: StreamMark) -> str:
    return lines[mark.line] if mark.line < len(lines) else ""


def _char(lines: list[str], mark: StreamMark) -> str:
    return _line(lines, mark)[mark.column : mark.column + 1]


def _first_line(error: object) -> str:
    return str(error).strip().split("\n")[0][:120]
