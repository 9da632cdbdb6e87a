"""Completion inside `%sparknn` and `%%sparknn`: a pure function, and the matcher that gives IPython its answers.

`complete` knows no kernel: it takes the cell's text, the cursor, the notebook's names and a catalog of tables.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

if TYPE_CHECKING:
    from sparknn_magic.notebook.completion_rows import Catalog, Offer

MATCHER = "sparknn"
PRIORITY = 50.0  # before IPython's own, which take the cell for Python
_CELL = re.compile(r"\s*?^%%sparknn(?=\s|$)", re.MULTILINE)
_LINE = re.compile(r"\s*%sparknn(?=\s)")
_YAML = ("train", "lr-find", "preview")  # commands whose body is an experiment
_ROWS = ("predict", "evaluate", "compare")  # commands whose body is a source of rows


@dataclass(frozen=True)
class Completions:
    """What may stand at the cursor."""

    start: int  # the offset in the cell from which on they replace its text, up to the cursor
    end: int  # the cursor
    texts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()  # of each: key, plugin, option, value, table, column, ...


def complete(cell: str, cursor: int, names: Mapping[str, Any], catalog: "Catalog | None" = None) -> Completions:
    """Return the completions at an offset of a cell's text; none where the cursor is not in a line or body of ours.

    `names` are the notebook's variables; `catalog` tells tables and columns (none without one). Nothing is imported
    that is not there yet but the models of the spec, nothing runs, and a cell that is half typed is no error.
    """
    from sparknn_magic.notebook.completion_rows import NoCatalog
    from sparknn_magic.registry import fold

    found, typed = _offers(cell, cursor, names, catalog if catalog is not None else NoCatalog())
    kept = {offer.text: offer.kind for offer in reversed(found) if fold(offer.text).startswith(fold(typed))}
    colon = cell[cursor:].lstrip(" ").startswith(":")  # behind the cursor already
    chosen = [(text.rstrip(" :") if colon and kept[text] in ("key", "option") else text, kept[text]) for text in kept]
    chosen.reverse()
    return Completions(
        cursor - len(typed), cursor, tuple(text for text, _ in chosen), tuple(kind for _, kind in chosen)
    )


def _offers(cell: str, cursor: int, names: Mapping[str, Any], catalog: "Catalog") -> "tuple[list[Offer], str]":
    from sparknn_magic.notebook.completion_line import line_offers

    whole = _CELL.match(cell)
    start = cell.rfind("\n", 0, cursor) + 1
    if whole is None or cursor <= whole.end():
        line = _LINE.match(cell[start:cursor])
        if whole is not None or line is None:
            return [], ""
        return line_offers(cell[start + line.end() : cursor], "", names, catalog, cell=False)
    end = cell.find("\n", whole.end())
    first, body = (cell[whole.end() :], "") if end < 0 else (cell[whole.end() : end], cell[end + 1 :])
    if end < 0 or cursor <= end:
        return line_offers(cell[whole.end() : cursor], body, names, catalog, cell=True)
    return _body_offers(first.split(), body, cursor - end - 1, names, catalog)


def _body_offers(
    words: list[str], body: str, cursor: int, names: Mapping[str, Any], catalog: "Catalog"
) -> "tuple[list[Offer], str]":
    if not words:
        return [], ""
    if words[0] in _YAML:
        from sparknn_magic.notebook.completion_body import offers_in

        return offers_in(body, cursor, names, catalog)
    if words[0] in _ROWS:
        from sparknn_magic.notebook.completion_rows import source_offers

        return source_offers(body[:cursor], body, names, catalog)
    return [], ""


def register(shell: InteractiveShell) -> None:
    """Have IPython ask us too; done again, it is still asked once."""
    unregister(shell)
    catalog: list[Catalog] = []  # made when it is first needed

    @context_matcher(identifier=MATCHER, priority=PRIORITY)
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        if "%sparknn" not in context.full_text:
            return SimpleMatcherResult(completions=[])
        from sparknn_magic.notebook.completion_rows import SparkCatalog

        if not catalog:
            catalog.append(SparkCatalog())
        cursor = offset_of(context)
        found = complete(context.full_text, cursor, shell.user_ns, catalog[0])
        pairs = zip(found.texts, found.kinds, strict=True)
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text, type=kind) for text, kind in pairs],
            matched_fragment=context.full_text[found.start : found.end],
            suppress=True,
            ordered=True,
        )

    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(matcher)


def unregister(shell: InteractiveShell) -> None:
    """Take our matcher away."""
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", "") != MATCHER]


def offset_of(context: CompletionContext) -> int:
    """Return the cursor's offset in the whole text.

    IPython gives line and column; `complete(text, line, cursor)`, its older way, an offset in what it takes for a line.
    """
    above = context.full_text.split("\n")[: context.cursor_line]
    return sum(len(line) + 1 for line in above) + context.cursor_position
