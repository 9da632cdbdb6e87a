"""A whole HTML document around what a notebook's output shows; it loads nothing."""

from pathlib import Path

from sparknn_magic.show.markup import Markup, el

STYLE = "body { margin: 24px; font-family: system-ui, sans-serif; }"


def page(shown: str, title: str) -> str:
    """Return the document; `shown` is HTML."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("style", Markup(STYLE)),
    )
    return f"<!doctype html>\n{el('html', head, el('body', Markup(shown)), lang='en')}\n"


def write_page(path: str | Path, shown: str, title: str) -> Path:
    """Write the document to a file, whose folder is made where it is missing; return its path."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(shown, title), encoding="utf-8")
    return file
