"""What a query does to the rows that go in: does it choose among them, and which columns does it change?

Read from Spark's text of the analyzed plan, where each operator stands on a line of its own and every column has a
number that it keeps as long as nothing is computed from it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

ROWS = "sparknn_rows"  # the alias by which the rows that go in are found in the plan
_LINE = re.compile(r"(?P<lead>(?:[: ] {2})*(?:[:+]- )?)(?P<text>[A-Z].*)")
_KEEPS = (
    "Project",
    "SubqueryAlias",
    "View",
    "PipeOperator",
    "CTERelationDef",
    "ResolvedHint",
    "Repartition",
    "RepartitionByExpression",
    "RebalancePartitions",
)
_WORDS = {
    "Filter": "WHERE",
    "Aggregate": "GROUP BY",
    "Distinct": "DISTINCT",
    "Deduplicate": "DISTINCT",
    "Sort": "ORDER BY",
    "GlobalLimit": "LIMIT",
    "LocalLimit": "LIMIT",
    "Offset": "OFFSET",
    "Window": "a window",
    "Generate": "explode",
    "Sample": "TABLESAMPLE",
    "Join": "a join that can drop rows",
    "Union": "UNION",
}


@dataclass(frozen=True)
class Shape:
    """What a query does to rows."""

    chooses: tuple[str, ...]  # by what it drops, adds or mixes rows, in SQL's words; empty: row by row
    changed: frozenset[str]  # columns, in small letters, that do not come out as they went in


@dataclass
class Node:
    """An operator of a plan."""

    text: str
    below: list["Node"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its first word."""
        return self.text.split(" ")[0].split("(")[0]

    def has_rows(self) -> bool:
        """Tell whether the rows that go in are somewhere below."""
        return self.text == f"SubqueryAlias {ROWS}" or any(node.has_rows() for node in self.below)


def shape_of(frame: DataFrame, query: Callable[[DataFrame], DataFrame]) -> Shape:
    """Return what a query does to a frame."""
    rows = query(frame.alias(ROWS))
    # An SQL text, because a Connect session has no other way to a plan.
    text = frame.sparkSession.sql("EXPLAIN EXTENDED SELECT * FROM {rows}", rows=rows).collect()[0][0]
    plan = text.partition("== Analyzed Logical Plan ==\n")[2].partition("\n== Optimized Logical Plan ==")[0]
    top = _tree(plan.splitlines()[1:])  # the first line is the schema
    found: dict[str, None] = {}
    _choices(top, _definitions(top), found)
    return Shape(tuple(found), _changed(top, frame, rows))


def _tree(lines: list[str]) -> Node:
    """Return the operators of a plan's text as a tree."""
    top = Node("")
    way = [top]
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or (not match["lead"] and len(way) > 1):  # the rest of a text with a line break in it
            continue
        depth = len(match["lead"]) // 3
        node = Node(match["text"])
        del way[depth + 1 :]
        way[-1].below.append(node)
        way.append(node)
    return top.below[0] if top.below else top


def _definitions(node: Node) -> dict[str, Node]:
    """Return the queries of WITH, by their numbers."""
    found = {node.text.split(" ")[1].rstrip(","): node} if node.name == "CTERelationDef" else {}
    for each in node.below:
        found |= _definitions(each)
    return found


def _choices(node: Node, definitions: dict[str, Node], found: dict[str, None]) -> None:
    """Collect the operators between the top and the rows that are not row by row."""
    if node.text == f"SubqueryAlias {ROWS}":
        return
    if node.name == "CTERelationRef":
        _choices(definitions[node.text.split(" ")[1].rstrip(",")], definitions, found)
    elif node.name == "WithCTE":
        _choices(node.below[-1], definitions, found)
    elif (node.name in _KEEPS or node.text == "Filter true") and node.below:
        *aside, main = node.below  # subqueries stand before the rows that they are beside
        if any(_reads_rows(each, definitions) for each in aside):
            found["a subquery over all rows"] = None
        _choices(main, definitions, found)
    elif node.text.startswith("Join LeftOuter") and not _reads_rows(node.below[1], definitions):
        _choices(node.below[0], definitions, found)
    elif node.name in _WORDS:
        found[_WORDS[node.name]] = None
        for each in node.below:
            if _reads_rows(each, definitions):
                _choices(each, definitions, found)
    elif not node.below:
        found["rows of its own"] = None
    else:
        found[node.name] = None


def _reads_rows(node: Node, definitions: dict[str, Node]) -> bool:
    if node.name == "CTERelationRef":
        return _reads_rows(definitions[node.text.split(" ")[1].rstrip(",")], definitions)
    return node.text == f"SubqueryAlias {ROWS}" or any(_reads_rows(each, definitions) for each in node.below)


def _changed(top: Node, frame: DataFrame, rows: DataFrame) -> frozenset[str]:
    """Return the columns of the frame that do not come out under their own name and number."""
    before = _numbers(_rows_node(top), frame.columns)
    after = _numbers(top, rows.columns)
    same = {name for name, number in after.items() if number is not None and before.get(name) == number}
    return frozenset({*before, *after} - same)


def _numbers(node: Node | None, names: list[str]) -> dict[str, str | None]:
    """Return the number of each column that an operator's text lists; None where it cannot be told."""
    numbers = re.findall(r"#(\d+)L?", node.text) if node is not None else []
    known = numbers if len(numbers) == len(names) else [None] * len(names)
    return {name.lower(): number for name, number in zip(names, known, strict=True)}


def _rows_node(node: Node) -> Node | None:
    """Return the operator whose text lists the columns of the rows that go in."""
    if node.text == f"SubqueryAlias {ROWS}":
        return node.below[0] if node.below else None
    return next((found for each in node.below if (found := _rows_node(each)) is not None), None)


@dataclass(frozen=True)
class Rest:
    """A query without the clauses that choose rows, and those clauses."""

    sql: str
    cut: str


def without_choice(sql: str) -> Rest | None:
    """Cut WHERE, ORDER BY, LIMIT, DISTINCT and the like out of a query's own SELECT; None where it has none.

    By the places of its words in the text: what remains stands there as it was written.
    """
    from sqlglot.dialects.spark import Spark
    from sqlglot.errors import TokenError
    from sqlglot.tokens import TokenType as T

    clauses = {T.WHERE, T.ORDER_BY, T.SORT_BY, T.CLUSTER_BY, T.DISTRIBUTE_BY, T.LIMIT, T.OFFSET}
    ends = clauses | {T.GROUP_BY, T.HAVING, T.QUALIFY, T.WINDOW, T.UNION, T.EXCEPT, T.INTERSECT, T.SEMICOLON}
    try:
        tokens = Spark().tokenize(sql)
    except TokenError:
        return None
    if any(token.text in ("|>", "|") for token in tokens):  # its clauses stand one after the other, in any order
        return None
    depth, outer, after_select = 0, [], False
    for token in tokens:
        depth += (token.token_type == T.L_PAREN) - (token.token_type == T.R_PAREN)
        if depth == 0:
            outer.append((token, after_select))
        after_select = token.token_type == T.SELECT
    spans: list[tuple[int, int]] = []
    for n, (token, selected) in enumerate(outer):
        if token.token_type in clauses:
            end = next((t.start for t, _ in outer[n + 1 :] if t.token_type in ends), len(sql))
            spans.append((token.start, end))
        elif token.token_type == T.DISTINCT and selected:
            spans.append((token.start, token.end + 1))
    if not spans:
        return None
    kept, at = "", 0
    for start, end in spans:
        kept, at = kept + sql[at:start], end
    return Rest((kept + sql[at:]).strip(), " ".join(" ".join(sql[a:b].split()) for a, b in spans))
