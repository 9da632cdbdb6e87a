"""Sections of the report on a classifier: its confusion matrix and its classes."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparknn_magic.show import figures
from sparknn_magic.show.entities import support
from sparknn_magic.show.markup import Markup, el, join
from sparknn_magic.show.parts import section, table, themed
from sparknn_magic.show.words import amount, averages_of, count, figure, percent, plain, shorten

MOST_CELLS = 24  # classes up to which the confusion matrix is a table of numbers; a picture beyond
MOST_PAIRS = 10


def confusion(metrics: Mapping[str, Any], classes: Sequence[str]) -> Markup:
    """Return the confusion matrix, a table of numbers or a picture, beside the most confused pairs."""
    note = "Rows are the true classes, columns the predicted ones. The shade is the share of the row."
    pairs = _pairs(metrics, classes)
    if len(classes) <= MOST_CELLS:
        matrix = el("div", _matrix(metrics["confusion"], classes), cls="across")
    else:
        drawn = [figures.confusion_matrix(metrics, classes, dark=dark) for dark in (False, True)]
        matrix = themed(drawn[0], drawn[1], "Confusion matrix")
    return section("Confusion matrix", note, el("div", matrix, pairs, cls="split"))


def _matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    names = [shorten(c, 22) for c in classes]
    top = el(
        "tr",
        el("td", style="border: 0"),
        el("td", style="border: 0"),
        el("th", "predicted", cls="axis", colspan=len(classes)),
    )
    columns = [el("th", el("span", name), title=plain(c)) for name, c in zip(names, classes, strict=True)]
    head = el("thead", top, el("tr", el("td", style="border: 0"), el("td", style="border: 0"), *columns))
    rows = []
    for i, (counts, name) in enumerate(zip(confusion, names, strict=True)):
        side = el("th", el("span", "true"), cls="axis side", rowspan=len(classes)) if i == 0 else None
        cells = [_cell(i, j, n, sum(counts), classes) for j, n in enumerate(counts)]
        rows.append(el("tr", side, el("th", name, scope="row", title=plain(classes[i])), *cells))
    return el("table", head, el("tbody", *rows), cls="matrix")


def _cell(i: int, j: int, n: int, of: int, classes: Sequence[str]) -> Markup:
    share = n / of if of else 0.0
    strength = share**0.5 if share else 0.0  # square roots, so that rare mistakes can be seen
    kind = "zero" if not n else "deep" if strength > 0.55 else None
    colour = "hit" if i == j else "miss"
    words = f"{plain(classes[i])} found" if i == j else f"{plain(classes[i])} taken for {plain(classes[j])}"
    style = f"background: rgba(var(--{colour}), {strength:.3f})" if n else None
    return el(
        "td",
        count(n) if n < 100_000 else amount(n),
        cls=kind,
        style=style,
        title=f"{words}: {n:,} of {of:,} ({percent(share)})",
    )


def _pairs(metrics: Mapping[str, Any], classes: Sequence[str]) -> Markup | None:
    confusion = metrics["confusion"]
    pairs = [(n, i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) if n and i != j]
    if not pairs:
        return el("p", "No row was taken for another class.", cls="note pairs")
    rows = [
        (_taken(classes[i], classes[j]), count(n), percent(n / sum(confusion[i])))
        for n, i, j in sorted(pairs, key=lambda p: (-p[0], p[1], p[2]))[:MOST_PAIRS]
    ]
    return el("div", table(("Most confused", "Rows", "Of the class"), rows, numbers=(1, 2)), cls="pairs")


def _taken(true: str, predicted: str) -> Markup:
    # Each on its own: a label written from right to left must not turn its neighbour around.
    return join([el("bdi", shorten(true, 40)), " taken for ", el("bdi", shorten(predicted, 40))])


def per_class(metrics: Mapping[str, Any]) -> Markup:
    """Return precision, recall and F1 of each class."""
    counted, of_all = support(metrics)
    heads = [
        el("th", h, cls="num" if i else None, scope="col") for i, h in enumerate(("Class", "Precision", "Recall", "F1"))
    ]
    head = el("tr", *heads, el("th", "", scope="col"), el("th", counted.capitalize(), cls="num", scope="col"))
    rows = []
    for each in metrics["per_class"]:
        bar = el("td", el("div", el("i", style=f"width: {100 * each['f1']:.1f}%")), cls="bar")
        cells = [el("td", figure(each[k]), cls="num") for k in ("precision", "recall", "f1")]
        label = el("th", shorten(each["label"], 60), scope="row")
        rows.append(el("tr", label, *cells, bar, el("td", count(each["support"]), cls="num")))
    averages = []
    for name in averages_of(metrics):
        cells = [el("td", figure(metrics[name][k]), cls="num") for k in ("precision", "recall", "f1")]
        averages.append(
            el(
                "tr",
                el("td", f"{name} average"),
                *cells,
                el("td", cls="bar"),
                el("td", count(of_all), cls="num"),
            )
        )
    listed = el("table", el("thead", head), el("tbody", *rows), el("tfoot", *averages), cls="list")
    return section("Classes", "The bar is F1.", el("div", listed, cls="scroll"))
