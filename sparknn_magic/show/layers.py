"""The table of a list of layers, as Keras users know it: layer, output shape, parameters, and the total."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.words import count, plain, table

HEAD = ("layer", "output shape", "parameters")
BATCH = "?"  # the first axis, which may have any length


def layers_text(layers: Sequence[Mapping[str, Any]], *, indent: str = "  ") -> str:
    """Return the table as text; layers inside others are indented.

    `layers` has name, output (the shape of a row), parameters and depth of each, as `sparknn_magic.layers.table` gives
    them; the total is that of depth 0.
    """
    rows = [list(HEAD), *([("  " * layer["depth"]) + plain(layer["name"]), *_cells(layer)] for layer in layers)]
    lines = table([*rows, ["total", "", count(_total(layers))]], "llr").split("\n")
    rule = "-" * max(len(line) for line in lines)
    return "\n".join(indent + line for line in (lines[0], rule, *lines[1:-1], rule, lines[-1]))


def layers_html(layers: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the table as HTML."""
    head = el("tr", *(el("th", title, cls="num" if title == HEAD[-1] else None) for title in HEAD))
    rows = []
    for layer in layers:
        shape, parameters = _cells(layer)
        name = "\u2003" * layer["depth"] + plain(layer["name"])
        rows.append(el("tr", el("th", name), el("td", shape), el("td", parameters, cls="num")))
    total = el("tr", el("td", "total"), el("td"), el("td", count(_total(layers)), cls="num"))
    return el("table", el("thead", head), el("tbody", *rows, total))


def _cells(layer: Mapping[str, Any]) -> list[str]:
    return ["[" + ", ".join([BATCH, *map(str, layer["output"])]) + "]", count(layer["parameters"])]


def _total(layers: Sequence[Mapping[str, Any]]) -> int:
    return sum(layer["parameters"] for layer in layers if layer["depth"] == 0)
