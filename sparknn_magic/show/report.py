"""The report of a model: one HTML file that needs no network, for people to look at, in light and in dark."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparknn_magic.show import figures, report_boxes
from sparknn_magic.show.boxes import Scenes
from sparknn_magic.show.detections import boxes_facts, detection_tiles, is_detection
from sparknn_magic.show.entities import Tagged, entity_tiles
from sparknn_magic.show.entities import mistakes as tagged_mistakes
from sparknn_magic.show.example import Example, Numbers, Row
from sparknn_magic.show.markup import Markup, el, image_uri, join, linked
from sparknn_magic.show.parts import facts, section, themed, tile
from sparknn_magic.show.report_classes import confusion, per_class
from sparknn_magic.show.report_rows import mistakes, number_figures
from sparknn_magic.show.report_scores import scores
from sparknn_magic.show.style import REPORT
from sparknn_magic.show.text import parity_text
from sparknn_magic.show.words import (
    amount,
    count,
    custom_figures,
    duration,
    figure,
    input_text,
    lengths_text,
    measure_name,
    number,
    percent,
    plain,
    plural,
    preprocess_texts,
    queries_note,
    score_figures,
    shorten,
    size,
    step_text,
    vector_figures,
    yaml_text,
)

__all__ = ["Example", "Numbers", "Row", "report_html", "write_report"]

MOST_PICTURES = 16  # of a kind
# Nothing may be loaded and no script may run, whatever a label says.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(
    path: str | os.PathLike[str],
    meta: Mapping[str, Any],
    examples: Sequence[Example] = (),
    *,
    rows: Sequence[Row] = (),
    numbers: Numbers | None = None,
    tagged: Sequence[Tagged] = (),
    scenes: Scenes | None = None,
) -> Path:
    """Write the report to `path` under a temporary name, then rename it: there is no half-written report."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    html = report_html(meta, examples, rows=rows, numbers=numbers, tagged=tagged, scenes=scenes)
    partial.write_text(html, encoding="utf-8")
    partial.replace(target)
    return target


def report_html(
    meta: Mapping[str, Any],
    examples: Sequence[Example] = (),
    *,
    rows: Sequence[Row] = (),
    numbers: Numbers | None = None,
    tagged: Sequence[Tagged] = (),
    scenes: Scenes | None = None,
) -> str:
    """Return the report of a bundle's meta as one HTML document. Parts that the meta says nothing of are left out.

    `examples` are scored pictures; `rows` the worst mistakes among rows that are no pictures, the worst first;
    `numbers` true and predicted values, where numbers are learnt, of rows drawn at random; `tagged` texts with
    true and predicted entities, those with most mistakes first; `scenes` pictures with boxes.
    """
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
    metrics = meta.get("metrics") or {}
    parts = [
        _header(meta),
        _tiles(meta),
        _curves(meta.get("training") or {}),
        number_figures(numbers),
        _pictures(examples),
        report_boxes.scene_sections(scenes, meta["classes"]),
        report_boxes.recall(metrics),
        scores(metrics),
        confusion(metrics, meta["classes"]) if "confusion" in metrics else None,
        _classes(metrics) if "per_class" in metrics else None,
        mistakes(rows),
        tagged_mistakes(tagged),
        _about(meta),
        _spec(meta),
        el("footer", _footer(meta)),
    ]
    return f"<!doctype html>\n{el('html', head, el('body', el('main', *parts)), lang='en')}\n"


def _classes(metrics: Mapping[str, Any]) -> Markup:
    return report_boxes.classes_table(metrics) if is_detection(metrics) else per_class(metrics)


def _header(meta: Mapping[str, Any]) -> Markup:
    model = meta.get("model") or {}
    said = [plain(meta["task"]), step_text(model) if model else None, _when(meta.get("created"))]
    return el("header", el("h1", plain(meta["name"])), el("div", " · ".join(s for s in said if s), cls="soft"))


def _when(created: str | None) -> str | None:
    return plain(created)[:16].replace("T", " ") if created else None


def _tiles(meta: Mapping[str, Any]) -> Markup:
    metrics, training, model = (meta.get(k) or {} for k in ("metrics", "training", "model"))
    tiles = []
    if "r2" in metrics:
        tiles += _number_tiles(metrics)
    elif "dimension" in metrics:
        tiles += [tile(name[0].upper() + name[1:], value, note) for name, value, note in vector_figures(metrics)]
    elif metrics:
        tiles += _class_tiles(metrics)
    tiles += [tile(name, value, note) for name, value, note in custom_figures(metrics)]
    if training.get("epochs"):
        epochs = plural(training["epochs"], "epoch") + (f", best {b}" if (b := training.get("best_epoch")) else "")
        tiles.append(tile("Training", duration(training.get("seconds")), epochs))
        if training.get("rows_per_second"):
            place = f"{plural(training.get('workers', 1), 'worker')} on {plain(training.get('device', '?'))}"
            tiles.append(tile("Speed", f"{count(training['rows_per_second'])}/s", f"rows, {place}"))
    if model.get("parameters") is not None:
        tiles.append(tile("Parameters", amount(model["parameters"]), f"{plain(model['name'])}"))
    if meta.get("size_bytes"):
        tiles.append(tile("Model file", size(meta["size_bytes"]), "model.onnx"))
    lead = _lead_tile(metrics, meta) if metrics and "dimension" not in metrics else None
    return el("div", lead, el("div", *tiles, cls="rest"), cls="tiles")


def _class_tiles(metrics: Mapping[str, Any]) -> list[Markup]:
    if is_detection(metrics):
        return detection_tiles(metrics)
    if "entities" in metrics:
        return entity_tiles(metrics)
    if "hamming_loss" in metrics:
        return _label_tiles(metrics)
    tiles = [
        tile("Macro F1", figure(metrics["macro"]["f1"]), "mean over the classes"),
        tile("Log loss", figure(metrics["log_loss"]), "nats a row"),
    ]
    if metrics.get("top5_accuracy") is not None:
        tiles.append(tile("Top-5 accuracy", percent(metrics["top5_accuracy"], 2), "true class among the first 5"))
    calibration = score_figures(metrics)[:1]  # the rest stands beside its curve
    return tiles + [tile(name[0].upper() + name[1:], value, note) for name, value, note in calibration]


def _label_tiles(metrics: Mapping[str, Any]) -> list[Markup]:
    return [
        tile("Micro F1", figure(metrics["micro"]["f1"]), "over all decisions"),
        tile("Macro F1", figure(metrics["macro"]["f1"]), "mean over the classes"),
        tile("Hamming loss", figure(metrics["hamming_loss"]), "share of wrong decisions"),
        tile("Log loss", figure(metrics["log_loss"]), "nats a decision"),
    ]


def _number_tiles(metrics: Mapping[str, Any]) -> list[Markup]:
    notes = {
        k: f"always the training mean: {number(metrics[f'baseline_{k}'])}" if f"baseline_{k}" in metrics else words
        for k, words in (("rmse", "root of the mean squared error"), ("mae", "mean absolute error"))
    }
    return [
        tile("RMSE", number(metrics["rmse"]), notes["rmse"]),
        tile("MAE", number(metrics["mae"]), notes["mae"]),
        tile("Median error", number(metrics["median_absolute_error"]), "of the absolute errors"),
        tile("Mean error", number(metrics["mean_error"]), "predicted - true"),
    ]


def _lead_tile(metrics: Mapping[str, Any], meta: Mapping[str, Any]) -> Markup:
    """Return the tile of the figure that says most, with a meter from 0 to 1."""
    note = f"{plural(metrics['rows'], 'row')} of {plain(meta.get('evaluated_on', 'test'))}"
    baseline: float | None
    if is_detection(metrics):
        name, share, words, baseline = "mAP at IoU 0.5", metrics["map50"], figure(metrics["map50"]), None
        note += f"; {plural(metrics['boxes'], 'box', 'boxes')}, mean of the classes' average precision"
    elif "entities" in metrics:
        name, share, words, baseline = "F1", metrics["f1"], figure(metrics["f1"]), None
        note += "; of whole entities: start, end and label are right"
    elif "r2" in metrics:
        name, share, words, baseline = "R2", metrics["r2"], figure(metrics["r2"]), None
        note += "; the share of the variance that is explained"
    else:
        name = "All labels right" if "hamming_loss" in metrics else "Accuracy"
        share, baseline = metrics["accuracy"], metrics["baseline_accuracy"]
        words = percent(share, 2)
        always = "set of labels" if "hamming_loss" in metrics else "class"
        note += f"; the most frequent {always} alone gives {percent(baseline)}"
    meter = el(
        "div",
        el("i", style=f"width: {100 * max(share or 0.0, 0.0):.2f}%"),
        el("u", style=f"left: {100 * baseline:.2f}%") if baseline is not None else None,
        cls="meter",
        title="the upright line is the baseline" if baseline is not None else None,
    )
    return el("div", el("span", name, cls="name"), el("b", words), meter, el("span", note), cls="tile lead")


def _curves(training: Mapping[str, Any]) -> Markup | None:
    history, best = training.get("history"), training.get("best_epoch")
    if not history:
        return None
    measure = training.get("figure", "accuracy")
    drawn = [figures.learning_curves(history, best, measure=measure, dark=dark) for dark in (False, True)]
    note = f"The weights kept are those of epoch {best}." if best else None
    alt = f"Loss and {measure_name(measure)} by epoch"
    return section("Learning curves", note, themed(drawn[0], drawn[1], alt))


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
    return section("Pictures", "With the predicted class and its probability; mistakes have a dashed frame.", *parts)


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


def _about(meta: Mapping[str, Any]) -> Markup:
    rows, metrics = meta.get("rows") or {}, meta.get("metrics") or {}
    data = [(words, count(rows.get(split))) for split, words in _SPLITS if rows.get(split) is not None]
    data += [("Dropped", f"{count(d['rows'])}: {plain(d['reason'])}") for d in rows.get("dropped") or []]
    if metrics.get("errors"):
        data.append(("Without a prediction", f"{count(metrics['errors'])}, not counted in any figure"))
    if metrics.get("unknown_labels"):
        what = "With boxes that cannot be used" if is_detection(metrics) else "With an unknown label"
        data.append((what, f"{count(metrics['unknown_labels'])}, not counted in any figure"))
    if lengths := lengths_text(meta):
        data.append(("Texts", lengths))
    data += boxes_facts(meta)
    if meta.get("classes"):
        data.append(("Classes", count(len(meta["classes"]))))
    statistics = meta.get("statistics") or {}
    for key, words in (("mean", "mean"), ("std", "deviation")):
        if isinstance(found := statistics.get(key), float):
            data.append((f"Label's {words}", number(found)))
        elif found is not None:
            data.append((f"Pixel {words}", ", ".join(f"{x:.4f}" for x in found)))
    return el("div", section("Data", None, facts(data)), section("Model", None, facts(_model_facts(meta))), cls="two")


_SPLITS = (
    ("train", "Rows to train"),
    ("validation", "Rows to validate"),
    ("test", "Rows to test"),
    ("read", "Rows that were read"),
)


def _model_facts(meta: Mapping[str, Any]) -> list[tuple[str, Any]]:
    model, training = meta.get("model") or {}, meta.get("training") or {}
    facts = [
        ("Architecture", step_text(model) if model else None),
        ("Source", linked(plain(model["source"])) if model.get("source") else None),
        ("Licence", plain(model.get("licence") or "")),
        ("Input", input_text(meta["input"]) if meta.get("input") else None),
        ("Preprocessing", ", ".join(preprocess_texts(meta)) or "none"),
        ("SQL function", queries_note(meta)),
        *(_training_facts(training) if training.get("epochs") else []),
        ("ONNX opset", meta.get("opset")),
        ("Parity", parity_text(meta.get("parity") or {})),
    ]
    return facts


def _training_facts(training: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("Batch size", training.get("batch_size")),
        ("Precision", plain(training.get("precision") or "")),
        ("Seed", training.get("seed")),
    ]


def _spec(meta: Mapping[str, Any]) -> Markup | None:
    parts = []
    if meta.get("spec"):
        parts.append(section("Experiment", None, el("pre", yaml_text(meta["spec"]))))
    if meta.get("versions"):
        parts.append(section("Versions", None, facts([(plain(k), plain(v)) for k, v in meta["versions"].items()])))
    return el("div", *parts, cls="two") if len(parts) == 2 else join(parts)


def _footer(meta: Mapping[str, Any]) -> str:
    version = (meta.get("versions") or {}).get("sparknn-magic")
    return f"sparknn-magic {plain(version)}" if version else "sparknn-magic"
