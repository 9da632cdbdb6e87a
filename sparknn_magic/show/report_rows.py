"""Sections of the report on rows that are no pictures: numbers learnt, and the worst mistakes."""

from collections.abc import Sequence
from typing import Any

from sparknn_magic.show import figures
from sparknn_magic.show.example import Numbers, Row
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.parts import section, table, themed
from sparknn_magic.show.words import number, percent, plural, shorten

MOST_ROWS = 20
MOST_COLUMNS = 8  # of a row


def number_figures(numbers: Numbers | None) -> Markup | None:
    """Return predicted against true values, and how often which error occurs."""
    if numbers is None or not len(numbers.true):
        return None
    points, bars = (
        [draw(numbers, dark=dark) for dark in (False, True)]
        for draw in (figures.predicted_against_true, figures.residuals)
    )
    note = f"Of {plural(len(numbers.true), 'row')}, drawn at random where there are more."
    return section(
        "Predictions",
        note,
        el(
            "div",
            themed(points[0], points[1], "Predicted against true values"),
            themed(bars[0], bars[1], "How often which error occurs"),
            cls="two",
        ),
    )


def mistakes(rows: Sequence[Row]) -> Markup | None:
    """Return a table of rows that the model is most wrong about."""
    if not rows:
        return None
    names = list(rows[0].columns)[:MOST_COLUMNS]
    scored = rows[0].score is not None
    title = "The most confident mistakes" if scored else "The largest errors"
    heads = ["True", "Predicted", *(["Probability"] if scored else ["Error"]), *(shorten(n, 24) for n in names)]
    body = [[*_said(row), *(_value(row.columns[name]) for name in names)] for row in rows[:MOST_ROWS]]
    left_out = len(rows[0].columns) - len(names)
    note = f"Of the columns, {plural(left_out, 'more is', 'more are')} not shown." if left_out else None
    across = el("div", table(heads, body, numbers=(2,) if scored else (0, 1, 2)), cls="across")
    return section(title, note, across)


def _said(row: Row) -> list[str]:
    if row.score is not None:
        return [shorten(row.label, 40), shorten(row.predicted, 40), percent(row.score)]
    return [number(row.label), number(row.predicted), number(row.predicted - row.label)]


def _value(value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, float) else shorten(value, 40)
