"""SQL text -> tree, by sqlglot's parser of Spark's dialect. Whatever is not on the list is refused where it stands."""

import math
from collections.abc import Callable

from sqlglot import exp, parse_one
from sqlglot.errors import ParseError, SqlglotError

from sparknn_magic.errors import did_you_mean
from sparknn_magic.spec.expression_tree import (
    ALIASES,
    CHOICES,
    CONSTANTS,
    KNOWN,
    LISTED,
    NAMES,
    NUMERIC,
    OUTPUTS,
    ExpressionError,
    Node,
    fault,
)
from sparknn_magic.spec.marks import cut

MAX_CHARACTERS = 10_000
MAX_DEPTH = 100
TOO_DEEP = f"this SQL is nested more than {MAX_DEPTH} levels deep."
PREFIX = "SELECT "  # so that sqlglot reads an expression and never a statement

BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.EQ: "=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "<=>",
    exp.And: "and",
    exp.Or: "or",
}
NEGATED: dict[type[exp.Expr], str] = {exp.NEQ: "=", exp.NullSafeNEQ: "<=>"}
FLOATS = (exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT)


def parse_expression(text: str) -> Node:
    """Return the tree of an SQL expression.

    Raises: ExpressionError with the line and column in the SQL, and the list of what is allowed.
    """
    if not text.strip():
        raise fault(text, 0, "there is no SQL here.", hint="For example: -ln(probability(label))")
    if len(text) > MAX_CHARACTERS:
        raise fault(text, 0, f"this SQL has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read.")
    try:
        query = parse_one(PREFIX + text, dialect="spark")
    except ParseError as error:
        raise _unreadable(text, error) from None
    except SqlglotError:  # of the tokenizer: it has no place for us
        raise fault(text, 0, "a quote or a comment in this SQL is never closed.") from None
    except RecursionError:
        raise fault(text, 0, TOO_DEEP) from None
    clauses = [key for key, value in query.args.items() if value and key not in ("expressions", "kind")]
    if not isinstance(query, exp.Select) or clauses:
        raise fault(text, 0, "an expression is expected here, not a query.")
    if len(query.expressions) != 1:
        second = _Reader(text).offset(query.expressions[1]) if query.expressions else 0
        raise fault(text, second, "one expression is expected, not several.")
    return _Reader(text).read(query.expressions[0], 0)


def _unreadable(text: str, error: ParseError) -> ExpressionError:
    if text.split(None, 1)[0].lower() in ("select", "with", "from"):
        return fault(text, 0, "an expression is expected here, not a query.")
    found = error.errors[0] if error.errors else {}
    word = str(found.get("highlight") or "").strip()
    line, column = int(found.get("line") or 1), int(found.get("col") or 1)
    starts = [0, *(n + 1 for n, char in enumerate(text) if char == "\n")]
    offset = starts[min(line, len(starts)) - 1] + column - len(word) - (len(PREFIX) if line == 1 else 0)
    near = f" near `{cut(word)}`" if word and word != PREFIX.strip() else ""
    return fault(text, min(max(offset, 0), len(text)), f"the SQL cannot be read{near}: something is missing or extra.")


class _Reader:
    """Turns sqlglot's nodes into ours."""

    def __init__(self, text: str):
        self.text = text

    def offset(self, node: exp.Expr) -> int:
        """Return where a node starts: its own place, or that of the first thing below it."""
        starts = [n.meta["start"] for n in node.walk() if "start" in n.meta]
        return max(min(starts, default=len(PREFIX)) - len(PREFIX), 0)

    def fault(self, node: exp.Expr, message: str, hint: str | None = LISTED) -> ExpressionError:
        return fault(self.text, self.offset(node), message, hint=hint)

    def read(self, node: exp.Expr, depth: int) -> Node:
        """Return our node for one of sqlglot's, and for all below it."""
        if depth > MAX_DEPTH:
            raise self.fault(node, TOO_DEEP, None)

        def make(op: str, *args: exp.Expr) -> Node:
            return Node(op, tuple(self.read(arg, depth + 1) for arg in args), at=self.offset(node))

        kind = type(node)
        if kind is exp.Paren:
            return self.read(node.this, depth + 1)
        if kind in BINARY:
            return make(BINARY[kind], node.this, node.expression)
        if kind in NEGATED:
            return Node("not", (make(NEGATED[kind], node.this, node.expression),), at=self.offset(node))
        if isinstance(node, exp.Neg | exp.Not):
            return make("neg" if kind is exp.Neg else "not", node.this)
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            return make("is null", node.this)
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            return make("between", node.this, node.args["low"], node.args["high"])
        if isinstance(node, exp.In) and node.expressions:
            return make("in", node.this, *node.expressions)
        if isinstance(node, exp.Case | exp.If):
            return self.case(node, depth)
        if isinstance(node, exp.Cast):
            return self.cast(node, depth)
        if isinstance(node, exp.Literal | exp.Null | exp.Boolean | exp.Column):
            return self.leaf(node)
        if isinstance(node, exp.Func):
            return self.function(node, make)
        if isinstance(node, exp.Alias):
            raise self.fault(node.args["alias"], f"`{cut(node.alias)}` is one word too many.", None)
        raise self.fault(node, f"`{cut(node.sql(dialect='spark'))}` is not allowed here.")

    def leaf(self, node: exp.Expr) -> Node:
        at = self.offset(node)
        if isinstance(node, exp.Null):
            return Node("null", at=at)
        if isinstance(node, exp.Boolean):
            return Node("truth", value=bool(node.this), at=at)
        if isinstance(node, exp.Column):
            return self.column(node)
        if node.is_string:
            return Node("text", value=str(node.this), at=at)
        number = float(node.this)
        if not math.isfinite(number):
            raise self.fault(node, f"{cut(str(node.this))} is too large a number.", None)
        return Node("number", value=number, at=at)

    def column(self, node: exp.Column) -> Node:
        """A column, or one of our names; what stands in backquotes is always a column."""
        if len(node.parts) > 1 or not isinstance(node.this, exp.Identifier):
            raise self.fault(
                node,
                f"`{cut(node.sql(dialect='spark'))}` is no column of the row.",
                "Select it in the query under a name of its own: SELECT ..., a.b AS b",
            )
        name, at = str(node.name), self.offset(node)
        if name.lower() in NAMES and not node.this.quoted:
            return Node(name.lower(), at=at)
        return Node("column", value=name, at=at)

    def case(self, node: exp.Expr, depth: int) -> Node:
        at = self.offset(node)
        branches = node.args["ifs"] if isinstance(node, exp.Case) else [node]
        args = []
        for branch in branches:
            condition = self.read(branch.this, depth + 1)
            if isinstance(node, exp.Case) and node.this is not None:  # CASE label WHEN 'a' THEN ...
                condition = Node("=", (self.read(node.this, depth + 1), condition), at=condition.at)
            args += [condition, self.read(branch.args["true"], depth + 1)]
        default = node.args.get("default") or node.args.get("false")
        args.append(self.read(default, depth + 1) if default is not None else Node("null", at=at))
        return Node("case", tuple(args), at=at)

    def cast(self, node: exp.Cast, depth: int) -> Node:
        """1L, 2.5D and CAST(x AS DOUBLE): every number is a double here, so only these."""
        inner = node.this
        if isinstance(inner, exp.Literal) and not inner.is_string:
            return self.leaf(inner)
        if node.to.this not in FLOATS:
            raise self.fault(node, "CAST makes doubles here, and nothing else.")
        return Node("double", (self.read(inner, depth + 1),), at=self.offset(node))

    def function(self, node: exp.Func, make: Callable[..., Node]) -> Node:
        args = [a for value in node.args.values() for a in (value if isinstance(value, list) else [value])]
        args = [a for a in args if isinstance(a, exp.Expr)]
        said = (str(node.name) if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        name = ALIASES.get(said, said)
        if "start" in node.meta:  # the word itself: sqlglot has one name for several
            said = self.text[self.offset(node) :].split("(")[0].strip()
        if name in CONSTANTS and not args:
            return Node("number", value=CONSTANTS[name], at=self.offset(node))
        if isinstance(node, exp.AggFunc):
            hint = "An aggregate belongs under `metrics:`."
            raise self.fault(node, f"{said}() is over many rows, and this is an expression of one row.", hint)
        low, high = (2, 2) if name in ("%", "/") else _arity(name)
        if not high:
            raise self.fault(node, f"there is no function '{cut(said)}' here.{did_you_mean(said, KNOWN)}")
        if not low <= len(args) <= high:
            takes = f"{low}" if low == high else f"{low} or more"
            plural = "s" if takes != "1" else ""
            raise self.fault(node, f"{said} takes {takes} argument{plural}, not {len(args)}.", None)
        return make(name, *args)


def _arity(name: str) -> tuple[int, int]:
    if name in CHOICES:
        return CHOICES[name]
    count = {**NUMERIC, **OUTPUTS}.get(name, 0)
    return count, count
