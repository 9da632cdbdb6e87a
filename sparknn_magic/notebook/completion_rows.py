"""Tables, views, DataFrames and their columns, for completion: of the session that is active, and only what is quick.

Nothing here starts Spark or runs a job: tables are listed and analysed, which the driver answers alone. Whatever takes
longer than a moment is left for the next keystroke.
"""

import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sparknn_magic.spec.values import is_frame

WAIT = 0.25  # seconds that a keystroke waits for the catalog
KEPT = 5.0  # seconds that its answer holds
KEYWORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "JOIN", "LEFT JOIN", "INNER JOIN", "ON", "AS",
    "AND", "OR", "NOT", "IS NULL", "IS NOT NULL", "IN", "BETWEEN", "LIKE", "CASE WHEN", "THEN", "ELSE", "END",
    "DISTINCT", "UNION ALL", "CAST", "WITH",
)  # fmt: skip
_BEGINS = re.compile(r"\s*\(?\s*(select|with|from|values|table)\b\s", re.IGNORECASE)
_AFTER_FROM = re.compile(r"\b(?:from|join|table)\s+(?:[\w.`]+(?:\s+(?:as\s+)?\w+)?\s*,\s*)*$", re.IGNORECASE)
_TABLES = re.compile(r"\b(?:from|join|table)\s+((?:`[^`]+`|[\w-]+)(?:\.(?:`[^`]+`|\w+))*)", re.IGNORECASE)
_WORD = re.compile(r"[\w.`]*\Z")


class Offer(NamedTuple):
    """One completion, and what it is, for the frontend's list."""

    text: str
    kind: str


class Catalog(Protocol):
    """What completion asks of a session; every answer may be empty."""

    def tables(self, database: str = "") -> Sequence[str]:
        """Return the names of tables and views, those of the current database without one."""

    def columns(self, table: str) -> Sequence[str]:
        """Return the columns of a table or view."""

    def columns_of(self, frame: Any) -> Sequence[str]:
        """Return the columns of a DataFrame."""


class NoCatalog:
    """No session."""

    def tables(self, database: str = "") -> Sequence[str]:
        """Return nothing."""
        return ()

    def columns(self, table: str) -> Sequence[str]:
        """Return nothing."""
        return ()

    def columns_of(self, frame: Any) -> Sequence[str]:
        """Return nothing."""
        return ()


class SparkCatalog:
    """The active session's catalog, asked in a thread of its own: a slow metastore must not hold up the typing."""

    def __init__(self, wait: float = WAIT, kept: float = KEPT, session: Callable[[], Any] | None = None):
        self.wait, self.kept, self._session = wait, kept, session or active_session
        self._known: dict[Hashable, tuple[float, Sequence[str]]] = {}
        self._asked: dict[Hashable, threading.Event] = {}
        self._questions: queue.SimpleQueue[tuple[Hashable, Callable[[], Sequence[str]]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def tables(self, database: str = "") -> Sequence[str]:
        """Return the names of tables and views, those of the current database without one."""
        if (spark := self._session()) is None:
            return ()
        query = f"SHOW TABLES IN `{database}`" if database else "SHOW TABLES"
        return self._ask((id(spark), query), lambda: [row.tableName for row in spark.sql(query).collect()])

    def columns(self, table: str) -> Sequence[str]:
        """Return the columns of a table or view."""
        if (spark := self._session()) is None:
            return ()
        return self._ask((id(spark), "columns", table), lambda: spark.table(table).columns)

    def columns_of(self, frame: Any) -> Sequence[str]:
        """Return the columns of a DataFrame of Spark or pandas."""
        if type(frame).__module__.startswith("pandas"):
            return [str(name) for name in frame.columns]
        return self._ask((id(frame), "frame"), lambda: frame.columns)

    def _ask(self, key: Hashable, look: Callable[[], Sequence[str]]) -> Sequence[str]:
        asked, known = self._known.get(key, (0.0, ()))
        if asked and time.monotonic() - asked < self.kept:
            return known
        if key not in self._asked:
            self._asked[key] = threading.Event()
            self._questions.put((key, look))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._answer, name="sparknn-completion", daemon=True)
                self._thread.start()
        if (waiting := self._asked.get(key)) is not None:
            waiting.wait(self.wait)
        return self._known.get(key, (0.0, known))[1]

    def _answer(self) -> None:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        while True:
            key, look = self._questions.get()
            try:
                answer = list(look())
            except (PySparkException, Py4JError, OSError):  # no such table, no connection: nothing to offer
                answer = []
            self._known[key] = (time.monotonic(), answer)
            self._asked.pop(key).set()


def active_session() -> Any:
    """Return the active session, None where there is none or Spark was never imported."""
    if "pyspark" not in sys.modules:
        return None
    from sparknn_magic.errors import SessionError
    from sparknn_magic.sessions import active

    try:
        return active()
    except SessionError:  # its Java process is gone: said by the next cell that needs it
        return None


def frames(names: Mapping[str, Any]) -> list[str]:
    """Return the names of the notebook's DataFrames."""
    return sorted(name for name, value in names.items() if not name.startswith("_") and is_frame(value))


def source_offers(text: str, whole: str, names: Mapping[str, Any], catalog: Catalog) -> tuple[list[Offer], str]:
    """Return what may stand at the end of a source of rows, and the piece of `text` that it replaces.

    A source is SQL, a table, a view or a DataFrame's name; `whole` is the text with what follows the cursor.
    """
    if _BEGINS.match(text):
        return sql_offers(text, whole, catalog)
    word = text.lstrip()
    if re.search(r"\s", word):
        return [], ""
    offers = [Offer(name, "DataFrame") for name in frames(names)] + _tables(word, catalog)
    return [*offers, *_keywords(word, ("SELECT",))], word


def sql_offers(
    text: str, whole: str, catalog: Catalog, columns: Iterable[str] = (), rows: str = ""
) -> tuple[list[Offer], str]:
    """Return what may stand at the end of a query or an expression, and the piece of `text` that it replaces.

    `columns` are names that it knows besides those of its tables; `rows` is what stands for the rows ({data}).
    """
    if rows and (found := re.search(r"\{\w*\Z", text)) is not None:
        return [Offer(rows, "rows")], found.group()
    found = _WORD.search(text)
    word = found.group() if found is not None else ""
    if _AFTER_FROM.search(text[: len(text) - len(word)]):
        return [*([Offer(rows, "rows")] if rows else []), *_tables(word, catalog)], word
    qualifier, dot, _ = word.rpartition(".")
    known = [column for table in tables_in(whole) for column in catalog.columns(table)]
    offers = [Offer(f"{qualifier}{dot}{_quoted(name)}", "column") for name in dict.fromkeys([*columns, *known])]
    return [*offers, *(_keywords(word) if not dot else [])], word


def _tables(word: str, catalog: Catalog) -> list[Offer]:
    database, dot, _ = word.replace("`", "").rpartition(".")
    return [Offer(f"{database}{dot}{_quoted(name)}", "table") for name in catalog.tables(database)]


def _keywords(word: str, keywords: Iterable[str] = KEYWORDS) -> list[Offer]:
    if not word:
        return []
    return [Offer(each.lower() if word.islower() else each, "keyword") for each in keywords]


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"\w+", name) and not name[0].isdigit() else f"`{name.replace('`', '``')}`"


def tables_in(query: str) -> list[str]:
    """Return the tables that a query names, however unfinished it is."""
    return list(dict.fromkeys(_TABLES.findall(query)))


def columns_of(source: str, names: Mapping[str, Any], catalog: Catalog) -> list[str]:
    """Return the columns of a source's rows, as far as they can be told without running anything."""
    if is_frame(names.get(source)):
        return list(catalog.columns_of(names[source]))
    if not _BEGINS.match(source):
        return list(catalog.columns(source)) if re.fullmatch(r"[\w.`-]+", source) else []
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    known = [column for table in tables_in(source) for column in catalog.columns(table)]
    try:
        query = parse_one(source, read="spark")
    except SqlglotError:
        return known
    if not isinstance(query, exp.Query):
        return known
    selected = [name for name in query.named_selects if name and name != "*"]
    return list(dict.fromkeys(selected + (known if query.is_star or not selected else [])))
