"""The tree of a row-wise SQL expression: a closed list of operations, and the error that points into the text."""

from collections.abc import Iterator
from dataclasses import dataclass

from sparknn_magic.errors import SpecError

# Functions of numbers: the number of their arguments. What each means where it is not plain: `spec.expression`.
NUMERIC = {
    "abs": 1,
    "sign": 1,
    "sqrt": 1,
    "exp": 1,
    "expm1": 1,
    "ln": 1,
    "log2": 1,
    "log10": 1,
    "log1p": 1,
    "log": 2,
    "pow": 2,
    "sin": 1,
    "cos": 1,
    "tanh": 1,
    "sigmoid": 1,
    "softplus": 1,
    "huber": 2,
    "floor": 1,
    "ceil": 1,
    "round": 1,
}
OUTPUTS = {"probability": 1, "logit": 1}  # of a class
CHOICES = {"coalesce": (1, 99), "nullif": (2, 2), "greatest": (2, 99), "least": (2, 99)}
CONSTANTS = {"pi": 3.141592653589793, "e": 2.718281828459045}
ALIASES = {
    "power": "pow",
    "signum": "sign",
    "ceiling": "ceil",
    "nvl": "coalesce",
    "ifnull": "coalesce",
    "mod": "%",
    "try_divide": "/",
    "safe_divide": "/",
    "iff": "if",
}
NAMES = ("label", "prediction", "target")
KNOWN = sorted({*NUMERIC, *OUTPUTS, *CHOICES, *CONSTANTS, "if", "power", "nvl", "mod", "try_divide"})
LISTED = (
    f"A loss knows {', '.join(KNOWN)}; + - * / %, = <> < <= > >= <=>, AND OR NOT, IS NULL, BETWEEN, IN, CASE; "
    "the names label, prediction, target, and numeric columns."
)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation, its arguments, and where it stands.

    Leaves are number, text, truth, null, column, label, prediction and target; `case` has its arguments as
    condition, value, condition, value, ..., default.
    """

    op: str
    args: tuple["Node", ...] = ()
    value: float | str | bool | None = None  # of a leaf
    at: int = 0  # offset in the text

    def walk(self) -> Iterator["Node"]:
        """Return this node and all below it."""
        yield self
        for arg in self.args:
            yield from arg.walk()


class ExpressionError(SpecError):
    """An SQL expression that is not on the list; `at` is its line and column in the SQL, from 1."""

    at: tuple[int, int] | None = None


def fault(text: str, offset: int, message: str, *, hint: str | None = None) -> ExpressionError:
    """Return the error for what stands at `offset` in an SQL text."""
    before = text[:offset]
    line, column = before.count("\n") + 1, offset - before.rfind("\n")
    place = f"column {column} of the SQL" if "\n" not in text.strip() else f"line {line}, column {column} of the SQL"
    error = ExpressionError(f"{message} ({place})", hint=hint)
    error.at = (line, column)
    return error
