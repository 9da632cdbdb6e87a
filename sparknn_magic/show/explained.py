"""What answers hang on: pictures under a map of weights, texts with coloured words."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from sparknn_magic.show.example import Example, Row
from sparknn_magic.show.examples import CELL, Examples
from sparknn_magic.show.markup import Markup, el, image_uri
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


def heat(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return uint8[h, w, 3]: the picture in grey under orange, where it speaks for the answer, and blue, against it."""
    scale = max(1, SIDE // max(image.shape[:2]))
    grey = np.asarray(Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("L"), np.float32)
    grey, weights = (np.kron(each, np.ones((scale, scale), np.float32)) for each in (grey, weights))
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
