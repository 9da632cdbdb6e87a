"""Pictures with boxes, as SVG over an embedded picture: no script, nothing loaded, the same in light and dark.

Predicted boxes are solid, true ones dashed. A class has a colour, and its name stands beside the box: the colours are
those of Okabe and Ito (2008, Color Universal Design), told apart by people who are colour-blind, with a dark casing, so
that they are seen on any picture. What is wrong has a cross or a word, not a colour of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sparknn_magic.show.markup import Markup, el, picture_uri
from sparknn_magic.show.misses import Box, matched
from sparknn_magic.show.words import percent, plain, plural, shorten, width

__all__ = ["Box", "Scene", "Scenes", "class_colours", "scene_figure", "scene_svg", "scene_text"]

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF")
DARK_GROUND = ("#0072B2",)  # on which letters are white
SIDE = 360  # of a drawing: the longer side, in pixels of the page
LETTER, LINE = 6.05, 13  # width and height of a letter of 10 px
MOST_NAME = 18  # letters of a class's name
MOST_BOXES = 60  # drawn on a picture, the surest ones


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture, its true boxes and the predicted ones, of any score; the boxes are in pixels of `pixels`."""

    pixels: np.ndarray  # uint8[H, W, C], C is 1 or 3
    true: Sequence[Box]
    predicted: Sequence[Box]
    scale: float = 1.0  # of `pixels`, against the picture that words are about


@dataclass(frozen=True, eq=False)
class Scenes:
    """Pictures for the report: examples of any kind, and those with the worst misses, the worst first."""

    examples: Sequence[Scene] = ()
    misses: Sequence[Scene] = ()
    score: float = 0.5  # from which on predicted boxes are drawn
    classes: Sequence[str] = field(default=())  # in the order of their colours; (): as they come
    looked_at: int = 0  # rows that they were chosen from


def scene_svg(scene: Scene, score: float, colours: dict[str, str]) -> Markup:
    """Return one picture with its true boxes and the predicted ones of this score or more.

    A true box that none found, and a predicted one that finds no true box, say so beside them.
    """
    shown = _shown(scene, score)
    found = matched(scene.true, shown)
    hit = {n for n in found if n is not None}
    height, across = scene.pixels.shape[:2]
    scale = SIDE / max(height, across)
    page = (across * scale, height * scale)
    drawn = [_rect(box, scale, colours[box.label], dashed=True) for box in scene.true]
    drawn += [_rect(box, scale, colours[box.label], dashed=False) for box in shown[:MOST_BOXES]]
    names = [(box, f"missed {_name(box)}") for n, box in enumerate(scene.true) if n not in hit]
    names += [
        (b, f"{'' if at is not None else '✗ '}{_name(b)} {_score(b)}")
        for b, at in zip(shown[:MOST_BOXES], found[:MOST_BOXES], strict=True)
    ]
    drawn += [_label(box, text, scale, colours[box.label], page) for box, text in names]
    said = _said(scene, shown, found)
    image = el("image", href=_address(scene.pixels), width=f"{page[0]:.1f}", height=f"{page[1]:.1f}")
    return _scene([image, *drawn], page, said)


def boxes_svg(pixels: np.ndarray, boxes: Sequence[Box], colours: dict[str, str]) -> Markup:
    """Return one picture, uint8[H, W, C], with its boxes, their names, and their scores where they have any."""
    height, across = pixels.shape[:2]
    scale = SIDE / max(height, across)
    page = (across * scale, height * scale)
    drawn = [_rect(box, scale, colours[box.label], dashed=False) for box in boxes[:MOST_BOXES]]
    for box in boxes[:MOST_BOXES]:
        name = _name(box) if box.score is None else f"{_name(box)} {_score(box)}"
        drawn.append(_label(box, name, scale, colours[box.label], page))
    image = el("image", href=_address(pixels), width=f"{page[0]:.1f}", height=f"{page[1]:.1f}")
    return _scene([image, *drawn], page, plural(len(boxes), "box", "boxes"))


def _scene(drawn: Sequence[Markup], page: tuple[float, float], said: str) -> Markup:
    """Return a drawing, hidden but for its style: a frontend that takes both away would leave the words in it."""
    view = f"0 0 {page[0]:.1f} {page[1]:.1f}"
    return el(
        "div", el("svg", *drawn, viewBox=view, role="img", aria_label=said, cls="scene"), cls="drawing", hidden="hidden"
    )


def scene_figure(scene: Scene, score: float, colours: dict[str, str]) -> Markup:
    """Return the drawing with what was found below it."""
    shown = _shown(scene, score)
    words = _said(scene, shown, matched(scene.true, shown))
    return el("figure", scene_svg(scene, score, colours), el("figcaption", el("span", words, title=words)))


def scene_text(scene: Scene, score: float) -> str:
    """Return a scene in words: what was found of it, then a line for each box, true ones without a score."""
    shown = _shown(scene, score)
    found = matched(scene.true, shown)
    hit = {n for n in found if n is not None}
    lines = [_said(scene, shown, found)]
    for box, n in zip(shown, found, strict=True):
        lines.append(f"  {_name(box)} {_score(box)} {_place(box, scene.scale)}{'' if n is not None else '  (false)'}")
    lines += [f"  {_name(b)} {_place(b, scene.scale)}  (missed)" for n, b in enumerate(scene.true) if n not in hit]
    return "\n".join(lines)


def class_colours(scenes: Sequence[Scene], classes: Sequence[str] = ()) -> dict[str, str]:
    """Return the colour of each class: of the classes that are named first, then of others as they come."""
    found = list(classes)
    found += [box.label for scene in scenes for box in (*scene.true, *scene.predicted)]
    return {label: COLOURS[n % len(COLOURS)] for n, label in enumerate(dict.fromkeys(found))}


def _shown(scene: Scene, score: float) -> list[Box]:
    """Return the predicted boxes that count, the surest first; of very many only the surest are drawn."""
    found = [box for box in scene.predicted if (box.score or 0.0) >= score]
    return sorted(found, key=lambda box: -(box.score or 0.0))


def _said(scene: Scene, shown: Sequence[Box], found: Sequence[int | None]) -> str:
    if not scene.true and not shown:
        return "nothing there, nothing found"
    hits, false = sum(n is not None for n in found), sum(n is None for n in found)
    of = f"{hits} of {plural(len(scene.true), 'object')} found" if scene.true else "nothing there"
    of += f", {plural(false, 'false box', 'false boxes')}" if false else ""
    return of + (f"; the surest {MOST_BOXES} are drawn" if len(shown) > MOST_BOXES else "")


def _name(box: Box) -> str:
    return shorten(plain(box.label), MOST_NAME)


def _score(box: Box) -> str:
    return percent(box.score, 0)


def _place(box: Box, scale: float) -> str:
    return f"({', '.join(f'{side / scale:.0f}' for side in (box.x1, box.y1, box.x2, box.y2))})"


def _rect(box: Box, scale: float, colour: str, *, dashed: bool) -> Markup:
    place = {
        "x": f"{box.x1 * scale:.1f}",
        "y": f"{box.y1 * scale:.1f}",
        "width": f"{max(box.x2 - box.x1, 0) * scale:.1f}",
        "height": f"{max(box.y2 - box.y1, 0) * scale:.1f}",
    }
    dashes = "6 4" if dashed else None
    casing = el("rect", **place, stroke="#000", stroke_opacity="0.55", stroke_width=4, fill="none")
    return el("g", casing, el("rect", **place, stroke=colour, stroke_width=2, stroke_dasharray=dashes, fill="none"))


def _label(box: Box, text: str, scale: float, colour: str, page: tuple[float, float]) -> Markup:
    """Return a name on a ground of the class's colour: above its box where there is room, and never beyond the page."""
    across = width(text) * LETTER + 6
    x = min(max(box.x1 * scale - 1, 0), max(page[0] - across, 0))
    above = box.y1 * scale - LINE - 1
    y = above if above >= 0 else min(max(box.y1 * scale + 1, 0), max(page[1] - LINE, 0))
    ground = el("rect", x=f"{x:.1f}", y=f"{y:.1f}", width=f"{across:.1f}", height=LINE, fill=colour, rx=2)
    ink = "#fff" if colour in DARK_GROUND else "#000"
    return el("g", ground, el("text", text, x=f"{x + 3:.1f}", y=f"{y + LINE - 3:.1f}", fill=ink))


def _address(pixels: np.ndarray) -> str:
    return picture_uri(pixels, 2 * SIDE)


# Of the report and of a notebook's output alike.
SCENES = """
.scenes { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 18px 16px; }
.scenes figure { margin: 0; min-width: 0; }
.drawing[hidden] { display: block; }
.scene { display: block; width: 100%; height: auto; border-radius: 6px; background: rgba(128, 128, 128, 0.14); }
.scene text { font: 10px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
.scenes figcaption { font-size: 13px; padding-top: 6px; }
"""
