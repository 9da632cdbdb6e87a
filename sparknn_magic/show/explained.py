"""What answers hang on: pictures under a map of weights, texts with coloured words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from sparknn_magic.show.example import Example, Row
from sparknn_magic.show.examples import CELL, Examples
from sparknn_magic.show.markup import Markup, el, image_uri
from sparknn_magic.show.misses import Box
from sparknn_magic.show.words import percent, plural, shorten

FOR, AGAINST = (213, 94, 0), (0, 114, 178)  # Okabe and Ito 2008, Color Universal Design
SIDE = 168  # pixels of a picture on the page
SHOWN_WORDS = 5  # in the text form, of each kind
LEAST = 0.005  # weights below, of a probability, are nothing
STYLE = f"""
.sparknn .reasons {{ display: flex; flex-wrap: wrap; gap: 14px; margin: 6px 0 8px; }}
.sparknn .reasons figure {{ margin: 0; width: {2 * SIDE + 6}px; }}
.sparknn .reasons img {{ width: {SIDE}px; height: {SIDE}px; object-fit: contain; image-rendering: pixelated;
  border-radius: 5px; margin-right: 3px; }}
.sparknn .reasons figcaption {{ font-size: 12.5px; padding-top: 4px; overflow-wrap: anywhere; }}
.sparknn .why {{ margin: 8px 0; line-height: 1.9; max-width: 900px; overflow-wrap: anywhere; }}
.sparknn .why span {{ border-radius: 3px; padding: 1px 2px; }}
.sparknn .key span {{ border-radius: 3px; padding: 1px 5px; margin-right: 8px; }}
"""
Weighted = tuple[int, int, float]  # first character, the one behind the last, weight


def picture_reasons(found: Sequence[tuple[Example, np.ndarray]]) -> Examples:
    """Return pictures beside a map, float32[H, W]: by how much the score falls where the picture is hidden."""
    figures, lines = [], []
    for example, weights in found:
        said = _said(example.label, example.predicted, example.score, example.right)
        pair = [el("img", src=image_uri(picture), alt="") for picture in (example.image, heat(example.image, weights))]
        figures.append(el("figure", *pair, el("figcaption", said)))
        row, column = np.unravel_index(int(weights.argmax()), weights.shape)
        at = f"{100 * column // weights.shape[1]} % from the left, {100 * row // weights.shape[0]} % from the top"
        lines.append(f"  {said}: hidden {at}, the score is {percent(float(weights.max()))} lower")
    return _examples([e.right for e, _ in found], [el("div", *figures, cls="reasons")], lines)


@dataclass(frozen=True, eq=False)
class BoxReason:
    """A found box and what its score hangs on, in the part of the picture around it."""

    image: np.ndarray  # uint8[H, W, C], the part as the network is given it
    box: Box  # in pixels of the part
    weights: np.ndarray  # float32[H, W]
    right: bool  # whether it finds a true box of its class
    truth: str = ""  # of a wrong one: the class that is there, "" where nothing is


def box_reasons(found: Sequence[BoxReason]) -> Examples:
    """Return found boxes, each with what is around it, beside a map of what its score hangs on."""
    figures, lines = [], []
    for each in found:
        said = _box_said(each)
        pair = [
            el("img", src=image_uri(framed(picture, each.box, each.image.shape)), alt="")
            for picture in (each.image, heat(each.image, each.weights))
        ]
        figures.append(el("figure", *pair, el("figcaption", said)))
        lines.append(f"  {said}: hidden {_where(each)}, the score is {percent(float(each.weights.max()))} lower")
    return _examples([e.right for e in found], [el("div", *figures, cls="reasons")], lines)


def _box_said(found: BoxReason) -> str:
    said = f"{shorten(found.box.label, CELL)} {percent(found.box.score, 0)}"
    if found.right:
        return f"✓ {said}"
    return f"✗ {said}, {f'is {shorten(found.truth, CELL)}' if found.truth else 'there is none'}"


def _where(found: BoxReason) -> str:
    y, x = np.unravel_index(int(found.weights.argmax()), found.weights.shape)
    box = found.box
    return "in its box" if box.x1 <= x <= box.x2 and box.y1 <= y <= box.y2 else "beside its box"


def framed(picture: np.ndarray, box: Box, shape: Sequence[int]) -> np.ndarray:
    """Return uint8[h, w, 3], enlarged to be seen, with a box that is in pixels of a picture of `shape`."""
    grown = _enlarged(picture, max(1, SIDE // max(picture.shape[:2])))
    scale = grown.shape[0] / shape[0]
    image = Image.fromarray(grown[..., 0] if grown.shape[2] == 1 else grown).convert("RGB")
    draw = ImageDraw.Draw(image)
    corners = [scale * side for side in (box.x1, box.y1, box.x2, box.y2)]
    for width, colour in ((4, (0, 0, 0)), (2, (255, 255, 255))):  # seen on any ground
        draw.rectangle(corners, outline=colour, width=width)
    return np.asarray(image)


def _enlarged(picture: np.ndarray, scale: int) -> np.ndarray:
    return picture.repeat(scale, 0).repeat(scale, 1)


def heat(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return uint8[h, w, 3]: the picture in grey under orange, where it speaks for the answer, and blue, against it."""
    scale = max(1, SIDE // max(image.shape[:2]))
    grey = np.asarray(Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("L"), np.float32)
    grey, weights = _enlarged(grey, scale), _enlarged(weights, scale)
    alpha = 0.8 * np.abs(weights) / max(float(np.abs(weights).max()), LEAST)
    colour = np.where(weights[..., None] > 0, np.array(FOR), np.array(AGAINST))
    return (alpha[..., None] * colour + (1 - alpha[..., None]) * grey[..., None]).clip(0, 255).astype(np.uint8)


def text_reasons(found: Sequence[tuple[Row, Sequence[Sequence[Weighted]]]], right: Sequence[bool]) -> Examples:
    """Return texts whose words are coloured by how much the score falls without them; `right`: which answers are."""
    shown, lines = [], []
    for (row, weights), good in zip(found, right, strict=True):
        said = _said(row.label, row.predicted, row.score or 0.0, good)
        texts = [str(text or "") for text in row.columns.values()]
        most = max((abs(weight) for spans in weights for *_, weight in spans), default=0.0)
        shown.append(
            el("div", el("b", said), *(el("div", *_coloured(t, w, most)) for t, w in _zip(texts, weights)), cls="why")
        )
        lines.append(f"  {said}: {'; '.join(_words(texts, weights)) or 'no word alone matters'}")
    return _examples(right, shown, lines)


def _zip(texts: Sequence[str], weights: Sequence[Sequence[Weighted]]) -> list[tuple[str, Sequence[Weighted]]]:
    return list(zip(texts, weights, strict=True))


def _coloured(text: str, spans: Sequence[Weighted], most: float) -> list[Markup | str]:
    parts: list[Markup | str] = []
    end = 0
    for start, stop, weight in spans:
        alpha = 0.65 * abs(weight) / max(most, LEAST)
        style = f"background: rgba{(*(FOR if weight > 0 else AGAINST), round(alpha, 2))}"
        title = f"{'for' if weight > 0 else 'against'}: {percent(abs(weight))}"
        parts += [text[end:start], el("span", text[start:stop], style=style, title=title)]
        end = stop
    return [*parts, text[end:]]


def _words(texts: Sequence[str], weights: Sequence[Sequence[Weighted]]) -> list[str]:
    """Return the words that matter most: those for the answer, and those against it."""
    found = [(weight, shorten(t[a:b], 24)) for t, spans in _zip(texts, weights) for a, b, weight in spans]
    sides = []
    for name, sign in (("for", 1), ("against", -1)):
        ranked = sorted((w for w in found if sign * w[0] >= LEAST), key=lambda w: -sign * w[0])[:SHOWN_WORDS]
        sides += (
            [f"{name} it {', '.join(f'{word} {percent(abs(weight))}' for weight, word in ranked)}"] if ranked else []
        )
    return sides


def _said(label: str, predicted: str, score: float, right: bool) -> str:
    truth = "" if right else f", is {shorten(label, CELL)}"
    return f"{'✓' if right else '✗'} {shorten(predicted, CELL)} {percent(score, 0)}{truth}"


def _examples(right: Sequence[bool], shown: Sequence[Markup], lines: Sequence[str]) -> Examples:
    wrong = len(right) - sum(right)
    title = f"{plural(wrong, 'mistake')}, the most confident first" if wrong else "no mistakes on these rows"
    title += f", and {plural(sum(right), 'right answer')}" if sum(right) else ""
    key = [
        el("span", words, style=f"background: rgba{(*colour, 0.5)}")
        for words, colour in (("speaks for the answer", FOR), ("speaks against it", AGAINST))
    ]
    html = el("div", el("style", Markup(STYLE)), el("div", *key, cls="key"), *shown)
    return Examples(title, html, "\n".join(lines))
