"""What a preview has found, as text and as HTML in the notebook's own colours. Knows no Spark."""

from collections.abc import Sequence
from typing import Any

from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.preview_grid import GRID, grid_html, grid_text, twins_html
from sparknn_magic.show.words import MISSING, count, number, percent, plain, plural, shorten, table

MOST_CLASSES = 40  # in a table of classes
CELL = 48  # columns of a value
COUNTED = 40  # different values up to which Spark's estimate is their number
PERCENTS = {0.0: "least", 0.05: "5 %", 0.25: "25 %", 0.5: "median", 0.75: "75 %", 0.95: "95 %", 1.0: "largest"}
COLUMN_TITLES = ("column", "kind", "nulls", "values", "least", "median", "largest", "remark")
STYLE = """
.sparknn h4 { font-size: 14.5px; font-weight: 620; margin: 14px 0 4px; }
.sparknn .bars td:last-child { width: 46%; vertical-align: middle; }
.sparknn .bars i { display: block; height: 9px; min-width: 1px; border-radius: 4px; background: #3b8fc4; }
.sparknn .sides { display: flex; flex-wrap: wrap; gap: 0 36px; }
.sparknn .stop { border-left: 3px solid #d55e00; padding: 4px 10px; margin: 8px 0; }
"""


def preview_text(task: str, source: str, found: Any) -> str:
    """Return the report as columns of text."""
    parts = [f"{plain(task)}: {shorten(source, 80)}", f"  {rows_words(found)}"]
    parts += [f"training would stop: {plain(words)}" for words in found.stops]
    for title, lines, align in _tables(found):
        parts.append(f"\n{title}\n{table(lines, align, indent='  ')}")
    for copies in found.copies:
        parts.append(f"\n{copies.title.lower()}: {copies_words(found.kind, copies)}")
        parts += [f"  {_twins_text(twins)}" for twins in copies.examples]
    if found.grid is not None:
        parts.append(grid_text(found.grid, found.kind))
    return "\n".join([*parts, *(f"note: {plain(note)}" for note in found.notes)])


def preview_html(task: str, source: str, found: Any) -> str:
    """Return the report as HTML; it loads nothing, and every text of the rows is escaped."""
    parts: list[Any] = [
        el("style", Markup(STYLE + GRID)),
        el("div", f"preview: {plain(task)}", cls="title"),
        el("div", f"{shorten(source, 120)} · {rows_words(found)}", cls="soft"),
        *(el("div", "Training would stop: ", plain(words), cls="stop") for words in found.stops),
    ]
    if found.grid is not None:
        parts.append(grid_html(found.grid, found.kind))
    parts.append(_classes_html(found.classes))
    if found.broken:
        parts += [el("h4", broken_words(found)), _rows_html(("reason", "rows", "one of them"), _broken(found), (1,))]
    for copies in found.copies:
        parts += [el("h4", copies.title), el("div", copies_words(found.kind, copies), cls="soft")]
        parts.append(twins_html(copies.examples))
    if found.spreads:
        lines = _spreads(found)
        parts += [el("h4", "Spread"), _rows_html(lines[0], lines[1:], range(1, 8))]
    parts += [_bars_html(each) for each in found.spreads if each.bars]
    parts.append(el("div", *(_counted_html(each) for each in found.counts), cls="sides"))
    if found.columns:
        lines = _columns(found)
        parts += [el("h4", "Columns of the training rows"), _rows_html(lines[0], lines[1:], (2, 3, 4, 5, 6))]
    if found.facts:
        facts = (el("tr", el("th", name), el("td", plain(text))) for name, text in found.facts)
        parts += [el("h4", "As training reads them"), el("table", el("tbody", *facts), cls="facts")]
    parts += [el("div", plain(note), cls="soft") for note in found.notes]
    return scoped(*parts)


def rows_words(found: Any) -> str:
    """Return how many rows there are, and how many of them were looked at."""
    sides = ", ".join(f"{count(n)} {name}" for name, n in found.rows.items())
    looked = f"; a sample of {count(found.looked)} of them was looked at" if found.looked < found.total else ""
    return f"{sides or 'no rows'}{looked}"


def broken_words(found: Any) -> str:
    """Return how many rows training would leave out."""
    total = sum(each.rows for each in found.broken if not each.reason.startswith("box "))
    return f"Left out by training: {plural(total, 'row')}"


def copies_words(kind: str, copies: Any) -> str:
    """Return what is known of rows that occur more than once, in a sentence."""
    if not copies.groups:
        return f"none among the {kind} ({copies.how})."
    if copies.pairs:
        said = f"{count(copies.rows)} {kind} look like another one ({copies.how})"
    else:
        said = f"{count(copies.rows)} {kind} are copies of each other ({copies.how}): {count(copies.extra)} too many"
    if copies.leaked:
        held = " and ".join(f"{count(n)} of the {name} rows" for name, n in copies.leaked.items())
        said += f"; {held} {'look like a training row' if copies.pairs else 'stand among the training rows too'}"
    if copies.conflicting:
        said += f"; {plural(copies.conflicting, 'of them has', 'of them have')} different labels"
    return f"{said}."


def _twins_text(twins: Any) -> str:
    texts = " | ".join(shorten(text, CELL) for text in twins.texts)
    return f"{plain(twins.words)}{': ' + texts if texts else ''}"


def _tables(found: Any) -> list[tuple[str, list[list[str]], str]]:
    """Return the title, the lines and the alignment of each table of the text."""
    tables: list[tuple[str, list[list[str]], str]] = []
    if found.classes is not None and found.classes.values:
        lines = _class_lines(found.classes)
        tables.append((classes_words(found.classes), lines, "l" + "r" * (len(lines[0]) - 1)))
    if found.broken:
        tables.append((broken_words(found), [["reason", "rows", "one of them"], *_broken(found)], "lrl"))
    if found.spreads:
        tables.append(("spread", _spreads(found), "l" + "r" * 7))
    for each in found.counts:
        tables.append((each.name, [[shorten(v, CELL), count(n["rows"])] for v, n in each.values], "lr"))
    if found.columns:
        tables.append(("columns of the training rows", _columns(found), "llrrrrrl"))
    if found.facts:
        tables.append(("as training reads them", [[name, plain(text)] for name, text in found.facts], "ll"))
    return tables


def classes_words(classes: Any) -> str:
    """Return how many classes there are, and how uneven they are."""
    training = [rows["train"] for label, rows in classes.values if label is not None and rows.get("train")]
    if len(training) < 2:
        return f"{classes.name}: {count(len(training))}"
    ratio = max(training) / min(training)
    share = max(training) / sum(training)
    return f"{classes.name}: {len(training)}; the largest has {percent(share)}, {number(ratio)} times the smallest"


def _class_lines(classes: Any) -> list[list[str]]:
    splits = [name for name in ("train", "validation", "test") if any(name in rows for _, rows in classes.values)]
    lines = [["", *splits]]
    for label, rows in classes.values[:MOST_CLASSES]:
        name = MISSING + " (null)" if label is None else shorten(label, CELL)
        lines.append([name, *(count(rows.get(split, 0)) for split in splits)])
    left = len(classes.values) - MOST_CLASSES
    return [*lines, *([[f"… {left:,} more", *("" for _ in splits)]] if left > 0 else [])]


def _classes_html(classes: Any) -> list[Markup]:
    if classes is None or not classes.values:
        return []
    lines = _class_lines(classes)
    most = max(sum(rows.values()) for _, rows in classes.values)
    shares = [sum(rows.values()) / most for _, rows in classes.values[:MOST_CLASSES]]
    head = el("tr", *(el("th", name, cls="num" if n else None) for n, name in enumerate(lines[0])), el("th", ""))
    body = []
    for n, line in enumerate(lines[1:]):
        bar = el("i", style=f"width: {100 * shares[n]:.1f}%") if n < len(shares) else None
        cells = [el("td", text, cls="num") for text in line[1:]]
        body.append(el("tr", el("th", line[0]), *cells, el("td", bar)))
    words = classes_words(classes)
    return [
        el("h4", words[0].upper() + words[1:]),
        el("table", el("thead", head), el("tbody", *body), cls="bars"),
    ]


def _broken(found: Any) -> list[list[str]]:
    return [[shorten(each.reason, 100), count(each.rows), shorten(each.example, 100)] for each in found.broken]


def _spreads(found: Any) -> list[list[str]]:
    lines = [["", *PERCENTS.values()]]
    for each in found.spreads:
        name = f"{each.name}, {each.unit}" if each.unit else each.name
        lines.append([name, *(number(each.quantiles.get(share)) for share in PERCENTS)])
    return lines


def _columns(found: Any) -> list[list[str]]:
    lines = [list(COLUMN_TITLES)]
    for each in found.columns:
        ends = (number(each.quantiles[at]) if each.quantiles else "" for at in (0.0, 0.5, 1.0))
        nulls = f"{percent(each.nulls / each.rows)}" if each.nulls and each.rows else "0"
        about = "~" if each.distinct > COUNTED else ""
        lines.append([shorten(each.name, 32), each.kind, nulls, f"{about}{count(each.distinct)}", *ends, _remark(each)])
    return lines


def _remark(each: Any) -> str:
    if each.nulls == each.rows:
        return "all null: leave it out"
    if each.constant:
        return "constant: it tells nothing"
    parts = [f"{count(each.infinite)} infinite"] if each.infinite else []
    if each.lengths is not None:
        low, high = each.lengths
        parts.append(f"{low} numbers" if low == high else f"{low} to {high} numbers: one length is needed")
    if each.top:
        parts.append(", ".join(f"{shorten(value, 20)} {percent(n / each.rows, 0)}" for value, n in each.top))
    if each.mean is not None:
        parts.append(f"mean {number(each.mean)}")
    return shorten("; ".join(parts), 100)


def _rows_html(titles: Sequence[str], lines: Sequence[Sequence[str]], numbers: Any) -> Markup:
    kinds = ["num" if n in numbers else None for n in range(len(titles))]
    head = el("tr", *(el("th", title, cls=kind) for title, kind in zip(titles, kinds, strict=True)))
    body = (el("tr", *(el("td" if n else "th", cell, cls=kinds[n]) for n, cell in enumerate(line))) for line in lines)
    return el("table", el("thead", head), el("tbody", *body))


def _bars_html(spread: Any) -> list[Markup]:
    return [el("h4", f"{spread.name[0].upper()}{spread.name[1:]}, {spread.unit}"), _bars(spread.bars)]


def _counted_html(counted: Any) -> Markup:
    values = [(MISSING if value is None else value, rows["rows"]) for value, rows in counted.values]
    left = counted.distinct - len(values)
    more = el("div", f"… {left:,} more", cls="soft") if left > 0 else None
    return el("div", el("h4", f"{counted.name[0].upper()}{counted.name[1:]}"), _bars(values), more)


def _bars(values: Sequence[tuple[str, int]]) -> Markup:
    most = max((n for _, n in values), default=1) or 1
    body = [
        el(
            "tr",
            el("th", shorten(value, CELL)),
            el("td", count(n), cls="num"),
            el("td", el("i", style=f"width: {100 * n / most:.1f}%; min-width: {1 if n else 0}px")),
        )
        for value, n in values
    ]
    return el("table", el("tbody", *body), cls="bars", style="min-width: 260px")
