"""Where the cursor stands in a cell's YAML, however unfinished the text is: a path, and what is typed there so far.

A reader of its own, of indents and brackets: a YAML parser gives up on half a line, which is what completion is about.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

_KEY = re.compile(r"""(?:"([^"]*)"|'([^']*)'|([\w$][\w$.:/ -]*?))\s*:(?=\s|$)""")
_BLOCK = re.compile(r"[|>][-+0-9]*\s*(?:#.*)?")
_COMMENT = re.compile(r"(?:^|\s)#")


@dataclass(frozen=True)
class Place:
    """What a word at the cursor would belong to."""

    path: Path  # ("train",) for a key of `train`; ("model",) for what stands after `model: `
    text: str  # what stands there already, up to the cursor; of a query that goes on over lines, all of it
    key: bool  # the word may be a key of what is at `path`
    scalar: bool  # the word may be the whole value at `path`
    siblings: frozenset[str] = frozenset()  # keys that stand beside it
    glue: str = ""  # a blank, where the cursor is right behind the colon or the dash


@dataclass
class _Node:
    """A key, or a list's item, that the lines above have opened."""

    indent: int
    part: str | int
    text: str = ""  # the scalar behind it
    block: bool = False  # `|` or `>`: deeper lines are its text

    @property
    def item(self) -> bool:
        return isinstance(self.part, int)


def place_in(text: str, cursor: int) -> Place | None:
    """Return the place of an offset in a cell's body; None within a comment."""
    start = text.rfind("\n", 0, cursor) + 1
    reader = _Reader()
    for line in text[:start].split("\n")[:-1]:
        reader.read(line)
    end = text.find("\n", cursor)
    return reader.place(text[start:cursor], text[end + 1 :].split("\n") if end >= 0 else [])


class _Reader:
    def __init__(self) -> None:
        self.nodes: list[_Node] = []
        self.keys: dict[Path, set[str]] = {}
        self.flow: _Flow | None = None

    @property
    def path(self) -> Path:
        return tuple(node.part for node in self.nodes)

    def read(self, line: str) -> None:
        """Take in a whole line above the cursor."""
        if self.flow is not None:
            self._bracket(line)
            return
        indent, text = _indent(line)
        top = self.nodes[-1] if self.nodes else None
        if top is not None and (top.block or top.text) and (not text.strip() or indent > top.indent):
            top.text += f"\n{text}"
        elif text.strip() and not text.startswith("#"):
            column, rest, keyed = self._open(indent, f"{text} ")
            if keyed or not self.nodes or self.nodes[-1].indent < column:
                self._keep(rest.strip())

    def place(self, before: str, below: Iterable[str]) -> Place | None:
        """Return the place at the end of `before`, the cursor's line up to it; `below` are the lines after it."""
        if self.flow is not None:
            return self.flow.place(before)
        indent, text = _indent(before)
        top = self.nodes[-1] if self.nodes else None
        if top is not None and (top.block or (top.text and text)) and indent > top.indent:
            return Place(self.path, f"{top.text}\n{text}", key=False, scalar=True)
        column, rest, keyed = self._open(indent, text)
        if _COMMENT.search(rest):
            return None
        value = rest.lstrip(" ")
        if value[:1] in ("{", "["):
            self.flow = _Flow(self.path if keyed else self._above(column))
            return self.flow.place(value)
        if keyed:
            return Place(self.path, value, key=False, scalar=True, glue="" if rest else " ")
        return self._word(column, value, below)

    def _word(self, column: int, word: str, below: Iterable[str]) -> Place:
        if word == "-":  # the item begins behind it
            self._item(column)
            return Place(self.path, "", key=True, scalar=True, glue=" ")
        path = self._above(column)
        beside = frozenset(self.keys.get(path, set()) | _keys_in(column, below))
        return Place(path, word, key=True, scalar=not beside, siblings=beside)

    def _open(self, column: int, text: str) -> tuple[int, str, bool]:
        """Open a line's dashes and its key; return the column of what follows, that, and whether it has a key."""
        while text.startswith("- "):
            self._item(column)
            rest = text[1:].lstrip(" ")
            column, text = column + len(text) - len(rest), rest
        found = _KEY.match(text)
        if found is None:
            return column, text, False
        name = next(group for group in found.groups() if group is not None)
        self.keys.setdefault(self._above(column), set()).add(name)
        self.nodes.append(_Node(column, name))
        return column + found.end(), text[found.end() :], True

    def _keep(self, value: str) -> None:
        """Keep what stands behind a key or a dash, or in a line of its own below one."""
        if value[:1] in ("{", "["):
            self.flow = _Flow(self.path)
            self._bracket(value)
        elif self.nodes:
            comment = _COMMENT.search(value)
            self.nodes[-1].block = _BLOCK.fullmatch(value) is not None
            self.nodes[-1].text = "" if self.nodes[-1].block else value[: comment.start() if comment else None].rstrip()

    def _bracket(self, line: str) -> None:
        assert self.flow is not None
        self.flow.feed(f"{line}\n")
        if not self.flow.frames:
            self.flow = None

    def _item(self, column: int) -> None:
        number = 0
        while self.nodes and (top := self.nodes[-1]).indent >= column and (top.item or top.indent > column):
            if isinstance(top.part, int) and top.indent == column:
                number = top.part + 1
            self.nodes.pop()
        self.nodes.append(_Node(column, number))

    def _above(self, column: int) -> Path:
        """Close what does not hold a line that begins at `column`; return the path of what does."""
        while self.nodes and self.nodes[-1].indent >= column:
            self.nodes.pop()
        return self.path


@dataclass
class _Frame:
    """A bracket that is open."""

    bracket: str
    key: str | None = None
    number: int = 0
    keys: set[str] = field(default_factory=set)

    @property
    def part(self) -> str | int:
        return self.number if self.bracket == "[" else self.key or ""


class _Flow:
    """Reads `{key: value, list: [1, 2]}`, which may go on over several lines."""

    def __init__(self, base: Path):
        self.base, self.frames, self.word, self.quote = base, list[_Frame](), "", ""

    def place(self, text: str) -> Place | None:
        """Return the place at the end of a text."""
        self.feed(text)
        if not self.frames:
            return None
        *outer, top = self.frames
        path, word = (*self.base, *(frame.part for frame in outer)), self.word.lstrip()
        if top.bracket == "[":
            return Place((*path, top.number), word, key=False, scalar=True)
        if top.key is None:
            return Place(path, word, key=True, scalar=False, siblings=frozenset(top.keys))
        return Place((*path, top.key), word, key=False, scalar=True, glue="" if self.word else " ")

    def feed(self, text: str) -> None:
        """Take in some text."""
        for n, letter in enumerate(text):
            following = text[n + 1 : n + 2]
            if self.quote or (letter in "\"'" and not self.word.strip()):
                self.quote = "" if letter == self.quote else self.quote or letter
                self.word += letter
            elif self.word.endswith("$") or ("${" in self.word and "}" not in self.word):  # within ${name}
                self.word += letter
            else:
                self._take(letter, following)

    def _take(self, letter: str, following: str) -> None:
        top = self.frames[-1] if self.frames else None
        if letter in "{[":
            self.frames.append(_Frame(letter))
        elif top is None:
            return
        elif letter in "}]":
            self.frames.pop()
        elif letter == ",":
            top.key, top.number = None, top.number + 1
        elif letter == ":" and top.bracket == "{" and top.key is None and (not following or following.isspace()):
            top.key = self.word.strip().strip("\"'")
            top.keys.add(top.key)
        else:
            self.word += letter
            return
        self.word = ""


def _indent(line: str) -> tuple[int, str]:
    text = line.lstrip(" ")
    return len(line) - len(text), text


def _keys_in(column: int, lines: Iterable[str]) -> set[str]:
    """Return the keys at a column in the lines, as far as what holds them goes."""
    found = set()
    for line in lines:
        indent, text = _indent(line)
        if not text.strip() or text.startswith("#"):
            continue
        key = _KEY.match(text) if indent == column else None
        if indent < column or (indent == column and key is None):
            break
        if key is not None:
            found.add(next(group for group in key.groups() if group is not None))
    return found
