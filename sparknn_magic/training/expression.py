"""An SQL loss as differentiable torch operations. Runs on executors; the rules are those of `spec.expression`.

A value is a tensor of N rows (or of one, which stands for all) beside a mask of the rows where it is not null; no mask
means that none is. Numbers are float64, names of classes their int64 numbers.

Gradients: `torch.where` passes a zero to the side it does not take, and zero times an infinite slope is NaN. So every
operation gets a harmless argument in the rows where its result is not used: `active` says which ones use it.
"""

from collections.abc import Callable
from functools import cached_property, reduce
from typing import NamedTuple

import torch
from torch import Tensor

from sparknn_magic.errors import TrainError
from sparknn_magic.plugin import Target
from sparknn_magic.spec.expression import Learns, read_expression
from sparknn_magic.spec.expression_tree import Node

Mask = Tensor | None  # None: all rows


class Value(NamedTuple):
    """A value of each row, and where it is not null."""

    data: Tensor
    valid: Mask = None


def compile_loss(text: str, target: Target) -> "ExpressionLoss":
    """Return the loss `(outputs, target, **columns) -> float32[N]` that an SQL expression describes.

    Raises: ExpressionError where the expression is not on the list, or does not suit what `target` says is learnt. An
    empty `Target` (nothing is known yet) leaves the names of classes unchecked until the loss is called.
    """
    return ExpressionLoss(text, target)


class ExpressionLoss:
    """An SQL expression as a loss; `columns` are the numeric columns of the row that it reads."""

    def __init__(self, text: str, target: Target):
        self.target = target
        self.expression = read_expression(text)
        self.columns = self.expression.columns
        self.learns: Learns = "class" if target.classes else "number"
        self.root: Node | None = None
        if target != Target():
            self.root = self.expression.bind(self.learns, target.classes)

    def __call__(self, outputs: Tensor, target: Tensor, /, **columns: Tensor) -> Tensor:
        """Return one loss a row; a null one is 0 and has no gradient.

        outputs: logits float32[N, K], or float32[N] or [N, 1] where a number is learnt; target: int64[N] or float32[N];
        columns: float[N] by name, NaN where the row has none.
        """
        if self.root is None:
            self.root = self.expression.bind(self.learns, self.target.classes)
        missing = [name for name in self.columns if name not in columns]
        if missing:
            raise TrainError(f"the SQL loss reads the column '{missing[0]}', which the rows do not bring along.")
        rows = _Rows(outputs, target, columns, self.target)
        found = rows.value(self.root, None)
        loss = found.data if found.valid is None else torch.where(found.valid, found.data, 0.0)
        return loss.expand(len(target)).to(outputs.dtype)


class _Rows:
    """One batch: the tree's leaves, and the evaluation of its nodes."""

    def __init__(self, outputs: Tensor, target: Tensor, columns: dict[str, Tensor], about: Target):
        self.outputs, self.target, self.about = outputs, target, about
        self.columns = {name.lower(): column for name, column in columns.items()}
        self.dtype = torch.float32 if outputs.device.type == "mps" else torch.float64

    def constant(self, number: float) -> Tensor:
        return torch.full((), number, dtype=self.dtype, device=self.outputs.device)

    def value(self, node: Node, active: Mask) -> Value:
        """Return the value of a node in the rows of `active`; what it is in other rows means nothing."""
        op = node.op
        if op in FUNCTIONS:
            return self.function(FUNCTIONS[op], node, active)
        if op in SPECIAL:
            return SPECIAL[op](self, node, active)
        args = [self.value(arg, active) for arg in node.args]
        if op in TRUTHS:
            valid = _both(*(arg.valid for arg in args))
            return Value(TRUTHS[op](*(arg.data for arg in args)), valid)
        return LOGIC[op](*args)

    def function(self, function: "Function", node: Node, active: Mask) -> Value:
        args = [self.value(arg, active) for arg in node.args]
        valid = _both(*(arg.valid for arg in args))
        data = [arg.data for arg in args]
        if function.domain is not None:
            valid = _both(valid, function.domain(*(d.detach() for d in data)))
        used = _both(valid, active)
        if used is not None:
            data = [torch.where(used, d, safe) for d, safe in zip(data, function.safe, strict=True)]
        return Value(function.compute(*data), valid)

    # Leaves

    def leaf(self, node: Node, active: Mask) -> Value:
        if node.op == "null":
            return Value(self.constant(0.0), self.constant(0.0).bool())
        if node.op == "truth":
            return Value(self.constant(float(bool(node.value))).bool())
        assert isinstance(node.value, float)
        return Value(self.constant(node.value))

    def text(self, node: Node, active: Mask) -> Value:
        number = self.about.classes.index(str(node.value))
        return Value(torch.full((), number, dtype=torch.int64, device=self.outputs.device))

    def column(self, node: Node, active: Mask) -> Value:
        data = self.columns[str(node.value).lower()].to(self.dtype)
        valid = ~data.isnan()
        return Value(torch.where(valid, data, 0.0), valid)

    def name(self, node: Node, active: Mask) -> Value:
        """`label`, `target` and `prediction`."""
        if self.about.classes:
            number = self.outputs.detach().argmax(1) if node.op == "prediction" else self.target
            return Value(number.to(self.dtype) if node.op == "target" else number)
        scaled = self.outputs.reshape(self.target.shape) if node.op == "prediction" else self.target
        return Value(scaled.to(self.dtype) * self.about.std + self.about.mean)

    # The network's outputs

    @cached_property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities, float[N, K]."""
        return torch.log_softmax(self.outputs, dim=1)

    def output(self, node: Node, active: Mask) -> Value:
        """`probability`, `logit`, and `rest` and `log_rest`, which are of all the other classes together."""
        rows, classes = self.outputs.shape
        index = self.value(node.args[0], active)
        number = index.data.long().expand(rows)
        inside = (number >= 0) & (number < classes)
        number = number.clamp(0, classes - 1)[:, None]
        if node.op in ("probability", "logit"):
            found = self.logits.gather(1, number)[:, 0]
        else:
            found = self.logits.scatter(1, number, -torch.inf).logsumexp(1)
        found = found.to(self.dtype)
        data = found.exp() if node.op in ("probability", "rest") else found
        return Value(data, _both(index.valid, inside))

    # Choices

    def case(self, node: Node, active: Mask) -> Value:
        *pairs, default = node.args
        branches: list[tuple[Tensor, Value]] = []
        remaining = active
        for condition, result in zip(pairs[::2], pairs[1::2], strict=True):
            asked = self.value(condition, remaining)
            holds = asked.data.bool() if asked.valid is None else asked.data.bool() & asked.valid
            taken = _both(holds, remaining)
            assert taken is not None
            branches.append((taken, self.value(result, taken)))
            remaining = _both(~holds, remaining)
        found = self.value(default, remaining)
        for taken, value in reversed(branches):
            found = _choose(taken, value, found)
        return found

    def coalesce(self, node: Node, active: Mask) -> Value:
        first, *others = node.args
        found = self.value(first, active)
        for other in others:
            if found.valid is None:
                return found
            found = _choose(found.valid, found, self.value(other, _both(~found.valid, active)))
        return found

    def nullif(self, node: Node, active: Mask) -> Value:
        first, second = (self.value(arg, active) for arg in node.args)
        same = _both(_equal(first.data, second.data), first.valid, second.valid)
        assert same is not None
        return Value(first.data, _both(first.valid, ~same))

    def extreme(self, node: Node, active: Mask) -> Value:
        """`greatest` and `least`, which skip nulls; NaN is the greatest."""
        found, *others = (self.value(arg, active) for arg in node.args)
        for other in others:
            a, b = found.data.detach(), other.data.detach()
            better = _greater(b, a) if node.op == "greatest" else _greater(a, b)
            if found.valid is not None:
                better = better | ~found.valid
            if other.valid is not None:
                better = better & other.valid
            found = _choose(better, other, found)
        return found


def _both(*masks: Mask) -> Mask:
    """Return where all hold."""
    given = [mask for mask in masks if mask is not None]
    return reduce(torch.logical_and, given) if given else None


def _choose(where: Tensor, first: Value, second: Value) -> Value:
    """Return the first value in the rows of `where`, else the second."""
    data = torch.where(where, first.data, second.data)
    if first.valid is None and second.valid is None:
        return Value(data)
    known = torch.ones((), dtype=torch.bool, device=where.device)
    one, other = (known if value.valid is None else value.valid for value in (first, second))
    return Value(data, torch.where(where, one, other))


def _greater(a: Tensor, b: Tensor) -> Tensor:
    """Compare as Spark does: NaN is above every number."""
    return (a > b) | (a.isnan() & ~b.isnan())


def _equal(a: Tensor, b: Tensor) -> Tensor:
    return (a == b) | (a.isnan() & b.isnan())


def _in(value: Value, *options: Value) -> Value:
    """Whether the value equals one of several: null where none does and a null is among them."""
    found = Value(_equal(value.data, options[0].data), _both(value.valid, options[0].valid))
    for option in options[1:]:
        found = _or(found, Value(_equal(value.data, option.data), _both(value.valid, option.valid)))
    return found


def _and(a: Value, b: Value) -> Value:
    return _not(_or(_not(a), _not(b)))


def _or(a: Value, b: Value) -> Value:
    """Three-valued: what is true beside a null is true."""
    left, right = _both(a.data.bool(), a.valid), _both(b.data.bool(), b.valid)
    assert left is not None
    assert right is not None
    either = left | right
    known = _both(a.valid, b.valid)
    return Value(either, None if known is None else either | known)


def _not(a: Value) -> Value:
    return Value(~a.data.bool(), a.valid)


def _is_null(a: Value) -> Value:
    return Value(torch.zeros_like(a.data, dtype=torch.bool) if a.valid is None else ~a.valid)


def _null_safe_equal(a: Value, b: Value) -> Value:
    equal = _equal(a.data, b.data)
    null = [_is_null(v).data for v in (a, b)]
    return Value((equal & ~null[0] & ~null[1]) | (null[0] & null[1]))


class Function(NamedTuple):
    """A function of numbers; `safe` are arguments with a finite value and slope, `domain` says where it is not null."""

    compute: Callable[..., Tensor]
    safe: tuple[float, ...] = (0.0,)
    domain: Callable[..., Tensor] | None = None


def _sign(x: Tensor) -> Tensor:
    return torch.where(x.isnan(), x, x.sign())


def _sqrt(x: Tensor) -> Tensor:
    # Its slope at 0 is infinite; 0 is the slope on the other side of it, and lets a batch with an exact hit go on.
    return torch.where(x == 0, 0.0, torch.where(x == 0, 1.0, x).sqrt())


def _round(x: Tensor) -> Tensor:
    """Halves away from 0."""
    whole = x.trunc()
    return whole + x.sign() * ((x - whole).abs() >= 0.5)


def _pow(base: Tensor, exponent: Tensor) -> Tensor:
    # No slope in the exponent below 0, where there is none, and none at all where that in the base is infinite.
    steep = (base == 0) & (exponent < 1)
    exponent = torch.where((base < 0) | steep, exponent.detach(), exponent)
    found = torch.where(steep, base.detach(), base).pow(exponent)
    # Java's powers of 1 and -1, which C has as 1.
    return torch.where(exponent.isnan() | (exponent.isinf() & (base.abs() == 1)), torch.nan, found)


def _huber(x: Tensor, delta: Tensor) -> Tensor:
    small = x.abs() <= delta
    near, far = torch.where(small, x, 0.0), torch.where(small, 0.0, x.abs())
    return torch.where(small, 0.5 * near * near, delta * (far - 0.5 * delta))


FUNCTIONS: dict[str, Function] = {
    "+": Function(torch.add, (0.0, 0.0)),
    "-": Function(torch.sub, (0.0, 0.0)),
    "*": Function(torch.mul, (0.0, 0.0)),
    "/": Function(torch.div, (0.0, 1.0), lambda a, b: b != 0),
    "%": Function(torch.fmod, (0.0, 1.0), lambda a, b: b != 0),
    "neg": Function(torch.neg),
    "abs": Function(torch.abs),
    "sign": Function(_sign),
    "sqrt": Function(_sqrt),
    "exp": Function(torch.exp),
    "expm1": Function(torch.expm1),
    "ln": Function(torch.log, (1.0,), lambda x: ~(x <= 0)),
    "log2": Function(torch.log2, (1.0,), lambda x: ~(x <= 0)),
    "log10": Function(torch.log10, (1.0,), lambda x: ~(x <= 0)),
    "log1p": Function(torch.log1p, (0.0,), lambda x: ~(x <= -1)),
    "log": Function(lambda b, x: x.log() / b.log(), (2.0, 1.0), lambda b, x: ~((b <= 0) | (x <= 0))),
    "pow": Function(_pow, (1.0, 1.0)),
    "sin": Function(torch.sin),
    "cos": Function(torch.cos),
    "tanh": Function(torch.tanh),
    "sigmoid": Function(torch.sigmoid),
    "softplus": Function(lambda x: torch.logaddexp(x, torch.zeros_like(x))),
    "huber": Function(_huber, (0.0, 1.0)),
    "floor": Function(torch.floor),
    "ceil": Function(torch.ceil),
    "round": Function(_round),
    "double": Function(lambda x: x.to(torch.float64 if x.device.type != "mps" else torch.float32)),
}
TRUTHS: dict[str, Callable[..., Tensor]] = {
    "=": _equal,
    ">": _greater,
    "<": lambda a, b: _greater(b, a),
    ">=": lambda a, b: ~_greater(b, a),
    "<=": lambda a, b: ~_greater(a, b),
}
LOGIC: dict[str, Callable[..., Value]] = {
    "and": _and,
    "or": _or,
    "not": _not,
    "in": _in,
    "is null": _is_null,
    "<=>": _null_safe_equal,
    "between": lambda x, low, high: _and(
        Value(~_greater(low.data, x.data), _both(x.valid, low.valid)),
        Value(~_greater(x.data, high.data), _both(x.valid, high.valid)),
    ),
}
SPECIAL: dict[str, Callable[[_Rows, Node, Mask], Value]] = {
    **dict.fromkeys(("number", "truth", "null"), _Rows.leaf),
    **dict.fromkeys(("label", "target", "prediction"), _Rows.name),
    **dict.fromkeys(("probability", "logit", "rest", "log_rest"), _Rows.output),
    **dict.fromkeys(("greatest", "least"), _Rows.extreme),
    "text": _Rows.text,
    "column": _Rows.column,
    "case": _Rows.case,
    "coalesce": _Rows.coalesce,
    "nullif": _Rows.nullif,
}
