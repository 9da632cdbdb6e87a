"""The section of the report on scores: whether they can be believed, and what a threshold on them buys."""

from collections.abc import Mapping
from typing import Any

from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.parts import section, themed
from sparknn_magic.show.score_curves import coverage_curve, reliability_diagram
from sparknn_magic.show.words import coverage_point, figure, number, percent


def scores(metrics: Mapping[str, Any]) -> Markup | None:
    """Return the reliability diagram beside the curve of coverage and accuracy, where the metrics have them."""
    if not metrics.get("reliability") or not metrics.get("coverage"):
        return None
    drawn = [[draw(metrics, dark=dark) for dark in (False, True)] for draw in (reliability_diagram, coverage_curve)]
    alts = ("Accuracy by score", "Accuracy by coverage")
    pictures = [themed(light, dark, alt) for (light, dark), alt in zip(drawn, alts, strict=True)]
    return section("Scores", _note(metrics), el("div", *pictures, cls="two"))


def _note(metrics: Mapping[str, Any]) -> str:
    said = f"The mean gap of score and accuracy, the calibration error, is {figure(metrics['calibration_error'])}."
    point = coverage_point(metrics)
    if point is None:
        return said
    return (
        f"{said} Answered only from a score of {number(point['threshold'])} on, {percent(point['coverage'])} of the "
        f"rows get an answer, and {percent(point['accuracy'], 2)} of these are right."
    )
