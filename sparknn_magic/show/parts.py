"""What the sections of the report are made of."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from sparknn_magic.show import figures
from sparknn_magic.show.markup import Markup, data_uri, el


def tile(name: str, value: str, note: str) -> Markup:
    """Return one figure with its name above and a note below."""
    return el("div", el("span", name, cls="name"), el("b", value), el("span", note), cls="tile")


def section(title: str, note: str | None, *children: Any) -> Markup:
    """Return a part of the report, under its heading."""
    return el("section", el("h2", title), el("p", note, cls="note") if note else None, *children)


def themed(light: Figure, dark: Figure, alt: str) -> Markup:
    """Return a figure as a picture that follows the page's colours."""
    addresses = [data_uri(figures.figure_svg(f, transparent=True).encode(), "image/svg+xml") for f in (light, dark)]
    source = el("source", srcset=addresses[1], media="(prefers-color-scheme: dark)")
    return el("picture", source, el("img", src=addresses[0], alt=alt))


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[int] = ()) -> Markup:
    """Return a table; the columns `numbers` are aligned on the right."""
    kinds = ["num" if i in numbers else None for i in range(len(head))]
    top = el("tr", *(el("th", name, scope="col", cls=kind) for name, kind in zip(head, kinds, strict=True)))
    body = [el("tr", *(el("td", cell, cls=kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows]
    return el("table", el("thead", top), el("tbody", *body), cls="list")


def facts(rows: Sequence[tuple[str, Any]]) -> Markup:
    """Return a table of names and values; without a value a line is left out."""
    body = [el("tr", el("th", name, scope="row"), el("td", value)) for name, value in rows if value not in (None, "")]
    return el("table", el("tbody", *body), cls="list facts")
