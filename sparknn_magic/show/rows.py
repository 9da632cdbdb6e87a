"""A few rows of a table as text and HTML; all values escaped and shortened. Knows no Spark."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.words import plain, shorten, table

CELL = 40  # characters


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [["" if value is None else shorten(plain(value), CELL) for value in row.values()] for row in rows]


def rows_text(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a title and the rows as columns of text."""
    return f"{title}\n{rows_lines(rows)}"


def rows_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as columns of text."""
    if not rows:
        return "(no rows)"
    names = [shorten(plain(name), CELL) for name in rows[0]]
    return table([names, *_cells(rows)], "l" * len(names), indent="  ")


def rows_html(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a title and the rows as an HTML table."""
    return scoped(el("div", title, cls="soft"), rows_table(rows))


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the rows as an HTML table."""
    if not rows:
        return el("div", "no rows", cls="soft")
    head = el("thead", el("tr", *(el("th", plain(name)) for name in rows[0])))
    return el("table", head, el("tbody", *(el("tr", *(el("td", cell) for cell in row)) for row in _cells(rows))))
