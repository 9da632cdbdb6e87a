"""Make the help-desk sample's Parquet files from the text beside them, after checking it.

    python -m sparknn_zoo.samples.make_help_desk

The rows depend on messages.tsv and faq.tsv alone; the bytes also on the version of pyarrow.
"""

import argparse
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

INTENTS = (
    "order_status",
    "return",
    "refund",
    "change_address",
    "cancel_order",
    "invoice",
    "payment_failed",
    "login",
    "warranty",
    "product_question",
    "complaint",
    "store_hours",
)
LANGUAGES = ("en", "zh")
SPLITS = ("train", "test")
LABELS = ("date", "email", "money", "order", "product")
SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])
MESSAGES = ("id", "split", "intent", "language", "spans", "text")  # columns of messages.tsv
FAQ = ("id", "intent", "language", "question", "answer")  # and of faq.tsv
_MARK = re.compile(r"\{(\w+):([^{}]*)\}")


def without_marks(marked: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a text without its marks, and where the entities are: 'order {order:#7}!' -> 'order #7!', [6 to 8].

    Raises: ValueError where a mark has no known label, is empty or has blanks at its ends, or a brace is left over.
    """
    text, end, spans = "", 0, []
    for mark in _MARK.finditer(marked):
        label, words = mark.groups()
        if label not in LABELS or not words or words != words.strip():
            raise ValueError(f"{mark.group()} is not a mark: the labels are {', '.join(LABELS)}")
        text += marked[end : mark.start()]
        spans.append({"start": len(text), "end": len(text) + len(words), "label": label})
        text, end = text + words, mark.end()
    text += marked[end:]
    if "{" in text or "}" in text:
        raise ValueError(f"a brace is left over in '{text}'")
    return text, spans


def normalized(text: str) -> str:
    """Return what two messages must not have in common: the letters, without case, digits, blanks and marks."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalpha())


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a file of columns between tabs, whose first line names them.

    Raises: ValueError with the line that has other columns, an empty one, or blanks at an end.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = []
    for n, line in enumerate(lines, 1):
        values = line.split("\t")
        if len(values) != len(columns) or any(not v or v != v.strip() for v in values):
            raise ValueError(f"{path.name}, line {n}: not the {len(columns)} columns {', '.join(columns)}")
        rows.append(dict(zip(columns, values, strict=True)))
    if not rows or tuple(rows[0].values()) != tuple(columns):
        raise ValueError(f"{path.name}: the first line does not name the columns {', '.join(columns)}")
    return rows[1:]


def messages(path: Path) -> dict[str, pa.Table]:
    """Return the checked rows of each split, by id: id int64, text, intent, language string, entities list of SPAN.

    Raises: ValueError where ids are not 1 to N, a word is not one of those above, two texts have the same letters, or
    the spans of a row without them are marked.
    """
    rows = sorted(read_rows(path, MESSAGES), key=lambda row: int(row["id"]))
    _known(rows, {"split": SPLITS, "intent": INTENTS, "language": LANGUAGES, "spans": ("yes", "no")})
    _numbered(rows)
    found: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    seen: dict[str, str] = {}
    for row in rows:
        text, spans = without_marks(row["text"])
        if spans and row["spans"] == "no":
            raise ValueError(f"message {row['id']} has marks and says that it has none")
        twin = seen.setdefault(normalized(text), row["id"])
        if twin != row["id"]:
            raise ValueError(f"messages {twin} and {row['id']} have the same letters: '{text}'")
        entities = spans if row["spans"] == "yes" else None
        kept = {"id": int(row["id"]), "text": text, "intent": row["intent"], "language": row["language"]}
        found[row["split"]].append(kept | {"entities": entities})
    string = pa.string()
    schema = pa.schema(
        [("id", pa.int64()), ("text", string), ("intent", string), ("language", string), ("entities", pa.list_(SPAN))]
    )
    return {split: pa.Table.from_pylist(kept, schema) for split, kept in found.items()}


def faq(path: Path) -> pa.Table:
    """Return the checked answers, by id: id int64, intent, question, answer, language string.

    Raises: ValueError as `messages` does, and where a question stands twice.
    """
    rows = read_rows(path, FAQ)
    _known(rows, {"intent": INTENTS, "language": LANGUAGES})
    _numbered(rows)
    if len({normalized(row["question"]) for row in rows}) < len(rows):
        raise ValueError(f"{path.name}: a question stands twice")
    order = ("id", "intent", "question", "answer", "language")
    table = pa.Table.from_pylist([{name: row[name] for name in order} for row in rows])
    return table.set_column(0, "id", table["id"].cast(pa.int64()))


def _known(rows: Iterable[dict[str, str]], words: dict[str, tuple[str, ...]]) -> None:
    for row in rows:
        for name, known in words.items():
            if row[name] not in known:
                raise ValueError(f"row {row['id']}: {name} is '{row[name]}', not one of {', '.join(known)}")


def _numbered(rows: Sequence[dict[str, str]]) -> None:
    if [row["id"] for row in rows] != [str(n) for n in range(1, len(rows) + 1)]:
        raise ValueError(f"the ids are not 1 to {len(rows)}, each once")


def main(arguments: list[str] | None = None) -> None:
    """Write the three files. `arguments` are the command line's words, those of the process when None."""
    here = Path(__file__).parent / "help_desk"
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--source", type=Path, default=here, help="the folder of messages.tsv and faq.tsv")
    parser.add_argument("--out", type=Path, default=here, help="the folder to write to")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    tables = messages(options.source / "messages.tsv") | {"faq": faq(options.source / "faq.tsv")}
    for name, table in tables.items():
        path = options.out / f"{name}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=19)
        print(f"{path}: {table.num_rows} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
