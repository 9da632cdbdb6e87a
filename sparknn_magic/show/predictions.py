"""Scored rows as a person wants them: pictures with label and score, boxes drawn, texts with a bar, entities marked.

Knows no Spark. A score is a bar and a number, never a colour alone. A row that could not be scored has its reason where
the answer would stand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sparknn_magic.show.boxes import MOST_BOXES, SCENES, Box, Scene, boxes_svg, class_colours
from sparknn_magic.show.entities import MARKS, Tagged, marked
from sparknn_magic.show.examples import NAMES, PICTURES, Examples
from sparknn_magic.show.markup import Markup, el, picture_uri
from sparknn_magic.show.rows import rows_lines, rows_table
from sparknn_magic.show.words import number, percent, plain, plural, shorten, table

CELL = 40  # columns of a label or a value
TEXT = 240  # of a text on a page
LINE = 64  # of a text in a terminal
BAR = 10  # letters
SIDE = 264  # pixels of a picture, twice what it has on the page
LEAST = 0.5  # score of a box that is drawn
NAMED = 8  # objects that are named below a picture
MARKED = "rgba(0, 114, 178, {:.2f})"  # Okabe and Ito 2008: the ground of a label, deeper where the score is higher

STYLE = """
.sparknn .shown .none { display: flex; width: 132px; height: 132px; align-items: center; justify-content: center;
  padding: 8px; text-align: center; font-size: 12.5px; border: 1px dashed rgba(128, 128, 128, 0.6);
  border-radius: 5px; overflow: hidden; overflow-wrap: anywhere; }
.sparknn .scenes .none { display: flex; aspect-ratio: 4 / 3; align-items: center; justify-content: center;
  padding: 8px; border: 1px dashed rgba(128, 128, 128, 0.6); border-radius: 6px; }
.sparknn .sure { height: 5px; border-radius: 3px; background: rgba(128, 128, 128, 0.25); margin: 4px 0 3px;
  min-width: 72px; max-width: 132px; }
.sparknn .sure i { display: block; height: 5px; border-radius: 3px; background: #0072b2; }
.sparknn .said { border-radius: 4px; padding: 1px 6px; overflow-wrap: anywhere; color: inherit; }
.sparknn .shown .soft, .sparknn .scenes .soft { font-size: 12px; }
.sparknn.sparknn td.words { min-width: 260px; max-width: 560px; }
.sparknn .tagged .soft { flex: 0 0 auto; max-width: 160px; overflow-wrap: anywhere; font-size: 12.5px; }
@media (prefers-color-scheme: dark) { .sparknn .sure i { background: #56b4e9; } }
body[data-jp-theme-light="true"] .sparknn .sure i { background: #0072b2; }
body[data-jp-theme-light="false"] .sparknn .sure i { background: #56b4e9; }
"""


@dataclass(frozen=True, eq=False)
class Answer:
    """A row and what the model said of it: one of `label`, `value`, `objects` and `entities`, or an `error`."""

    columns: Mapping[str, Any] = field(default_factory=dict)  # what tells the row from others
    error: str | None = None
    label: str | None = None  # a class, or several
    score: float | None = None  # its probability, 0..1
    value: float | None = None  # a number that was learnt
    objects: Sequence[Box] = ()  # in pixels of the upright picture
    picture: np.ndarray | None = None  # uint8[H, W, C], C is 1 or 3
    scale: float = 1.0  # pixels of `picture` for one of the stored picture
    texts: Sequence[str] = ()
    tagged: Tagged | None = None  # the text with the predicted entities, the score among their labels


def picture_answers(title: str, answers: Sequence[Answer]) -> Examples:
    """Return pictures with what was said of each."""
    figures = [el("figure", _image(a), el("figcaption", *_caption(a))) for a in answers]
    html = el("div", el("style", Markup(PICTURES + STYLE)), el("div", *figures, cls="shown"))
    return Examples(title, html, _lines(answers))


def text_answers(title: str, answers: Sequence[Answer]) -> Examples:
    """Return texts, each beside its label and a bar as long as the score is high."""
    head = [*_names(answers), "prediction", "score", "text"]
    rows = []
    for a in answers:
        words = [el("div", shorten(text, TEXT), dir="auto") for text in a.texts if text]
        cells = [el("td", _value(v)) for v in a.columns.values()]
        if a.error is not None:
            cells += [el("td", _failed(a), colspan=2)]
        else:
            cells += [el("td", _label(a)), el("td", percent(a.score), _bar(a.score))]
        rows.append(el("tr", *cells, el("td", *words, cls="words")))
    listed = el("table", el("thead", el("tr", *(el("th", plain(name)) for name in head))), el("tbody", *rows))
    html = el("div", el("style", Markup(STYLE)), listed if answers else None)
    return Examples(title, html, _lines(answers))


def entity_answers(title: str, answers: Sequence[Answer]) -> Examples:
    """Return texts with the entities that were found in them."""
    shown, lines = [], []
    for a in answers:
        tagged = a.tagged or Tagged("", [], [])
        who = _who(a)
        body = [marked(tagged.text, tagged.predicted)] if tagged.text else []
        reason = el("p", _failed(a)) if a.error is not None else None
        name = el("span", who, cls="soft") if who else None
        shown.append(el("div", el("div", name, *body, reason), cls="tagged"))
        found = ", ".join(f"{shorten(tagged.text[i:j], 30)} ({plain(n)})" for i, j, n in sorted(tagged.predicted))
        lines.append(f"  {f'{who}: ' if who else ''}{shorten(tagged.text, 100) if tagged.text else ''}".rstrip())
        lines.append(f"    {_reason(a) if a.error is not None else found or 'nothing found'}")
    html = el("div", el("style", Markup(NAMES + MARKS + STYLE)), *shown)
    return Examples(title, html, "\n".join(lines))


def scene_answers(title: str, answers: Sequence[Answer], classes: Sequence[str], *, least: float = LEAST) -> Examples:
    """Return pictures with the boxes that have this score or more."""
    colours = class_colours([Scene(np.zeros((1, 1, 1), np.uint8), [], a.objects) for a in answers], classes)
    figures, lines = [], []
    for n, a in enumerate(answers, 1):
        shown = sorted((b for b in a.objects if (b.score or 0) >= least), key=lambda b: -(b.score or 0))[:MOST_BOXES]
        said, who = _objects(a, shown, least), _who(a)
        drawing = _none(a) if a.picture is None else boxes_svg(a.picture, [_scaled(b, a.scale) for b in shown], colours)
        caption = [el("span", said, cls="failed" if a.error is not None else None)]
        caption += [el("div", who, cls="soft")] if who else []
        figures.append(el("figure", drawing, el("figcaption", *caption)))
        lines.append(f"picture {n}{f' ({who})' if who else ''}: {said}")
        lines += [
            f"  {shorten(b.label, CELL)} {percent(b.score, 0)} ({b.x1:.0f}, {b.y1:.0f}, {b.x2:.0f}, {b.y2:.0f})"
            for b in shown
        ]
    html = el("div", el("style", Markup(SCENES + STYLE)), el("div", *figures, cls="scenes"))
    return Examples(f"{title}; boxes with a score of {percent(least, 0)} or more", html, "\n".join(lines))


def table_answers(title: str, rows: Sequence[Mapping[str, Any]]) -> Examples:
    """Return rows of plain values as a table."""
    return Examples(title, rows_table(rows), rows_lines(rows))


def _image(a: Answer) -> Markup:
    if a.picture is None:
        return _none(a)
    small = "small" if max(a.picture.shape[:2]) < 64 else None
    return el("img", src=picture_uri(a.picture, SIDE), alt=_answer(a) or plain(a.error), cls=small)


def _none(a: Answer) -> Markup:
    return el("div", el("span", "no picture", cls="soft"), cls="none")


def _caption(a: Answer) -> list[Any]:
    who = _who(a)
    rest = [el("div", who, cls="soft")] if who else []
    if a.error is not None:
        return [_failed(a), *rest]
    if a.score is None:
        return [el("b", _answer(a)), *rest]
    return [el("b", shorten(a.label, CELL)), f" {percent(a.score)}", _bar(a.score), *rest]


def _label(a: Answer) -> Markup:
    depth = 0.08 + 0.4 * (a.score or 0.0)
    return el("mark", _answer(a), cls="said", style=f"background: {MARKED.format(depth)}")


def _bar(score: float | None) -> Markup | None:
    if score is None:
        return None
    share = min(max(score, 0.0), 1.0)
    return el("div", el("i", style=f"width: {100 * share:.0f}%"), cls="sure")


def _answer(a: Answer) -> str:
    if a.label is not None:
        return shorten(a.label, CELL)
    return "" if a.value is None else number(a.value)


def _failed(a: Answer) -> Markup:
    return el("span", _reason(a), cls="failed")


def _reason(a: Answer) -> str:
    return f"✗ {shorten(a.error, 2 * CELL)}"


def _who(a: Answer) -> str:
    return ", ".join(f"{shorten(name, CELL)} {_value(value)}" for name, value in a.columns.items())


def _objects(a: Answer, shown: Sequence[Box], least: float) -> str:
    if a.error is not None:
        return _reason(a)
    if not shown:
        below = f"; {plural(len(a.objects), 'box', 'boxes')} below {percent(least, 0)}" if a.objects else ""
        return f"nothing found{below}"
    counts: dict[str, int] = {}
    for b in shown:
        counts[b.label] = counts.get(b.label, 0) + 1
    named = [f"{n} {shorten(label, CELL)}" if n > 1 else shorten(label, CELL) for label, n in counts.items()]
    more = f", and {len(named) - NAMED} more classes" if len(named) > NAMED else ""
    return f"{plural(len(shown), 'object')}: {', '.join(named[:NAMED])}{more}"


def _scaled(b: Box, scale: float) -> Box:
    return replace(b, x1=b.x1 * scale, y1=b.y1 * scale, x2=b.x2 * scale, y2=b.y2 * scale)


def _lines(answers: Sequence[Answer]) -> str:
    """Return a line of text for each row: what tells it, the answer, a bar of the score, and the texts."""
    if not answers:
        return "(no rows)"
    texts = any(a.texts for a in answers)
    rows = [[*_names(answers), "prediction", "", "score", *(["text"] if texts else [])]]
    for a in answers:
        score = a.score if a.error is None else None
        filled = "" if score is None else "█" * round(BAR * score)
        bar = "" if score is None else filled + "░" * (BAR - len(filled))
        said = _reason(a) if a.error is not None else _answer(a)
        words = [shorten(" | ".join(a.texts), LINE)] if texts and any(a.texts) else [""] if texts else []
        rows.append([*map(_value, a.columns.values()), said, bar, "" if score is None else percent(score), *words])
    return table(rows, "l" * len(rows[0][:-2]) + "rl" if texts else "l" * (len(rows[0]) - 1) + "r", indent="  ")


def _names(answers: Sequence[Answer]) -> list[str]:
    return [shorten(name, CELL) for name in answers[0].columns] if answers else []


def _value(value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, float) else shorten(value, CELL)
