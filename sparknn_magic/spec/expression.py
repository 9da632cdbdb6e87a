"""A row-wise SQL expression over the label, the network's outputs and the row's numbers: read, checked, bound.

One expression, two engines: `training.expression` computes it with torch, gradients and all, `evaluate.expression`
writes it as Spark SQL. Both follow Spark's rules, with these words on what SQL leaves open:

- Every number is a double; a column's NaN is null.
- Nulls have SQL's three values: a function of null is null, `greatest` and `least` skip nulls, a condition that is null
  does not hold. A row whose loss is null counts as a loss of 0, without a gradient.
- Division by 0 and the remainder of it are null, as `try_divide` has it; so are logarithms of 0 and less.
  sqrt(-1) is NaN, which equals itself and is larger than any number.
- `label` and `prediction` are names of classes, or numbers in the unit of the label column where a number is learnt;
  `target` is the number of the class, from 0, or that number again. What stands in backquotes is a column.
- `probability(x)` is the softmax output of a class: `label`, `prediction`, 'a name' or a number from 0.
  `logit(x)` is its natural logarithm: the network's own logit of the class, all of a row shifted by one number so that
  their exponentials add up to 1. Differences of logits are those of the network; in evaluation, where float32
  probabilities are all there is, the smallest logit is -103.
- ln(probability(x)) is computed as logit(x), and 1 - probability(x) as the sum of the other probabilities, which
  neither overflow nor round to 0: the worst rows keep their gradients.
- sigmoid(x) = 1 / (1 + exp(-x)); softplus(x) = ln(1 + exp(x)); huber(x, d) = x*x/2 where |x| <= d, else d*(|x| - d/2).
- floor, ceil, round (halves away from 0), sign and every comparison have the gradient 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

from sparknn_magic.errors import did_you_mean
from sparknn_magic.spec.expression_parser import parse_expression
from sparknn_magic.spec.expression_tree import NUMERIC, Node, fault

Learns = Literal["class", "number"] | None  # None: not known yet
NUMBER, TRUTH, TEXT, ANY = "a number", "a condition", "a class name", "anything"
COMPARISONS = ("<", "<=", ">", ">=")
FLAT = ("floor", "ceil", "round", "sign")  # without a slope


@dataclass(frozen=True)
class Expression:
    """An expression on the list, its kinds checked as far as they are known from the text alone."""

    text: str
    root: Node
    columns: tuple[str, ...]  # numeric columns of the row that it reads

    def bind(self, learns: Learns, classes: Sequence[str] = ()) -> Node:
        """Return the tree for what is learnt: names of classes checked, logarithms of probabilities made safe.

        Raises: ExpressionError with the place in the SQL.
        """
        check = _Check(self.text, learns, tuple(classes))
        return check.of_kind(self.root, NUMBER, "a loss")


def read_expression(text: str) -> Expression:
    """Return the expression that an SQL text holds.

    Raises: ExpressionError where it is not on the list, of the wrong kind, or does not depend on the outputs.
    """
    root = parse_expression(text)
    names = {str(n.value).lower(): str(n.value) for n in reversed(list(root.walk())) if n.op == "column"}
    columns = tuple(sorted(names.values(), key=text.find))
    _Check(text, None, ()).of_kind(root, NUMBER, "a loss")
    if not _teaches(root):
        raise fault(
            text,
            0,
            "this loss has no slope in the network's outputs, so nothing can be learnt from it.",
            hint="Use probability(x) or logit(x), or `prediction` where a number is learnt; comparisons have no slope.",
        )
    return Expression(text, root, columns)


def _teaches(node: Node) -> bool:
    """Return whether the value depends on the outputs with a gradient."""
    if node.op in ("probability", "logit", "prediction"):
        return True
    if node.op == "case":
        return any(_teaches(n) for n in (*node.args[1:-1:2], node.args[-1]))
    if node.op in (*FLAT, *COMPARISONS, "=", "<=>", "and", "or", "not", "in", "between", "is null"):
        return False
    return any(_teaches(arg) for arg in (node.args[:1] if node.op == "nullif" else node.args))


class _Check:
    """Finds the kind of every node; rewrites what needs it."""

    def __init__(self, text: str, learns: Learns, classes: tuple[str, ...]):
        self.text, self.learns, self.classes = text, learns, classes
        self.label = {"class": TEXT, "number": NUMBER}.get(learns or "", ANY)

    def of_kind(self, node: Node, wanted: str, owner: str) -> Node:
        """Return the node, checked, where it is of the kind that `owner` takes."""
        found, kind = self.visit(node)
        if kind == wanted or ANY in (kind, wanted):
            return found
        if wanted == TRUTH and node.op == "column":  # a boolean column comes as 0 and 1
            zero = Node("number", value=0.0, at=node.at)
            return Node("not", (Node("=", (found, zero), at=node.at),), at=node.at)
        hint = None
        if kind == TEXT and node.op in ("label", "prediction"):
            hint = "Use target for the number of the class, probability(x) for what the network says of it."
        if kind == TRUTH and wanted == NUMBER:
            hint = "Make it a number: CASE WHEN ... THEN 1 ELSE 0 END"
        raise fault(self.text, node.at, f"{owner} takes {wanted}, and this is {kind}.", hint=hint)

    def same(self, nodes: Sequence[Node], owner: str) -> tuple[tuple[Node, ...], str]:
        """Return the nodes, checked, and their common kind."""
        visited = [self.visit(node) for node in nodes]
        first = next((kind for _, kind in visited if kind != ANY), ANY)
        for node, (_, kind) in zip(nodes, visited, strict=True):
            if kind not in (first, ANY) and first != ANY:
                hint = (
                    "label and prediction are names of classes: label = '3', not label = 3."
                    if self.mixed(nodes)
                    else None
                )
                raise fault(self.text, node.at, f"{owner} mixes {first} with {kind}.", hint=hint)
        return tuple(found for found, _ in visited), first

    def mixed(self, nodes: Sequence[Node]) -> bool:
        return self.learns != "number" and any(n.op in ("label", "prediction") for n in nodes)

    def visit(self, node: Node) -> tuple[Node, str]:
        """Return the node, its arguments checked, and its kind."""
        op = node.op
        if not node.args:
            return self.leaf(node)
        if op in ("probability", "logit"):
            return self.output(node)
        if op in ("and", "or", "not"):
            return self.with_args(node, [self.of_kind(a, TRUTH, op.upper()) for a in node.args]), TRUTH
        if op in COMPARISONS or op == "between":
            return self.with_args(node, [self.of_kind(a, NUMBER, f"`{op}`") for a in node.args]), TRUTH
        if op in ("=", "<=>", "in"):
            return self.with_args(node, self.same(node.args, f"`{op}`")[0]), TRUTH
        if op == "is null":
            return self.with_args(node, [self.visit(node.args[0])[0]]), TRUTH
        if op == "case":
            return self.case(node)
        if op in ("coalesce", "nullif"):
            args, kind = self.same(node.args, op)
            return self.with_args(node, args), kind
        if op == "double":
            found, kind = self.visit(node.args[0])
            if kind == TEXT:
                raise fault(self.text, node.at, "CAST takes a number or a condition, and this is a class name.")
            return self.with_args(node, [found]), NUMBER
        owner = op if op in NUMERIC or op in ("greatest", "least") else f"`{'-' if op == 'neg' else op}`"
        return _stable(self.with_args(node, [self.of_kind(a, NUMBER, owner) for a in node.args])), NUMBER

    def with_args(self, node: Node, args: Sequence[Node]) -> Node:
        return Node(node.op, tuple(args), node.value, node.at)

    def leaf(self, node: Node) -> tuple[Node, str]:
        if node.op == "text":
            self.class_number(node)
            return node, TEXT
        if node.op in ("label", "prediction"):
            return node, self.label
        return node, {"null": ANY, "truth": TRUTH}.get(node.op, NUMBER)

    def class_number(self, node: Node) -> None:
        """Check that a text names one of the classes."""
        if self.learns == "number":
            raise fault(self.text, node.at, "a number is learnt here, and there are no names of classes to compare.")
        name = str(node.value)
        if self.classes and name not in self.classes:
            known = ", ".join(self.classes[:12]) + (", ..." if len(self.classes) > 12 else "")
            guess = did_you_mean(name, self.classes)
            raise fault(self.text, node.at, f"there is no class '{name}'.{guess}", hint=f"The classes are {known}.")

    def output(self, node: Node) -> tuple[Node, str]:
        """probability(x) and logit(x): of a class by name, by what gives a name, by `target` or by its number."""
        if self.learns == "number":
            hint = "Compare prediction with target: pow(prediction - target, 2)"
            raise fault(self.text, node.at, f"{node.op}(x) is of a class, and a number is learnt here.", hint=hint)
        found, kind = self.visit(node.args[0])
        if kind == NUMBER and found.op != "target":
            value = found.value if found.op == "number" else None
            last = len(self.classes) - 1 if self.classes else None
            if not isinstance(value, float) or value != int(value) or (last is not None and value > last):
                classes = f"its number, 0 to {last}" if last is not None else "its number from 0"
                message = f"{node.op}(x) takes a class: label, prediction, target, 'a name' or {classes}."
                raise fault(self.text, found.at, message)
        elif kind == TRUTH:
            raise fault(self.text, found.at, f"{node.op}(x) takes a class, and this is a condition.")
        return self.with_args(node, [found]), NUMBER

    def case(self, node: Node) -> tuple[Node, str]:
        conditions = [self.of_kind(c, TRUTH, "CASE WHEN") for c in node.args[:-1:2]]
        values, kind = self.same((*node.args[1:-1:2], node.args[-1]), "CASE")
        pairs = [part for pair in zip(conditions, values[:-1], strict=True) for part in pair]
        return self.with_args(node, [*pairs, values[-1]]), kind


def _stable(node: Node) -> Node:
    """Return the node in a form that keeps its value where a probability rounds to 0 or 1."""
    first = node.args[0]
    if node.op == "-" and first.op == "number" and first.value == 1 and node.args[1].op == "probability":
        return Node("rest", node.args[1].args, at=node.at)
    if node.op in ("ln", "log2", "log10") and first.op in ("probability", "rest"):
        inner = Node("logit" if first.op == "probability" else "log_rest", first.args, at=node.at)
        if node.op == "ln":
            return inner
        base = Node("number", value=log(2.0 if node.op == "log2" else 10.0), at=node.at)
        return Node("/", (inner, base), at=node.at)
    return node
