"""A running stream as text and HTML: where its rows go, how far it is, and how to stop it. Knows no Spark."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import el
from sparknn_magic.show.words import count, near, plain, plural, table


def stream_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines `name, text` of a stream.

    `facts` are those of `stream.Stream.facts`; with `variable`, the notebook's name of it, they say how to stop it.
    """
    done = f"{plural(facts['batches'], 'batch', 'batches')} done"
    if facts["recent"]:
        all_of_them = facts["recent"] == facts["batches"]
        rows = plural(facts["rows"], "row")
        done += f", with {rows}" if all_of_them else f", {rows} in the last {facts['recent']}"
    rate = f", {count(facts['rate'])} rows/s" if facts["rate"] else ""
    lines = [
        ("state", f"{_state(facts)}: {done}{rate}"),
        ("rows", _rows(facts)),
        ("checkpoint", near(facts["checkpoint"])),
    ]
    if facts["active"]:
        variable = facts.get("variable")
        stop = f"{variable}.stop()" if variable else ".stop()"
        lines.append(("stop it", f"{stop}; started again, it goes on where it was"))
    return lines


def stream_title(facts: Mapping[str, Any]) -> str:
    """Return the head line of a stream."""
    return f"{plain(facts['name'])}: a stream"


def stream_text(facts: Mapping[str, Any]) -> str:
    """Return a stream as text."""
    return f"{stream_title(facts)}\n{table([list(line) for line in stream_facts(facts)], 'll', indent='  ')}"


def stream_html(facts: Mapping[str, Any]) -> str:
    """Return a stream as HTML for a notebook."""
    rows = [el("tr", el("th", name), el("td", text)) for name, text in stream_facts(facts)]
    return scoped(el("div", stream_title(facts), cls="title"), el("table", el("tbody", *rows), cls="facts"))


def _state(facts: Mapping[str, Any]) -> str:
    if facts["active"]:
        return "running"
    return f"failed: {plain(facts['error'])}" if facts["error"] else "stopped"


def _rows(facts: Mapping[str, Any]) -> str:
    folder = near(facts["folder"]) if facts["folder"] else None
    if facts["table"] is None:
        return f"Parquet in {folder}"
    return f"the table {plain(facts['table'])}" + (f", Parquet in {folder}" if folder else "")


@dataclass
class StreamState:
    """What a display that follows a stream shows: what it was told last."""

    facts: dict[str, Any] = field(default_factory=dict)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in one event, whose facts are those of the stream."""
        self.facts = dict(event["facts"])

    def text(self) -> str:
        """Return the stream as text."""
        return stream_text(self.facts) if self.facts else ""

    def html(self) -> str:
        """Return the stream as HTML."""
        return stream_html(self.facts) if self.facts else ""

    def interrupt(self) -> None:
        """Nothing to note: the stream goes on."""
