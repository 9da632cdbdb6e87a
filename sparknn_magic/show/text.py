"""Results as plain text of fixed width: for a terminal, a log, and the text half of a notebook's output."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparknn_magic.show.catalogue import item_help
from sparknn_magic.show.detections import boxes_facts, class_lines, detection_figures, is_detection, parity_words
from sparknn_magic.show.entities import entity_figures, support
from sparknn_magic.show.layers import layers_text
from sparknn_magic.show.words import (
    amount,
    averages_of,
    count,
    custom_figures,
    duration,
    figure,
    input_text,
    labels_baseline,
    lengths_text,
    number,
    options_text,
    plain,
    plural,
    preprocess_texts,
    queries_note,
    score_figures,
    shorten,
    size,
    step_text,
    table,
    vector_figures,
)

__all__ = ["item_help", "metrics_table", "model_text", "plan_text"]

MOST_CLASSES = 24  # in a table of classes; of more, the worst are shown
LABEL = 32  # columns of a class's name


def metrics_table(metrics: Mapping[str, Any], *, evaluated_on: str | None = None) -> str:
    """Return the figures of a metrics dict: the overall ones beside the baseline, then a line for each class.

    Of more than 24 classes the 20 with the lowest F1 are shown, and how many are left out is said. Metrics of numbers
    have no such lines. Those of rows with any number of labels are known by their Hamming loss.
    """
    if "r2" in metrics:
        return _of_numbers(metrics, evaluated_on) + "\n"
    if "dimension" in metrics:
        return table([list(row) for row in vector_figures(metrics)], "lrl") + "\n"
    return f"{_overall(metrics, evaluated_on)}\n\n{_per_class(metrics)}\n"


def _of_numbers(metrics: Mapping[str, Any], evaluated_on: str | None) -> str:
    mean = "always the mean of the training rows: {}"
    rmse, mae = (mean.format(number(metrics[k])) if k in metrics else "" for k in ("baseline_rmse", "baseline_mae"))
    rows = [
        ["rows", count(metrics["rows"]), _left_out(metrics)],
        ["R2", figure(metrics["r2"]), "share of the variance that is explained"],
        ["RMSE", number(metrics["rmse"]), rmse],
        ["MAE", number(metrics["mae"]), mae],
        ["median absolute error", number(metrics["median_absolute_error"]), ""],
        ["mean error", number(metrics["mean_error"]), "prediction - label"],
        *map(list, custom_figures(metrics)),
    ]
    return table(_on_split(rows, evaluated_on), "lrl")


def _overall(metrics: Mapping[str, Any], evaluated_on: str | None) -> str:
    if is_detection(metrics):
        rows = [["rows", count(metrics["rows"]), _left_out(metrics)], *map(list, detection_figures(metrics))]
        rows += map(list, custom_figures(metrics))
        return table(_on_split(rows, evaluated_on), "lrl")
    if "entities" in metrics:
        rows = [["rows", count(metrics["rows"]), _left_out(metrics)], *map(list, entity_figures(metrics))]
        return table(_on_split(rows, evaluated_on), "lrl")
    if "hamming_loss" in metrics:
        return table(_on_split([*_of_labels(metrics), *map(list, custom_figures(metrics))], evaluated_on), "lrl")
    baseline = f"always the most frequent class: {figure(metrics['baseline_accuracy'])}"
    rows = [
        ["rows", count(metrics["rows"]), _left_out(metrics)],
        ["accuracy", figure(metrics["accuracy"]), baseline],
        ["macro F1", figure(metrics["macro"]["f1"]), "mean over the classes"],
        ["log loss", figure(metrics["log_loss"]), "nats a row"],
    ]
    if metrics["top5_accuracy"] is not None:
        rows.insert(2, ["top-5 accuracy", figure(metrics["top5_accuracy"]), ""])
    rows += map(list, [*score_figures(metrics), *custom_figures(metrics)])
    return table(_on_split(rows, evaluated_on), "lrl")


def _of_labels(metrics: Mapping[str, Any]) -> list[list[str]]:
    return [
        ["rows", count(metrics["rows"]), _left_out(metrics)],
        ["accuracy", figure(metrics["accuracy"]), f"all labels of a row right; {labels_baseline(metrics)}"],
        ["micro F1", figure(metrics["micro"]["f1"]), "over all decisions"],
        ["macro F1", figure(metrics["macro"]["f1"]), "mean over the classes"],
        ["Hamming loss", figure(metrics["hamming_loss"]), "share of wrong decisions, one for each row and class"],
        ["log loss", figure(metrics["log_loss"]), "nats a decision"],
    ]


def _on_split(rows: list[list[str]], evaluated_on: str | None) -> list[list[str]]:
    if evaluated_on:
        rows[0][2] = f"of the {plain(evaluated_on)} split" + (f", {rows[0][2]}" if rows[0][2] else "")
    return rows


def _left_out(metrics: Mapping[str, Any]) -> str:
    parts = []
    if metrics["errors"]:
        parts.append(f"{count(metrics['errors'])} without a prediction")
    if metrics["unknown_labels"]:
        what = "whose boxes cannot be used" if is_detection(metrics) else "with an unknown label"
        parts.append(f"{count(metrics['unknown_labels'])} {what}")
    return f"not counted: {', '.join(parts)}" if parts else ""


def _per_class(metrics: Mapping[str, Any]) -> str:
    if is_detection(metrics):
        return class_lines(metrics)
    classes, note = metrics["per_class"], ""
    if len(classes) > MOST_CLASSES:
        shown = sorted(classes, key=lambda c: (c["support"] == 0, c["f1"]))[: MOST_CLASSES - 4]
        note = (
            f"\n… {plural(len(classes) - len(shown), 'class', 'classes')} with a higher F1, or without rows, left out"
        )
        classes = shown
    counted, of_all = support(metrics)
    rows = [["class", "precision", "recall", "F1", counted]]
    rows += [[shorten(c["label"], LABEL), *_three(c), count(c["support"])] for c in classes]
    averages = [[f"{name} average", *_three(metrics[name]), count(of_all)] for name in averages_of(metrics)]
    lines, n = table([*rows, *averages], "lrrrr").split("\n"), len(averages)
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:-n]]) + note + "\n" + "\n".join([rule, *lines[-n:]])


def _three(figures: Mapping[str, float]) -> list[str]:
    return [figure(figures[name]) for name in ("precision", "recall", "f1")]


def model_text(meta: Mapping[str, Any]) -> str:
    """Return what `sparknn show` prints of a bundle's meta: the model, its training and how good it is."""
    blocks = [_heading(meta), table(model_facts(meta), "ll")]
    if meta.get("metrics"):
        blocks.append(metrics_table(meta["metrics"], evaluated_on=meta.get("evaluated_on")).rstrip())
    files = [["model.onnx", size(meta.get("size_bytes")), ""]] if meta.get("size_bytes") else []
    digests = meta.get("files") or {}
    files = [
        [name, size(meta.get("size_bytes")) if name == "model.onnx" else "", d[:16]] for name, d in digests.items()
    ] or files
    if files:
        blocks.append("files\n" + table(files, "lrl", indent="  "))
    return "\n\n".join(blocks) + "\n"


def _heading(meta: Mapping[str, Any]) -> str:
    title = f"{plain(meta['name'])}: {plain(meta['task'])}"
    return f"{title}\n{'=' * len(title)}"


def model_facts(meta: Mapping[str, Any]) -> list[list[str]]:
    """Return the lines `name  value` of a model; only those that the meta has something for."""
    model, training = meta.get("model") or {}, meta.get("training") or {}
    facts = [
        ("architecture", step_text(model) if model else None),
        ("", _source(model)),
        (
            "parameters",
            f"{amount(model['parameters'])} ({count(model['parameters'])})" if "parameters" in model else None,
        ),
        ("classes", _classes(meta.get("classes") or [])),
        ("input", input_text(meta["input"]) if meta.get("input") else None),
        ("texts", lengths_text(meta)),
        *((name[0].lower() + name[1:], text) for name, text in boxes_facts(meta)),
        ("preprocessing", ", ".join(preprocess_texts(meta)) or "none"),
        ("", queries_note(meta)),
        _statistics(meta.get("statistics") or {}),
        ("training", _training(training)),
        ("", _speed(training)),
        *(("", plain(note)) for note in training.get("notes") or []),
        ("rows", rows_text(meta.get("rows") or {})),
        ("parity", parity_text(meta.get("parity") or {})),
        ("created", str(meta["created"]) if meta.get("created") else None),
    ]
    return [[name, value] for name, value in facts if value]


def _source(model: Mapping[str, Any]) -> str | None:
    parts = [plain(model[k]) for k in ("source", "licence") if model.get(k)]
    return "; ".join(parts) or None


def _classes(classes: Sequence[str]) -> str | None:
    if not classes:
        return None
    names = ", ".join(shorten(c, 24) for c in classes[:12])
    return f"{len(classes)}: {names}" + (f", and {len(classes) - 12} more" if len(classes) > 12 else "")


def _statistics(statistics: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the line about pixels, whose statistics are lists, or about the numbers that are learnt."""
    if not statistics:
        return "pixels", None
    mean, std = statistics["mean"], statistics["std"]
    if isinstance(mean, float):
        return "label", f"mean {number(mean)}, deviation {number(std)}"
    means, deviations = (", ".join(f"{x:.4f}" for x in values) for values in (mean, std))
    return "pixels", f"mean {means}, deviation {deviations} (of 0..1)"


def _training(training: Mapping[str, Any]) -> str | None:
    if not training:
        return None
    if not training["epochs"]:
        return "none"
    best = training.get("best_epoch")
    parts = [
        plural(training["epochs"], "epoch") + (f" (best: {best})" if best else ""),
        f"in {duration(training.get('seconds'))}",
        f"batch {training['batch_size']}" if "batch_size" in training else "",
        f"seed {training['seed']}" if training.get("seed") is not None else "",
    ]
    return ", ".join(p for p in parts if p)


def _speed(training: Mapping[str, Any]) -> str | None:
    if not training.get("workers"):
        return None
    place = f"{plural(training['workers'], 'worker')} on {plain(training.get('device', '?'))}"
    precision = f", {plain(training['precision'])}" if training.get("precision") else ""
    rate = f", {count(training['rows_per_second'])} rows/s" if training.get("rows_per_second") else ""
    return place + precision + rate


def rows_text(rows: Mapping[str, Any]) -> str | None:
    """Return the rows of each split, and how many were dropped for which reason."""
    parts = [f"{count(rows[k])} {k}" for k in ("train", "validation", "test", "read") if rows.get(k) is not None]
    parts += [f"{count(d['rows'])} dropped ({plain(d['reason'])})" for d in rows.get("dropped") or []]
    return ", ".join(parts) or None


def parity_text(parity: Mapping[str, Any]) -> str | None:
    """Return how far ONNX Runtime and PyTorch are from each other, in words."""
    if not parity:
        return None
    if "max_box_difference" in parity:
        return parity_words(parity)
    difference, rows = f"{parity['max_difference']:.1e}", plural(parity["rows"], "row")
    if "least_cosine" in parity:
        return f"ONNX Runtime and PyTorch differ by at most {difference} in a component of the vectors of {rows}"
    if "changed_decisions" not in parity:
        return f"ONNX Runtime and PyTorch differ by at most {difference} standard deviations on {rows}"
    changed = parity["changed_decisions"]
    decisions = "no decision changed" if not changed else f"{plural(changed, 'decision')} changed"
    return f"ONNX Runtime and PyTorch differ by at most {difference} on {rows}, {decisions}"


def plan_text(plan: Mapping[str, Any]) -> str:
    """Return what `--dry-run` prints: everything that was checked, and what would be run. Any key may be missing."""
    lines = [["  " + name, value] for name, value in plan_facts(plan)]
    layers = f"\n{layers_text(plan['layers'])}\n\n" if plan.get("layers") else ""
    return f"{plan_title(plan)}\n{table(lines, 'll')}\n{layers}{NOTHING_DONE}\n"


NOTHING_DONE = "Nothing was trained and nothing was written."


def plan_title(plan: Mapping[str, Any]) -> str:
    """Return the head line of a plan."""
    task = f": {plain(plan['task'])}" if plan.get("task") else ""
    return f"dry run of {plain(plan.get('name') or 'the experiment')}{task}"


def plan_facts(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines `name, value` of a plan; only those that it has something for."""
    model, shape = plan.get("model") or {}, plan.get("input") or {}
    columns = [f"{plain(name)} {plain(kind)}" for name, kind in plan.get("columns") or []]
    long = {"h": "height", "w": "width", "c": "channels"}
    facts = [
        ("source", _mapping(plan.get("source"))),
        ("columns", ", ".join(columns)),
        ("splits", _mapping(plan.get("splits"))),
        ("preprocess", ", ".join(preprocess_texts(plan))),
        ("", queries_note(plan)),
        *((plain(name), plain(value)) for name, value in plan.get("details") or []),
        ("input", input_text({long.get(k, k): v for k, v in shape.items()}) if shape else None),
        ("classes", _counted(plan.get("classes"))),
        ("model", step_text(model) if model.get("name") else None),
        ("parameters", count(model["parameters"]) if model.get("parameters") is not None else None),
        ("note", "; ".join(map(plain, plan.get("notes") or []))),
        ("train", _mapping(plan.get("train"))),
        ("", plain(plan["pretrained"]) if plan.get("pretrained") else None),
        ("workers", _workers(plan)),
        ("export", plain(plan["export"]) if plan.get("export") else None),
    ]
    return [(name, value) for name, value in facts if value]


def _counted(classes: int | None) -> str | None:
    if classes is None:
        return "counted when the rows are read"
    return count(classes) if classes else None  # of a number that is learnt there are none


def _mapping(value: Any) -> str | None:
    if not value:
        return None
    return options_text(value) if isinstance(value, Mapping) else plain(value)


def _workers(plan: Mapping[str, Any]) -> str | None:
    if plan.get("workers") is None:
        return None
    slots = plan.get("slots")
    return f"{plan['workers']}" + (f" of {plural(slots, 'slot')}" if slots is not None else "")
