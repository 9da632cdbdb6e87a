"""A few rows of a preview: as they are, and as the network is given them. Knows no Spark."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sparknn_magic.show.boxes import SCENES, Box, boxes_svg, class_colours
from sparknn_magic.show.markup import Markup, el, image_uri
from sparknn_magic.show.words import number, plain, shorten, table

CELL = 60  # columns of a value
LETTERS = 300  # of a text
SMALL = 64  # pixels up to which a picture is enlarged without blur
GRID = (
    """
.sparknn .looks { display: flex; flex-wrap: wrap; gap: 12px; margin: 4px 0 8px; }
.sparknn .looks figure { margin: 0; width: 100px; }
.sparknn .looks figure.pair { width: 160px; }
.sparknn .looks img { display: block; width: 100px; height: 100px; object-fit: contain;
  background: rgba(128, 128, 128, 0.14); border-radius: 5px; }
.sparknn .looks .pair img { display: inline-block; width: 76px; height: 76px; }
.sparknn .looks .small { image-rendering: pixelated; }
.sparknn .looks figcaption { font-size: 12px; padding-top: 3px; overflow-wrap: anywhere; }
.sparknn .looks .shown { width: 200px; }
"""
    + SCENES
)
ROUND = "after augmentation, round {}"


def grid_html(grid: Any, kind: str) -> list[Markup]:
    """Return rows as they are, after preprocessing, and after each round of augmentation."""
    if kind != "pictures":
        return _values_html(grid, kind)
    parts = [el("h4", "As they are"), _pictures(grid.raw, grid.labels)]
    if grid.prepared is not None and len(grid.prepared):
        parts += [el("h4", "After preprocessing"), _seen(grid, grid.prepared, grid.boxes)]
    for n, pixels in enumerate(grid.augmented):
        boxes = grid.augmented_boxes[n] if grid.augmented_boxes else None
        parts += [el("h4", ROUND.format(n + 1)[0].upper() + ROUND.format(n + 1)[1:]), _seen(grid, pixels, boxes)]
    return parts


def grid_text(grid: Any, kind: str) -> str:
    """Return the same as text: pictures by their sizes, texts and rows before and after."""
    if kind == "pictures":
        prepared = grid.prepared
        if prepared is None or not len(prepared):
            return ""
        height, width, channels = prepared.shape[1:]
        return f"\nafter preprocessing: {width} x {height}, {'grey' if channels == 1 else 'colour'}"
    lines = [[name, value] for pair in _pairs(grid, kind) for name, value in pair]
    return f"\nsome {kind}\n{table(lines, 'll', indent='  ')}"


def twins_html(examples: Sequence[Any]) -> Markup | None:
    """Return rows that are alike, side by side."""
    if not examples:
        return None
    if not any(twins.pictures for twins in examples):
        body = [
            el("tr", el("td", *(el("div", shorten(text, LETTERS)) for text in twins.texts)), el("td", twins.words))
            for twins in examples
        ]
        return el("table", el("tbody", *body))
    figures = [
        el(
            "figure",
            *(_image(picture) for picture in twins.pictures),
            el("figcaption", plain(twins.words)),
            cls="pair" if len(twins.pictures) > 1 else None,
        )
        for twins in examples
    ]
    return el("div", *figures, cls="looks")


def _image(picture: np.ndarray) -> Markup:
    return el("img", src=image_uri(picture), alt="", cls="small" if max(picture.shape[:2]) < SMALL else None)


def _pictures(pictures: Sequence[np.ndarray], labels: Sequence[str]) -> Markup:
    words = [shorten(label, CELL) if label else "" for label in labels] or [""] * len(pictures)
    figures = [
        el("figure", _image(picture), el("figcaption", label) if label else None)
        for picture, label in zip(pictures, words, strict=False)
    ]
    return el("div", *figures, cls="looks")


def _seen(grid: Any, pixels: np.ndarray, boxes: Sequence[np.ndarray] | None) -> Markup:
    """Return pictures as the network is given them, with their boxes where they have any."""
    if boxes is None:
        return _pictures(list(pixels), ())
    colours = class_colours([], grid.classes)
    drawn = [
        el("figure", boxes_svg(picture, _boxes(each, grid.classes), colours), cls="shown")
        for picture, each in zip(pixels, boxes, strict=False)
    ]
    return el("div", *drawn, cls="looks")


def _boxes(boxes: np.ndarray, classes: Sequence[str]) -> list[Box]:
    return [Box(classes[int(kind)], *map(float, corners)) for kind, *corners in boxes.tolist()]


def _values_html(grid: Any, kind: str) -> list[Markup]:
    body = [el("tr", el("th", name), el("td", value)) for pair in _pairs(grid, kind) for name, value in pair]
    return [el("h4", f"Some {kind}"), el("table", el("tbody", *body), cls="facts")]


def _pairs(grid: Any, kind: str) -> list[list[tuple[str, str]]]:
    """Return of each row what it is before and after preprocessing: name and value."""
    after = grid.prepared if grid.prepared is not None else [None] * len(grid.raw)
    found = []
    for raw, made in zip(grid.raw, after, strict=False):
        pair = [("as it is", _value(raw))]
        if made is not None and made != raw:
            pair.append(("after preprocessing", _value(made)))
        found.append(pair)
    return found


def _value(value: Any) -> str:
    if not isinstance(value, Mapping):
        return shorten(value, LETTERS)
    cells = (f"{shorten(name, 24)} {_cell(each)}" for name, each in value.items())
    return shorten(", ".join(cells), LETTERS)


def _cell(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return number(value)
    return shorten(value, 24)
