"""Results as HTML for a notebook's output: no scripts, nothing loaded, and the colours of the notebook's own theme."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sparknn_magic.show.detections import TITLES, class_rows, detection_figures, is_detection, lowest
from sparknn_magic.show.entities import entity_figures, support
from sparknn_magic.show.layers import layers_html
from sparknn_magic.show.markup import Markup, el, join, linked
from sparknn_magic.show.style import NOTEBOOK
from sparknn_magic.show.text import NOTHING_DONE, model_facts, plan_facts, plan_title
from sparknn_magic.show.words import (
    amount,
    averages_of,
    count,
    custom_figures,
    duration,
    figure,
    near,
    number,
    percent,
    plain,
    plural,
    score_figures,
    shorten,
    size,
    step_text,
    vector_figures,
)

MOST_CLASSES = 100  # in the table of classes that unfolds


def model_html(meta: Mapping[str, Any]) -> str:
    """Return a compact summary of a bundle's meta: headline figures, what the model is, and the classes to unfold."""
    model = meta.get("model") or {}
    said = " · ".join(s for s in (plain(meta["task"]), step_text(model) if model else "") if s)
    facts = [el("tr", el("th", name), el("td", linked(value))) for name, value in model_facts(meta)]
    return scoped(
        el("div", plain(meta["name"]), cls="title"),
        el("div", said, cls="soft"),
        _tiles(meta),
        _classes(meta["metrics"]) if "per_class" in (meta.get("metrics") or {}) else None,
        el("details", el("summary", "About the model"), el("table", el("tbody", *facts), cls="facts")),
    )


def places_html(folder: str | Path, report: str | Path | None = None) -> str:
    """Return where a model and its report are; the report as a link where a notebook in this folder can follow it."""
    parts: list[Any] = ["model folder ", el("code", near(folder))]
    if report is not None:
        shown = near(report)
        reachable = not Path(shown).is_absolute()
        link = el("a", "report.html", href=quote(shown), target="_blank") if reachable else el("code", shown)
        parts += [" · report ", link]
    return scoped(el("div", *parts, cls="places"))


def metrics_html(metrics: Mapping[str, Any]) -> str:
    """Return the figures of a metrics dict, the table of classes unfolded where there is one."""
    classes = _classes(metrics, open_=True) if "per_class" in metrics else None
    return scoped(el("div", *_metric_tiles(metrics), cls="tiles"), classes)


def plan_html(plan: Mapping[str, Any]) -> str:
    """Return the plan of a dry run: what was checked, and what would be run."""
    facts = [el("tr", el("th", name), el("td", value)) for name, value in plan_facts(plan)]
    return scoped(
        el("div", plan_title(plan), cls="title"),
        el("table", el("tbody", *facts), cls="facts"),
        layers_html(plan["layers"]) if plan.get("layers") else None,
        el("details", el("summary", "The network, drawn"), plan["graph"].drawing()) if plan.get("graph") else None,
        el("div", f"not drawn: {plain(plan['not_drawn'])}", cls="soft") if plan.get("not_drawn") else None,
        el("div", NOTHING_DONE, cls="soft"),
    )


def scoped(*parts: Any) -> str:
    """Return the parts in one element with the styles that are theirs alone."""
    return str(el("div", el("style", Markup(NOTEBOOK)), *parts, cls="sparknn"))


def _tile(value: str, name: str) -> Markup:
    return el("div", el("b", value), " ", el("span", name), cls="tile")  # the blank is for pages that drop styles


def _metric_tiles(metrics: Mapping[str, Any]) -> list[Markup]:
    if "dimension" in metrics:
        return [_tile(value, name) for name, value, _ in vector_figures(metrics)]
    left_out = metrics["errors"] + metrics["unknown_labels"]
    rows = _tile(count(metrics["rows"]), "rows" + (f", {count(left_out)} not counted" if left_out else ""))
    own = [_tile(value, name) for name, value, _ in custom_figures(metrics)]
    return [*(_number_tiles(metrics) if "r2" in metrics else _class_tiles(metrics)), *own, rows]


def _number_tiles(metrics: Mapping[str, Any]) -> list[Markup]:
    baseline = {
        k: f" (baseline {number(metrics[f'baseline_{k}'])})" for k in ("rmse", "mae") if f"baseline_{k}" in metrics
    }
    return [
        _tile(figure(metrics["r2"]), "R2"),
        _tile(number(metrics["rmse"]), "RMSE" + baseline.get("rmse", "")),
        _tile(number(metrics["mae"]), "MAE" + baseline.get("mae", "")),
        _tile(number(metrics["median_absolute_error"]), "median absolute error"),
    ]


def _class_tiles(metrics: Mapping[str, Any]) -> list[Markup]:
    if is_detection(metrics):
        return [_tile(value, name) for name, value, _ in detection_figures(metrics) if value != figure(None)]
    if "entities" in metrics:
        return [_tile(value, name) for name, value, _ in entity_figures(metrics)]
    baseline = f"accuracy (baseline {percent(metrics['baseline_accuracy'])})"
    if "hamming_loss" in metrics:
        return _label_tiles(metrics, baseline)
    tiles = [_tile(percent(metrics["accuracy"], 2), baseline), _tile(figure(metrics["macro"]["f1"]), "macro F1")]
    if metrics.get("top5_accuracy") is not None:
        tiles.append(_tile(percent(metrics["top5_accuracy"], 2), "top-5 accuracy"))
    tiles.append(_tile(figure(metrics["log_loss"]), "log loss, nats a row"))
    return tiles + [_tile(value, name) for name, value, _ in score_figures(metrics)]


def _label_tiles(metrics: Mapping[str, Any], baseline: str) -> list[Markup]:
    return [
        _tile(percent(metrics["accuracy"], 2), f"all labels right: {baseline}"),
        _tile(figure(metrics["micro"]["f1"]), "micro F1"),
        _tile(figure(metrics["macro"]["f1"]), "macro F1"),
        _tile(figure(metrics["hamming_loss"]), "Hamming loss"),
    ]


def _tiles(meta: Mapping[str, Any]) -> Markup:
    training, model = meta.get("training") or {}, meta.get("model") or {}
    tiles = _metric_tiles(meta["metrics"]) if meta.get("metrics") else []
    if training.get("epochs"):
        tiles.append(_tile(duration(training.get("seconds")), plural(training["epochs"], "epoch")))
    if model.get("parameters") is not None:
        tiles.append(_tile(amount(model["parameters"]), "parameters"))
    if meta.get("size_bytes"):
        tiles.append(_tile(size(meta["size_bytes"]), "model.onnx"))
    return el("div", *tiles, cls="tiles")


def _classes(metrics: Mapping[str, Any], *, open_: bool = False) -> Markup:
    if is_detection(metrics):
        return _detected_classes(metrics, open_=open_)
    classes, note = metrics["per_class"], None
    if len(classes) > MOST_CLASSES:
        shown = sorted(classes, key=lambda c: (c["support"] == 0, c["f1"]))[:MOST_CLASSES]
        note = el("div", f"The {MOST_CLASSES} classes with the lowest F1 of {len(classes)}.", cls="soft")
        classes = shown
    counted, of_all = support(metrics)
    titles = ("class", "precision", "recall", "F1", counted)
    head = el("tr", *(el("th", title, cls="num" if i else None) for i, title in enumerate(titles)))
    rows = [
        el("tr", el("th", shorten(c["label"], 40)), _three(c), el("td", count(c["support"]), cls="num"))
        for c in classes
    ]
    rows += [
        el("tr", el("td", f"{name} average"), _three(metrics[name]), el("td", count(of_all), cls="num"))
        for name in averages_of(metrics)
    ]
    table = el("table", el("thead", head), el("tbody", *rows))
    return el("details", el("summary", "Classes"), note, table, open="open" if open_ else None)


def _detected_classes(metrics: Mapping[str, Any], *, open_: bool) -> Markup:
    classes, left_out = lowest(metrics, MOST_CLASSES, MOST_CLASSES)
    head = el("tr", *(el("th", title, cls="num" if n else None) for n, title in enumerate(TITLES)))
    listed = el("table", el("thead", head), el("tbody", *class_rows(classes)))
    note = el("div", left_out, cls="soft") if left_out else None
    return el("details", el("summary", "Classes"), note, listed, open="open" if open_ else None)


def _three(figures: Mapping[str, float]) -> Markup:
    return join(el("td", figure(figures[name]), cls="num") for name in ("precision", "recall", "f1"))
