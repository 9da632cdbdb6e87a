"""Markdown of a card: text that stays text, code blocks that stay whole, tables."""

import re
from collections.abc import Sequence

from sparknn_magic.show.words import plain, plural


def code_block(markdown: str, language: str = "python", nth: int = 0) -> str:
    """Return the text of the nth fenced block of that language in a Markdown text.

    Raises: ValueError where there are not so many.
    """
    blocks = re.findall(rf"^(`{{3,}}){re.escape(language)}\n(.*?)^\1$", markdown, flags=re.DOTALL | re.MULTILINE)
    if nth >= len(blocks):
        raise ValueError(f"the text has {plural(len(blocks), 'block')} of {language}, not {nth + 1}.")
    return str(blocks[nth][1])


def escaped(text: object) -> str:
    """Return a label as Markdown shows it letter for letter, inside a line or a table cell: no markup survives."""
    words = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", words)


def fenced(text: str, language: str) -> str:
    """Return a code block whose fence is longer than any inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Return a Markdown table whose first row is the head; the cells are Markdown already."""
    rule = ["---:" if a == "r" else "---" for a in align]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def in_code(text: str) -> str:
    """Return text for a code span, its backticks replaced."""
    # Inside a code span only a backtick ends it, and nothing can escape one.
    return text.replace("`", "'")
