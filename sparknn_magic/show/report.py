"""The report of a model: one HTML file that needs no network, for people to look at, in light and in dark."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sparknn_magic.show import figures
from sparknn_magic.show.example import Example
from sparknn_magic.show.markup import Markup, data_uri, el, image_uri, join, linked
from sparknn_magic.show.style import REPORT
from sparknn_magic.show.text import parity_text
from sparknn_magic.show.words import (
    amount,
    count,
    duration,
    figure,
    percent,
    plain,
    plural,
    shape_text,
    shorten,
    size,
    step_text,
    yaml_text,
)

__all__ = ["Example", "report_html", "write_report"]

MOST_CELLS = 24  # classes up to which the confusion matrix is a table of numbers; a picture beyond
MOST_PICTURES = 16  # of a kind
MOST_PAIRS = 10
# Nothing may be loaded and no script may run, whatever a label says.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(path: str | os.PathLike[str], meta: Mapping[str, Any], examples: Sequence[Example] = ()) -> Path:
    """Write the report to `path` under a temporary name, then rename it: there is no half-written report."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.write_text(report_html(meta, examples), encoding="utf-8")
    partial.replace(target)
    return target


def report_html(meta: Mapping[str, Any], examples: Sequence[Example] = ()) -> str:
    """Return the report of a bundle's meta as one HTML document. Parts that the meta says nothing of are left out."""
    name = plain(meta["name"])
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("title", f"{name} - sparknn report"),
        el("style", Markup(REPORT)),
    )
    metrics = meta.get("metrics")
    parts = [
        _header(meta),
        _tiles(meta),
        _curves(meta.get("training") or {}),
        _pictures(examples),
        *((_confusion(metrics, meta["classes"]), _per_class(metrics)) if metrics else ()),
        _about(meta),
        _spec(meta),
        el("footer", _footer(meta)),
    ]
    return f"<!doctype html>\n{el('html', head, el('body', el('main', *parts)), lang='en')}\n"


def _header(meta: Mapping[str, Any]) -> Markup:
    model = meta.get("model") or {}
    said = [plain(meta["task"]), step_text(model) if model else None, _when(meta.get("created"))]
    return el("header", el("h1", plain(meta["name"])), el("div", " · ".join(s for s in said if s), cls="soft"))


def _when(created: str | None) -> str | None:
    return plain(created)[:16].replace("T", " ") if created else None


def _tiles(meta: Mapping[str, Any]) -> Markup:
    metrics, training, model = (meta.get(k) or {} for k in ("metrics", "training", "model"))
    tiles = []
    if metrics:
        tiles.append(_tile("Macro F1", figure(metrics["macro"]["f1"]), "mean over the classes"))
        tiles.append(_tile("Log loss", figure(metrics["log_loss"]), "nats a row"))
        if metrics.get("top5_accuracy") is not None:
            tiles.append(_tile("Top-5 accuracy", percent(metrics["top5_accuracy"], 2), "true class among the first 5"))
    if training:
        epochs = plural(training["epochs"], "epoch") + (f", best {b}" if (b := training.get("best_epoch")) else "")
        tiles.append(_tile("Training", duration(training.get("seconds")), epochs))
        if training.get("rows_per_second"):
            place = f"{plural(training.get('workers', 1), 'worker')} on {plain(training.get('device', '?'))}"
            tiles.append(_tile("Speed", f"{count(training['rows_per_second'])}/s", f"rows, {place}"))
    if model.get("parameters") is not None:
        tiles.append(_tile("Parameters", amount(model["parameters"]), f"{plain(model['name'])}"))
    if meta.get("size_bytes"):
        tiles.append(_tile("Model file", size(meta["size_bytes"]), "model.onnx"))
    lead = _accuracy_tile(metrics, meta) if metrics else None
    return el("div", lead, el("div", *tiles, cls="rest"), cls="tiles")


def _tile(name: str, value: str, note: str) -> Markup:
    return el("div", el("span", name, cls="name"), el("b", value), el("span", note), cls="tile")


def _accuracy_tile(metrics: Mapping[str, Any], meta: Mapping[str, Any]) -> Markup:
    accuracy, baseline = metrics["accuracy"], metrics["baseline_accuracy"]
    rows = f"{plural(metrics['rows'], 'row')} of {plain(meta.get('evaluated_on', 'test'))}"
    meter = el(
        "div",
        el("i", style=f"width: {100 * accuracy:.2f}%"),
        el("u", style=f"left: {100 * baseline:.2f}%"),
        cls="meter",
        title="the upright line is the baseline",
    )
    note = f"{rows}; the most frequent class alone gives {percent(baseline)}"
    return el(
        "div",
        el("span", "Accuracy", cls="name"),
        el("b", percent(accuracy, 2)),
        meter,
        el("span", note),
        cls="tile lead",
    )


def _section(title: str, note: str | None, *children: Any) -> Markup:
    return el("section", el("h2", title), el("p", note, cls="note") if note else None, *children)


def _themed(light: Figure, dark: Figure, alt: str) -> Markup:
    """Return a figure as a picture that follows the page's colours."""
    addresses = [data_uri(figures.figure_svg(f, transparent=True).encode(), "image/svg+xml") for f in (light, dark)]
    source = el("source", srcset=addresses[1], media="(prefers-color-scheme: dark)")
    return el("picture", source, el("img", src=addresses[0], alt=alt))


def _curves(training: Mapping[str, Any]) -> Markup | None:
    history, best = training.get("history"), training.get("best_epoch")
    if not history:
        return None
    drawn = [figures.learning_curves(history, best, dark=dark) for dark in (False, True)]
    note = f"The weights kept are those of epoch {best}." if best else None
    return _section("Learning curves", note, _themed(drawn[0], drawn[1], "Loss and accuracy by epoch"))


def _pictures(examples: Sequence[Example]) -> Markup | None:
    if not examples:
        return None
    wrong = sorted((e for e in examples if not e.right), key=lambda e: -e.score)[:MOST_PICTURES]
    right = _by_turns([e for e in examples if e.right])[:MOST_PICTURES]
    parts: list[Any] = []
    if wrong:
        parts += [el("h3", "The most confident mistakes"), el("div", *map(_figure, wrong), cls="pictures")]
    if right:
        parts += [el("h3", "Right answers"), el("div", *map(_figure, right), cls="pictures")]
    return _section("Pictures", "With the predicted class and its probability; mistakes have a dashed frame.", *parts)


def _by_turns(examples: Sequence[Example]) -> list[Example]:
    """Return the examples so that every class has its turn before any has a second."""
    seen: dict[str, int] = {}
    turns = []
    for example in examples:
        seen[example.label] = seen.get(example.label, 0) + 1
        turns.append(seen[example.label])
    return [e for _, e in sorted(zip(turns, examples, strict=True), key=lambda pair: pair[0])]


def _figure(example: Example) -> Markup:
    said = f"{'✓' if example.right else '✗'} {shorten(example.predicted, 40)}"
    score = percent(example.score, 0)
    more = score if example.right else f"{score}, is {shorten(example.label, 40)}"
    small = "small" if max(example.image.shape[:2]) < 64 else None
    alt = f"{plain(example.label)}, predicted as {plain(example.predicted)}"
    picture = el("img", src=image_uri(example.image), alt=alt, cls=small)
    caption = el(
        "figcaption", el("b", said, title=plain(example.predicted)), el("span", more, title=plain(example.label))
    )
    return el("figure", picture, caption, cls=None if example.right else "miss")


def _confusion(metrics: Mapping[str, Any], classes: Sequence[str]) -> Markup:
    note = "Rows are the true classes, columns the predicted ones. The shade is the share of the row."
    pairs = _pairs(metrics, classes)
    if len(classes) <= MOST_CELLS:
        matrix = el("div", _matrix(metrics["confusion"], classes), cls="across")
    else:
        drawn = [figures.confusion_matrix(metrics, classes, dark=dark) for dark in (False, True)]
        matrix = _themed(drawn[0], drawn[1], "Confusion matrix")
    return _section("Confusion matrix", note, el("div", matrix, pairs, cls="split"))


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
    table = _table(("Most confused", "Rows", "Of the class"), rows, numbers=(1, 2))
    return el("div", table, cls="pairs")


def _taken(true: str, predicted: str) -> Markup:
    # Each on its own: a label written from right to left must not turn its neighbour around.
    return join([el("bdi", shorten(true, 40)), " taken for ", el("bdi", shorten(predicted, 40))])


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[int] = ()) -> Markup:
    kinds = ["num" if i in numbers else None for i in range(len(head))]
    top = el("tr", *(el("th", name, scope="col", cls=kind) for name, kind in zip(head, kinds, strict=True)))
    body = [el("tr", *(el("td", cell, cls=kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows]
    return el("table", el("thead", top), el("tbody", *body), cls="list")


def _per_class(metrics: Mapping[str, Any]) -> Markup:
    heads = [
        el("th", h, cls="num" if i else None, scope="col") for i, h in enumerate(("Class", "Precision", "Recall", "F1"))
    ]
    head = el("tr", *heads, el("th", "", scope="col"), el("th", "Rows", cls="num", scope="col"))
    rows = []
    for each in metrics["per_class"]:
        bar = el("td", el("div", el("i", style=f"width: {100 * each['f1']:.1f}%")), cls="bar")
        cells = [el("td", figure(each[k]), cls="num") for k in ("precision", "recall", "f1")]
        label = el("th", shorten(each["label"], 60), scope="row")
        rows.append(el("tr", label, *cells, bar, el("td", count(each["support"]), cls="num")))
    averages = []
    for name in ("macro", "weighted"):
        cells = [el("td", figure(metrics[name][k]), cls="num") for k in ("precision", "recall", "f1")]
        averages.append(
            el(
                "tr",
                el("td", f"{name} average"),
                *cells,
                el("td", cls="bar"),
                el("td", count(metrics["rows"]), cls="num"),
            )
        )
    table = el("table", el("thead", head), el("tbody", *rows), el("tfoot", *averages), cls="list")
    return _section("Classes", "The bar is F1.", el("div", table, cls="scroll"))


def _facts(rows: Sequence[tuple[str, Any]]) -> Markup:
    body = [el("tr", el("th", name, scope="row"), el("td", value)) for name, value in rows if value not in (None, "")]
    return el("table", el("tbody", *body), cls="list facts")


def _about(meta: Mapping[str, Any]) -> Markup:
    rows, metrics = meta.get("rows") or {}, meta.get("metrics") or {}
    data = [(f"Rows to {words}", count(rows.get(split))) for split, words in _SPLITS if rows.get(split) is not None]
    data += [("Dropped", f"{count(d['rows'])}: {plain(d['reason'])}") for d in rows.get("dropped") or []]
    if metrics.get("errors"):
        data.append(("Without a prediction", f"{count(metrics['errors'])}, not counted in any figure"))
    if metrics.get("unknown_labels"):
        data.append(("With an unknown label", f"{count(metrics['unknown_labels'])}, not counted in any figure"))
    data.append(("Classes", count(len(meta.get("classes") or []))))
    statistics = meta.get("statistics") or {}
    data += [(f"Pixel {n}", ", ".join(f"{x:.4f}" for x in statistics[k])) for k, n in _PIXELS if k in statistics]
    return el(
        "div", _section("Data", None, _facts(data)), _section("Model", None, _facts(_model_facts(meta))), cls="two"
    )


_SPLITS = (("train", "train"), ("validation", "validate"), ("test", "test"))
_PIXELS = (("mean", "mean"), ("std", "deviation"))


def _model_facts(meta: Mapping[str, Any]) -> list[tuple[str, Any]]:
    model, training = meta.get("model") or {}, meta.get("training") or {}
    facts = [
        ("Architecture", step_text(model) if model else None),
        ("Source", linked(plain(model["source"])) if model.get("source") else None),
        ("Licence", plain(model.get("licence") or "")),
        ("Input", shape_text(meta["input"]) if meta.get("input") else None),
        ("Preprocessing", ", ".join(step_text(s) for s in meta.get("preprocess") or []) or "none"),
        ("Batch size", training.get("batch_size")),
        ("Precision", plain(training.get("precision") or "")),
        ("Seed", training.get("seed")),
        ("ONNX opset", meta.get("opset")),
        ("Parity", parity_text(meta.get("parity") or {})),
    ]
    return facts


def _spec(meta: Mapping[str, Any]) -> Markup | None:
    parts = []
    if meta.get("spec"):
        parts.append(_section("Experiment", None, el("pre", yaml_text(meta["spec"]))))
    if meta.get("versions"):
        parts.append(_section("Versions", None, _facts([(plain(k), plain(v)) for k, v in meta["versions"].items()])))
    return el("div", *parts, cls="two") if len(parts) == 2 else join(parts)


def _footer(meta: Mapping[str, Any]) -> str:
    version = (meta.get("versions") or {}).get("sparknn-magic")
    return f"sparknn-magic {plain(version)}" if version else "sparknn-magic"
