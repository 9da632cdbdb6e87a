"""Named entities, as text, cards and reports show them: their figures, and texts with the entities marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.parts import section, tile
from sparknn_magic.show.words import count, figure, percent, plain, plural, shorten

Span = tuple[int, int, str]  # start, end, label

# What stands in one of the two lines alone is framed by dashes; not the colour alone tells it.
MARKS = """
.tagged { margin: 0 0 18px; } .tagged:last-child { margin-bottom: 0; }
.tagged div { display: flex; gap: 12px; padding: 2px 0; line-height: 1.9; }
.tagged .name { flex: 0 0 76px; color: var(--soft); font-size: 13px; }
.tagged p { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; min-width: 0; }
.tagged mark { color: inherit; background: rgba(var(--hit), 0.16); border: 1px solid rgba(var(--hit), 0.5);
  border-radius: 4px; padding: 1px 4px; }
.tagged mark.miss { background: rgba(var(--miss), 0.16); border: 1px dashed rgb(var(--miss)); }
.tagged mark small { font-size: 11px; font-weight: 600; color: var(--soft); margin-left: 5px; }
"""


@dataclass(frozen=True)
class Tagged:
    """A text with its true and its predicted entities, in characters of it."""

    text: str
    true: Sequence[Span]
    predicted: Sequence[Span]


def tagged_text(text: str, true: Sequence[Span], predicted: Sequence[Span]) -> Tagged:
    """Return the beginning of a text with the entities in it."""
    return Tagged(text, *([span for span in spans if span[0] < len(text)] for spans in (true, predicted)))


def tagged_words(words: Sequence[str], true: Sequence[Span], predicted: Sequence[Span]) -> Tagged:
    """Return words as a text; their entities' places are those of words."""
    starts, place = [], 0
    for word in words:
        starts.append(place)
        place += len(word) + 1

    def spans(of_words: Sequence[Span]) -> list[Span]:
        ends = ((a, min(b, len(words)), label) for a, b, label in of_words if a < len(words))
        return [(starts[a], starts[b - 1] + len(words[b - 1]), label) for a, b, label in ends]

    return Tagged(" ".join(words), spans(true), spans(predicted))


def mistakes(rows: Sequence[Tagged]) -> Markup | None:
    """Return the texts that have most mistakes, with the entities marked; None where there are none."""
    if not rows:
        return None
    note = "What only one of the two lines has is framed by dashes."
    return section("The texts with most mistakes", note, el("style", Markup(MARKS)), *map(tagged_lines, rows))


def tagged_lines(row: Tagged) -> Markup:
    """Return a text twice, with its true and with its predicted entities."""
    both = set(row.true) & set(row.predicted)
    lines = (("true", row.true), ("predicted", row.predicted))
    return el("div", *(el("div", el("span", n, cls="name"), _line(row.text, s, both)) for n, s in lines), cls="tagged")


def marked(text: str, spans: Sequence[Span]) -> Markup:
    """Return a text with its entities marked."""
    return _line(text, spans, set(spans))


def _line(text: str, spans: Sequence[Span], both: set[Span]) -> Markup:
    parts: list[Any] = []
    place = 0
    for start, end, label in sorted(spans):
        kind = None if (start, end, label) in both else "miss"
        words = _shown(text[max(start, place) : end])
        parts += [_shown(text[place:start]), el("mark", words, el("small", shorten(label, 24)), cls=kind)]
        place = max(end, place)
    return el("p", *parts, _shown(text[place:]), dir="auto")


def _shown(text: str) -> str:
    """Return a piece of a text with control and direction marks as escapes, its blanks as they are."""
    return "".join(c if c in " \t\n" or c.isalnum() else plain(f"x{c}x")[1:-1] for c in text)


def support(metrics: Mapping[str, Any]) -> tuple[str, int]:
    """Return what the figures of a class are counted over, and how many there are: rows, or entities."""
    return ("entities", metrics["entities"]) if "entities" in metrics else ("rows", metrics["rows"])


def entity_figures(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value and a remark of each figure of entities."""
    found = plural(metrics["predicted_entities"], "was found", "were found")
    return [
        ("F1", figure(metrics["f1"]), "of whole entities: start, end and label are right"),
        ("precision", figure(metrics["micro"]["precision"]), "share of the found ones that are true"),
        ("recall", figure(metrics["micro"]["recall"]), "share of the true ones that are found"),
        ("macro F1", figure(metrics["macro"]["f1"]), "mean over the labels"),
        ("entities", count(metrics["entities"]), found),
        ("rows all right", percent(metrics["rows_right"], 2), "with all their entities, and no other"),
    ]


def entity_tiles(metrics: Mapping[str, Any]) -> list[Markup]:
    """Return the report's tiles beside the one of F1."""
    return [tile(name[0].upper() + name[1:], value, note) for name, value, note in entity_figures(metrics)[1:]]


def how_good(metrics: Mapping[str, Any]) -> str:
    """Return the sentence of the model card."""
    micro = metrics["micro"]
    return (
        f"it finds entities with an F1 of **{figure(metrics['f1'])}** (precision {figure(micro['precision'])}, recall "
        f"{figure(micro['recall'])}; start, end and label must be right)"
    )
