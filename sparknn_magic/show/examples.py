"""A few labelled rows with what a model said of them: for a notebook's output, a page of their own, and a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparknn_magic.show.boxes import Scene, Scenes, scene_text
from sparknn_magic.show.entities import MARKS, Tagged, tagged_lines
from sparknn_magic.show.example import Example, Row
from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el, image_uri
from sparknn_magic.show.report_boxes import notebook_scenes, worst_of
from sparknn_magic.show.words import number, percent, plain, plural, shorten, table

CELL = 40  # columns of a value
MOST_COLUMNS = 8  # of a row
PICTURES = """
.sparknn .shown { display: flex; flex-wrap: wrap; gap: 14px; margin: 6px 0 8px; }
.sparknn .shown figure { margin: 0; width: 132px; }
.sparknn .shown img { display: block; width: 132px; height: 132px; object-fit: contain;
  background: rgba(128, 128, 128, 0.14); border-radius: 5px; }
.sparknn .shown .small { image-rendering: pixelated; }
.sparknn .shown .miss img { outline: 2px dashed #d55e00; outline-offset: -2px; }
.sparknn .shown figcaption { font-size: 12.5px; padding-top: 4px; overflow-wrap: anywhere; }
"""
# What the marks of entities take of a page's colours; a notebook's output has none of them.
NAMES = """
.sparknn { --hit: 0, 114, 178; --miss: 213, 94, 0; --soft: inherit; }
"""


@dataclass(frozen=True)
class Examples:
    """Labelled rows with their predictions, as HTML and as text."""

    title: str
    html: Markup
    text: str

    def __repr__(self) -> str:
        return f"{self.title}\n{self.text}"

    def _repr_html_(self) -> str:
        return scoped(el("div", self.title, cls="soft"), self.html)

    def page(self) -> str:
        """Return a whole HTML document, which loads nothing."""
        head = el("head", el("meta", charset="utf-8"), el("meta", name="color-scheme", content="light dark"))
        shown = Markup(self._repr_html_())
        body = el("body", shown, style="margin: 24px; font-family: system-ui, sans-serif")
        return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def picture_examples(examples: Sequence[Example]) -> Examples:
    """Return classified pictures: a mistake has a cross, a dashed frame and the true class."""
    figures = [
        el(
            "figure",
            el("img", src=image_uri(e.image), alt=plain(e.label), cls="small" if max(e.image.shape[:2]) < 64 else None),
            el("figcaption", _said(e.right, e.label, e.predicted, e.score)),
            cls=None if e.right else "miss",
        )
        for e in examples
    ]
    lines = [["true", "predicted", "score"]]
    lines += [[shorten(e.label, CELL), shorten(e.predicted, CELL), percent(e.score)] for e in examples]
    html = el("div", el("style", Markup(PICTURES)), el("div", *figures, cls="shown"))
    return Examples(_title(examples, sum(e.right for e in examples)), html, table(lines, "llr", indent="  "))


def row_examples(rows: Sequence[Row]) -> Examples:
    """Return rows of columns or texts, with a class and its score, or a number."""
    names = list(rows[0].columns)[:MOST_COLUMNS] if rows else []
    classes = bool(rows) and rows[0].score is not None
    titles = ["true", "predicted", "score" if classes else "error", *names]
    cells = [[*_answer(row), *(_value(row.columns[name]) for name in names)] for row in rows]
    head = el("thead", el("tr", *(el("th", plain(title)) for title in titles)))
    body = [
        el("tr", *(el("td", cell) for cell in line), cls="failed" if classes and row.label != row.predicted else None)
        for row, line in zip(rows, cells, strict=True)
    ]
    text = table([[plain(title) for title in titles], *cells], "llr" + "l" * len(names), indent="  ")
    right = sum(row.label == row.predicted for row in rows) if classes else None
    return Examples(_title(rows, right), el("table", head, el("tbody", *body)), text)


def tagged_examples(rows: Sequence[Tagged]) -> Examples:
    """Return texts with their true and predicted entities."""
    right = sum(set(row.true) == set(row.predicted) for row in rows)
    html = el("div", el("style", Markup(NAMES + MARKS)), *map(tagged_lines, rows))
    lines = []
    for row in rows:
        lines.append(f"  {shorten(row.text, 100)}")
        for name, spans in (("true", row.true), ("predicted", row.predicted)):
            said = ", ".join(f"{shorten(row.text[a:b], 30)} ({plain(label)})" for a, b, label in sorted(spans))
            lines.append(f"    {name:<10} {said or '-'}")
    return Examples(_title(rows, right), html, "\n".join(lines))


def scene_examples(scenes: Scenes) -> Examples:
    """Return pictures with their true and predicted boxes, and those with the worst misses."""
    title = f"{_title(scenes.examples, None)}; boxes with a score of {percent(scenes.score, 0)} or more"
    lines = _numbered(scenes.examples, scenes.score)
    if scenes.misses:
        lines += [worst_of(scenes), *_numbered(scenes.misses, scenes.score)]
    return Examples(title, notebook_scenes(scenes), "\n".join(lines))


def _numbered(scenes: Sequence[Scene], score: float) -> list[str]:
    return [f"picture {n}: {scene_text(scene, score)}" for n, scene in enumerate(scenes, 1)]


def _title(rows: Sequence[Any], right: int | None) -> str:
    said = plural(len(rows), "labelled row")
    return said if right is None else f"{said}, {right} of them right"


def _said(right: bool, label: str, predicted: str, score: float) -> str:
    if right:
        return f"✓ {shorten(predicted, CELL)} {percent(score, 0)}"
    return f"✗ {shorten(predicted, CELL)} {percent(score, 0)}, is {shorten(label, CELL)}"


def _answer(row: Row) -> list[str]:
    if row.score is not None:
        return [shorten(row.label, CELL), shorten(row.predicted, CELL), percent(row.score)]
    if row.label is None or row.predicted is None:
        return [number(row.label), number(row.predicted), ""]
    return [number(row.label), number(row.predicted), number(row.predicted - row.label)]


def _value(value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, float) else shorten(value, CELL)
