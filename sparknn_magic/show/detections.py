"""What a detector found, in figures: as text, cards, reports and a notebook's summary show them."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.parts import tile
from sparknn_magic.show.words import count, figure, number, plain, plural, shorten, table

MOST_LINES = 24  # classes in a table of text; of more, those with the lowest mAP are shown
LABEL = 32  # columns of a class's name
TITLES = ("class", "mAP", "mAP at IoU 0.5", "boxes")
SIZES = (
    ("small", "below 32 x 32 pixels"),
    ("medium", "up to 96 x 96 pixels"),
    ("large", "beyond 96 x 96 pixels"),
)


def is_detection(metrics: Mapping[str, Any]) -> bool:
    """Return whether these are metrics of a detector."""
    return "map50" in metrics


def detection_figures(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and a remark of each figure."""
    found = [
        ("mAP at IoU 0.5", figure(metrics["map50"]), "mean of the classes' average precision"),
        ("mAP", figure(metrics["map"]), "the same, mean over IoU 0.5 to 0.95"),
        ("mAP at IoU 0.75", figure(metrics["map75"]), "where boxes have to lie closer"),
    ]
    for size, note in SIZES:
        found.append((f"mAP, {size} boxes", figure(metrics[f"map_{size}"]), note))
    found.append(
        ("recall", figure(metrics["recall_100"]), "with 100 boxes of a class in a picture, mean over IoU 0.5 to 0.95")
    )
    found.append(("boxes", count(metrics["boxes"]), _left_out(metrics)))
    return found


def _left_out(metrics: Mapping[str, Any]) -> str:
    parts = []
    if metrics.get("bad_boxes"):
        parts.append(f"{count(metrics['bad_boxes'])} bad ones were cut or left out")
    if metrics.get("unknown_boxes"):
        parts.append(f"{count(metrics['unknown_boxes'])} of other classes not counted")
    return "; ".join(parts)


def detection_tiles(metrics: Mapping[str, Any]) -> list[Markup]:
    """Return the report's tiles beside the one of mAP at IoU 0.5; sizes without a box are left out."""
    return [tile(name, value, note) for name, value, note in detection_figures(metrics)[1:-1] if value != figure(None)]


def how_good(metrics: Mapping[str, Any]) -> str:
    """Return the sentence of the model card."""
    return (
        f"its mAP is **{figure(metrics['map50'])}** at IoU 0.5, and {figure(metrics['map'])} as the mean over IoU 0.5 "
        f"to 0.95"
    )


def class_lines(metrics: Mapping[str, Any]) -> str:
    """Return a line of text for each class; of very many, the worst."""
    classes, note = lowest(metrics, MOST_LINES, MOST_LINES - 4)
    rows = [list(TITLES)]
    rows += [[shorten(c["label"], LABEL), figure(c["map"]), figure(c["map50"]), count(c["boxes"])] for c in classes]
    lines = table(rows, "lrrr").split("\n")
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]]) + (f"\n… {note}" if note else "")


def lowest(metrics: Mapping[str, Any], most: int, shown: int) -> tuple[list[Mapping[str, Any]], str]:
    """Return the classes, of more than `most` the `shown` ones with the lowest mAP; and what is left out, in words."""
    classes = list(metrics["per_class"])
    if len(classes) <= most:
        return classes, ""
    ranked = sorted(classes, key=lambda c: (c["map"] is None, c["map"] or 0.0))[:shown]
    left = plural(len(classes) - shown, "class", "classes")
    return ranked, f"{left} with a higher mAP, or without boxes, left out"


def class_rows(classes: list[Mapping[str, Any]]) -> list[Markup]:
    """Return the rows of an HTML table of classes."""
    return [
        el(
            "tr",
            el("th", shorten(c["label"], 40), scope="row"),
            *(el("td", text, cls="num") for text in (figure(c["map"]), figure(c["map50"]), count(c["boxes"]))),
        )
        for c in classes
    ]


def boxes_facts(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and text of what is known of the training and validation rows' boxes, the bad ones among them."""
    boxes = meta.get("boxes")
    if not isinstance(boxes, Mapping):
        return []
    facts = []
    if boxes.get("boxes") is not None:
        facts.append(("Boxes to learn from", count(boxes["boxes"])))
    if boxes.get("quantiles"):
        low, middle, high = (number(boxes["quantiles"][n]) for n in (0, 2, 4))
        facts.append(
            ("Their sizes", f"{low} to {high} pixels in nine of ten, {middle} in the median (root of the area)")
        )
    if boxes.get("background"):
        facts.append(("Background", f"{plural(boxes['background'], 'row')} without any box"))
    if boxes.get("clipped"):
        facts.append(("Cut boxes", f"{count(boxes['clipped'])} at the picture's edges{_example(boxes, 'clipped')}"))
    if boxes.get("dropped"):
        reasons = ", ".join(f"{count(n)} {plain(reason)}" for reason, n in (boxes.get("left") or {}).items())
        said = f": {reasons}" if reasons else ""
        facts.append(("Boxes left out", f"{count(boxes['dropped'])}{said}{_example(boxes, 'left')}"))
    return facts


def _example(boxes: Mapping[str, Any], kind: str) -> str:
    example = boxes.get(f"example_{kind}")
    return f"; one of them {shorten(example, 120)}" if example else ""


def parity_words(parity: Mapping[str, Any]) -> str:
    """Return how far ONNX Runtime and PyTorch are from each other."""
    rows, detections = plural(parity["rows"], "row"), plural(parity["detections"], "detection")
    score, side = f"{parity['max_difference']:.1e}", f"{parity['max_box_difference']:.1e}"
    changed = parity["changed_decisions"]
    said = "none changed" if not changed else f"{count(changed)} changed"
    return (
        f"ONNX Runtime and PyTorch differ by at most {score} in a score and {side} pixels in a box on {detections} in "
        f"{rows}, {said}"
    )
