"""Which of a source's columns a task may read: by what its type can hold, then by its name. Knows Spark's type words.

A task says in `roles` what each of its columns holds. Of words that are not among `FITS` nothing is known: every column
fits, and none is guessed.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sparknn_magic.data.job import check_image_type
from sparknn_magic.errors import DataError

_WHOLE = r"(?:tinyint|smallint|int|bigint)"
_NUMBER = rf"(?:{_WHOLE}|float|double|decimal\(\d+,\s*-?\d+\))"
_TEXT = r"(?:string|varchar|char)(?:\(\d+\))?(?: collate \w+)?"
_FOUR = rf"struct<\w+:{_NUMBER}(?:,\w+:{_NUMBER}){{3}}>"
# Names that a column of this role often has, the likeliest first; compared without regard to case.
USUAL: dict[str, tuple[str, ...]] = {
    "image": ("image", "img", "picture", "photo", "content"),
    "label": ("label", "class", "target", "category", "y"),
    "text": ("text", "body", "message", "sentence", "content", "words", "tokens"),
    "boxes": ("boxes", "bboxes", "bounding_boxes"),
    "labels": ("labels", "classes", "categories"),
}


class Column(NamedTuple):
    """A column of a source of rows."""

    name: str
    type: str  # as Spark writes it: `simpleString`


def _is(*patterns: str) -> Callable[[str], bool]:
    whole = re.compile("|".join(patterns))
    return lambda kind: whole.fullmatch(kind) is not None


def _picture(kind: str) -> bool:
    try:
        check_image_type(kind)
    except DataError:  # no picture; or one in a flat array, whose shape only the user knows
        return False
    return True


_TAGS = rf"array<{_TEXT}>"
_CLASSES = (_TEXT, _WHOLE, "boolean")
FITS: dict[str, Callable[[str], bool]] = {
    "a picture": _picture,
    "a class": _is(*_CLASSES),
    "a class, or several": _is(*_CLASSES, _TAGS),
    "a number": _is(_NUMBER),
    "a text": _is(_TEXT),
    "a text, or words": _is(_TEXT, _TAGS),
    "entities, or tags of words": _is(_TAGS, r"array<struct<(?=.*\bstart:)(?=.*\bend:)(?=.*\blabel:).*>>"),
    "boxes": _is(rf"array<array<{_NUMBER}>>", rf"array<{_FOUR}>"),
    "the boxes' classes": _is(_TAGS, rf"array<{_WHOLE}>"),
    "features": _is(_NUMBER, "boolean", _TEXT, rf"array<(?:{_NUMBER}|boolean)>", "vector"),
}
SEVERAL = ("features",)  # what more than one column may hold; none chosen: all others


def fitting(holds: str, columns: Iterable[Column]) -> list[str]:
    """Return the names of the columns whose type can hold this; all of them where nobody knows what it is."""
    fits = FITS.get(holds)
    return [column.name for column in columns if fits is None or fits(column.type)]


def guess(roles: Mapping[str, str], columns: Sequence[Column]) -> dict[str, str]:
    """Return for each role that one column fills the likeliest one, "" where none fits.

    A usual name goes before the others; of those the label is the last, everything else the first.
    """
    found: dict[str, str] = {}
    for role, holds in roles.items():
        if holds in SEVERAL:
            continue
        free = [name for name in fitting(holds, columns) if name not in found.values()]
        by_name = {name.lower(): name for name in reversed(free)}
        usual = [by_name[name] for name in (role, *USUAL.get(role, ())) if name in by_name]
        likely = (free[-1:] if role == "label" else free[:1]) if holds in FITS else []
        found[role] = next(iter([*usual, *likely]), "")
    return found
