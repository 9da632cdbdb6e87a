"""Labels in any script on a matplotlib figure: fonts that have the characters, and a box where none has."""

from collections.abc import Sequence
from functools import lru_cache

from matplotlib import font_manager

from sparknn_magic.show.words import plain, shorten

BASE = "DejaVu Sans"  # comes with matplotlib
BOX = "□"


def lettered(labels: Sequence[str], limit: int, *, numbered: bool = False) -> tuple[list[str], list[str]]:
    """Return the labels, shortened to `limit` columns, and the font families that draw them.

    A character that no installed font has becomes a box, so that matplotlib has nothing to warn of. A label of
    boxes alone says nothing: where `numbered`, it becomes `class 7`, its place among the labels.
    """
    short = [shorten(label, limit) for label in labels]
    families = [BASE]
    for c in sorted({c for label in short for c in label if not _has(_path(BASE), c)}):
        family = _family_with(c)
        if family and family not in families:
            families.append(family)
    drawn = ["".join(c if any(_has(_path(f), c) for f in families) else BOX for c in label) for label in short]
    if numbered:
        drawn = [f"class {i}" if d.strip(BOX + " …") == "" and BOX in d else d for i, d in enumerate(drawn)]
    return drawn, families


def lettered_text(text: str) -> tuple[str, list[str]]:
    """Return one line of text and the font families that draw it, as `lettered` does for labels."""
    drawn, families = lettered([plain(text)], limit=200)
    return drawn[0], families


@lru_cache(maxsize=256)
def _path(family: str) -> str:
    return str(font_manager.findfont(font_manager.FontProperties(family=[family])))


@lru_cache(maxsize=64)
def _characters(path: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(path).get_charmap())


def _has(path: str, c: str) -> bool:
    return ord(c) in _characters(path)


@lru_cache(maxsize=4096)
def _family_with(c: str) -> str | None:
    """Return an installed upright family that has the character, or None."""
    upright = [f for f in font_manager.fontManager.ttflist if f.style == "normal" and not _unfit(f.name)]
    for font in sorted(upright, key=lambda f: ("CJK" not in f.name, "Sans" not in f.name, f.name)):
        if _has(font.fname, c) and _has(_path(font.name), c):
            return str(font.name)
    return None


def _unfit(name: str) -> bool:
    # Fonts of placeholders, of mathematics under private codes, and of coloured pictures, which matplotlib cannot draw.
    return name.startswith(("Last Resort", "cm", "STIXSize", "STIXNonUnicode", "DejaVu Sans Display")) or (
        "Emoji" in name and "Color" in name
    )
