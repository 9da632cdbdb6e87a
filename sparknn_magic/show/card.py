"""The model card: the README.md of a bundle, for whoever is handed the folder and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparknn_magic.show import card_boxes, card_columns, card_embeddings, card_entities, card_pictures, card_texts
from sparknn_magic.show.detections import boxes_facts, detection_figures, is_detection
from sparknn_magic.show.detections import how_good as how_well_found
from sparknn_magic.show.entities import entity_figures, how_good
from sparknn_magic.show.markdown import code_block, escaped, fenced, table
from sparknn_magic.show.text import parity_text, rows_text
from sparknn_magic.show.words import (
    amount,
    count,
    custom_figures,
    duration,
    figure,
    lengths_text,
    number,
    percent,
    plain,
    plural,
    score_figures,
    size,
    step_text,
    vector_figures,
    yaml_text,
)

__all__ = ["code_block", "escaped", "model_card"]

MOST_CLASSES = 200  # named in the card; model.onnx holds all of them


def model_card(meta: Mapping[str, Any]) -> str:
    """Return the card of a bundle's meta as Markdown: what the model is, how to run it, how good it is."""
    kind = _kind(meta)
    sections = [
        _what(meta),
        f"## Use it\n\nWith {kind.NEEDS} alone:\n\n" + fenced(kind.snippet(meta), "python"),
        _on_spark(kind.ROWS),
        kind.interface(meta),
        kind.before(meta),
        _quality(meta),
        _training(meta),
        _classes(meta.get("classes") or []),
        _origin(meta),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _kind(meta: Mapping[str, Any]) -> Any:
    """Return the module that knows the model's inputs and outputs."""
    if "detections" in meta:
        return card_boxes
    if "height" in meta["input"]:
        return card_pictures
    if "dimension" in meta:
        return card_embeddings
    if "labels" in meta:
        return card_entities
    return card_texts if "vocabulary" in meta["input"] else card_columns


def _what(meta: Mapping[str, Any]) -> str:
    model, metrics = meta.get("model") or {}, meta.get("metrics")
    classes = len(meta.get("classes") or [])
    about = f"A model for {escaped(meta['task'])}" + (f" with {plural(classes, 'class', 'classes')}" if classes else "")
    if model:
        about += f": {escaped(step_text(model))}"
        about += f", {amount(model['parameters'])} parameters" if "parameters" in model else ""
    about += (
        f". `model.onnx` ({size(meta['size_bytes'])}) is all it takes to run it." if meta.get("size_bytes") else "."
    )
    if metrics:
        split = "" if "dimension" in metrics else f" of the {plain(meta.get('evaluated_on', 'test'))} split"
        rows = f"{plural(metrics['rows'], 'row')}{split}"
        about += f"\n\nOn {rows} {_how_good(metrics)}."
    return f"# {escaped(meta['name'])}\n\n{about}"


def _how_good(metrics: Mapping[str, Any]) -> str:
    if "dimension" in metrics:
        return f"it gives vectors of **{count(metrics['dimension'])}** numbers"
    if "r2" in metrics:
        words = f"its mean absolute error is **{number(metrics['mae'])}** and its R2 **{figure(metrics['r2'])}**"
        if "baseline_mae" not in metrics:
            return words
        return (
            f"{words}; to answer always with the mean of the training rows is off by {number(metrics['baseline_mae'])}"
        )
    if is_detection(metrics):
        return how_well_found(metrics)
    if "entities" in metrics:
        return how_good(metrics)
    if "hamming_loss" in metrics:
        return (
            f"all labels are right in **{percent(metrics['accuracy'], 2)}**, and its micro F1 is "
            f"**{figure(metrics['micro']['f1'])}**; to answer always with the most frequent set of labels is right in "
            f"{percent(metrics['baseline_accuracy'], 2)}"
        )
    return (
        f"its accuracy is **{percent(metrics['accuracy'], 2)}**; to answer always with the most frequent class gives "
        f"{percent(metrics['baseline_accuracy'], 2)}"
    )


def _on_spark(rows: str) -> str:
    code = (
        "import sparknn_magic\n\n"
        'model = sparknn_magic.load("path/of/this/folder")\n'
        f'model.predict(spark.table("{rows}"))\n'
    )
    return "On Spark, with the preprocessing done for you:\n\n" + fenced(code, "python")


def _quality(meta: Mapping[str, Any]) -> str:
    metrics = meta.get("metrics")
    if not metrics:
        return ""
    if "dimension" in metrics:
        return _of_vectors(metrics, meta)
    rows = [["figure", "value"], *(_of_numbers(metrics) if "r2" in metrics else _of_classes(metrics))]
    rows += [[f"{escaped(name)} ({note})", value] for name, value, note in custom_figures(metrics)]
    left_out = metrics["errors"] + metrics["unknown_labels"]
    rows.append(
        ["rows", count(metrics["rows"]) + (f" ({count(left_out)} more could not be counted)" if left_out else "")]
    )
    parity = parity_text(meta.get("parity") or {})
    note = f"\n\n{parity}." if parity else ""
    return f"## Quality\n\nOn the {plain(meta.get('evaluated_on', 'test'))} rows.\n\n{table(rows, 'lr')}{note}"


def _of_vectors(metrics: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    figures = [[f"{name} ({note})" if note else name, value] for name, value, note in vector_figures(metrics)]
    texts = [["texts", lengths_text(meta) or ""]]
    parity = parity_text(meta.get("parity") or {})
    note = f"\n\n{parity}." if parity else ""
    return f"## Quality\n\n{table([['figure', 'value'], *figures, *texts], 'lr')}{note}"


def _of_classes(metrics: Mapping[str, Any]) -> list[list[str]]:
    if is_detection(metrics):
        return [[f"{name}, {note}" if note else name, value] for name, value, note in detection_figures(metrics)]
    if "entities" in metrics:
        return [[f"{name}, {note}", value] for name, value, note in entity_figures(metrics)]
    if "hamming_loss" in metrics:
        return _of_labels(metrics)
    rows = [
        ["accuracy", figure(metrics["accuracy"])],
        ["accuracy of the most frequent class", figure(metrics["baseline_accuracy"])],
        ["macro F1", figure(metrics["macro"]["f1"])],
        ["log loss, nats a row", figure(metrics["log_loss"])],
    ]
    if metrics["top5_accuracy"] is not None:
        rows.append(["top-5 accuracy", figure(metrics["top5_accuracy"])])
    return rows + [[f"{name}, {note}", value] for name, value, note in score_figures(metrics)]


def _of_labels(metrics: Mapping[str, Any]) -> list[list[str]]:
    return [
        ["accuracy: all labels of a row right", figure(metrics["accuracy"])],
        ["accuracy of the most frequent set of labels", figure(metrics["baseline_accuracy"])],
        ["micro F1", figure(metrics["micro"]["f1"])],
        ["macro F1", figure(metrics["macro"]["f1"])],
        ["Hamming loss, share of wrong decisions", figure(metrics["hamming_loss"])],
        ["log loss, nats a decision", figure(metrics["log_loss"])],
    ]


def _of_numbers(metrics: Mapping[str, Any]) -> list[list[str]]:
    rows = [["R2", figure(metrics["r2"])]]
    for name, key in (("RMSE", "rmse"), ("MAE", "mae")):
        rows.append([name, number(metrics[key])])
        if f"baseline_{key}" in metrics:
            rows.append([f"{name} of the training rows' mean", number(metrics[f"baseline_{key}"])])
    rows.append(["median absolute error", number(metrics["median_absolute_error"])])
    rows.append(["mean error, predicted - true", number(metrics["mean_error"])])
    return rows


def _training(meta: Mapping[str, Any]) -> str:
    training, parts = meta.get("training") or {}, []
    if rows := rows_text(meta.get("rows") or {}):
        parts.append(f"Rows: {escaped(rows)}.")
    if boxes := boxes_facts(meta):
        parts.append("\n".join(f"- {name}: {escaped(text)}" for name, text in boxes))
    if training and not training["epochs"]:
        parts.append("None: the weights are those of the pretrained network.")
    elif training:
        best = f", of which epoch {training['best_epoch']} was kept" if training.get("best_epoch") else ""
        place = f"{plural(training.get('workers', 1), 'worker')} on {plain(training.get('device', '?'))}"
        epochs = plural(training["epochs"], "epoch")
        parts.append(f"{epochs}{best}, in {duration(training.get('seconds'))} with {escaped(place)}.")
    if meta.get("spec"):
        parts.append("The experiment:\n\n" + fenced(yaml_text(meta["spec"]), "yaml"))
    return "## Training\n\n" + "\n\n".join(parts) if parts else ""


def _classes(classes: Sequence[str]) -> str:
    if not classes:
        return ""
    lines = [["index", "class"]] + [[str(i), escaped(c)] for i, c in enumerate(classes[:MOST_CLASSES])]
    more = len(classes) - MOST_CLASSES
    note = (
        f"\n\nAnd {plural(more, 'more class', 'more classes')}: all are in the metadata of `model.onnx`."
        if more > 0
        else ""
    )
    return f"## Classes\n\n{table(lines, 'rl')}{note}"


def _origin(meta: Mapping[str, Any]) -> str:
    model = meta.get("model") or {}
    lines = [f"- Architecture: {escaped(model['source'])}"] if model.get("source") else []
    lines += [f"- Licence of its code: {escaped(model['licence'])}"] if model.get("licence") else []
    if meta.get("versions"):
        lines.append("- Made with " + escaped(", ".join(f"{k} {v}" for k, v in meta["versions"].items())))
    lines += [f"- Created {escaped(meta['created'])}"] if meta.get("created") else []
    note = "The weights come from the training rows: whose licence those have, the weights' users must know."
    if "dimension" in meta:
        note = "The weights are those of the pretrained files: whose licence these have, the weights' users must know."
    return "## Origin\n\n" + "\n".join([*lines, f"- {note}"])
