"""Sections of the report on a detector: pictures with boxes, the worst misses, precision by recall, and the classes."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.show.boxes import SCENES, Scenes, class_colours, scene_figure
from sparknn_magic.show.detections import class_rows
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.parts import section, themed
from sparknn_magic.show.recall_curves import precision_recall
from sparknn_magic.show.words import percent, plural

LINES = "Solid boxes are predicted, dashed ones true; a cross marks a wrong one, and what is missed is named."
WORST = "true boxes that no predicted one overlaps, and the most confident boxes where there is nothing."


def scene_sections(scenes: Scenes | None, classes: list[str]) -> list[Markup]:
    """Return the pictures, and those with the worst misses; none where there are none."""
    if scenes is None or not (scenes.examples or scenes.misses):
        return []
    colours = class_colours([*scenes.examples, *scenes.misses], scenes.classes or classes)
    found = []
    drawn = f"Boxes with a score of {percent(scenes.score, 0)} or more: there precision and recall balance best (F1)."
    if scenes.examples:
        found.append(
            section(
                "Pictures",
                f"{LINES} {drawn}",
                el("style", Markup(SCENES)),
                _grid(scenes.examples, scenes.score, colours),
            )
        )
    if scenes.misses:
        style = None if found else el("style", Markup(SCENES))
        note = f"{WORST[0].upper()}{WORST[1:]}"
        found.append(section("The worst misses", note, style, _grid(scenes.misses, scenes.score, colours)))
    return found


def _grid(scenes: Any, score: float, colours: dict[str, str]) -> Markup:
    return el("div", *(scene_figure(scene, score, colours) for scene in scenes), cls="scenes")


def recall(metrics: Mapping[str, Any]) -> Markup | None:
    """Return precision by recall of the classes, where the metrics have it."""
    if not metrics.get("curves"):
        return None
    drawn = [precision_recall(metrics, dark=dark) for dark in (False, True)]
    note = "At IoU 0.5. The area under a class's line is its average precision there."
    return section("Precision and recall", note, themed(drawn[0], drawn[1], "Precision by recall of each class"))


def classes_table(metrics: Mapping[str, Any]) -> Markup:
    """Return mAP, mAP at IoU 0.5 and the number of boxes of each class."""
    titles = ("Class", "mAP", "mAP at IoU 0.5", "Boxes")
    head = el("tr", *(el("th", t, cls="num" if n else None, scope="col") for n, t in enumerate(titles)))
    listed = el("table", el("thead", head), el("tbody", *class_rows(list(metrics["per_class"]))), cls="list")
    return section(
        "Classes", "Average precision, the mean over IoU 0.5 to 0.95 first.", el("div", listed, cls="scroll")
    )


def notebook_scenes(scenes: Scenes) -> Markup:
    """Return pictures with their boxes, and the worst misses, for a notebook's output."""
    colours = class_colours([*scenes.examples, *scenes.misses], scenes.classes)
    shown = [el("div", LINES, cls="soft"), _grid(scenes.examples, scenes.score, colours)]
    if scenes.misses:
        shown += [el("div", worst_of(scenes), cls="soft"), _grid(scenes.misses, scenes.score, colours)]
    return el("div", el("style", Markup(SCENES)), *shown)


def worst_of(scenes: Scenes) -> str:
    """Return what the pictures with misses are, in words."""
    return f"The worst misses of {plural(scenes.looked_at, 'row')}: {WORST}"
