"""Random SQL losses as text, and rows to compute them on: for the tests of both engines."""

from hypothesis import strategies as st

CLASSES = ("cat", "dog", "eel")
LITERALS = ["0.3D", "1.7D", "2.6D", "0.05D", "3", "1e-2D"]  # none that a sixty-fourth can equal
COLUMNS = ["price", "stock", "gap"]
# Three parts of 64, of which one is the largest.
PARTS = [
    parts
    for parts in ((a, b, 64 - a - b) for a in range(1, 63) for b in range(1, 64 - a))
    if sorted(parts)[1] < max(parts)
]
UNARY = ["abs", "sign", "sqrt", "exp", "expm1", "ln", "log2", "log10", "log1p", "sin", "cos", "tanh"]
OURS = ["sigmoid", "softplus", "floor", "ceil", "round"]  # Spark has not, or with whole numbers


@st.composite
def expressions(draw, *, learns="class", native=False):
    """A loss over CLASSES ("class") or numbers ("number"); `native`: that Spark takes as it is written."""
    rule = _Rule(draw, learns, native)
    tail = "logit('dog')" if learns == "class" else "prediction"
    return f"{rule.number(draw(st.integers(1, 4)))} + {tail}"


class _Rule:
    def __init__(self, draw, learns, native):
        self.draw, self.learns, self.native = draw, learns, native

    def one(self, *options):
        return self.draw(st.sampled_from(options))

    def leaf(self):
        options = [*LITERALS, *COLUMNS, "target"]
        if self.learns == "number":
            return self.one(*options, "prediction", "label")
        return self.one(*options, f"probability({self.class_()})", f"logit({self.class_()})")

    def class_(self):
        named = [f"'{name}'" for name in CLASSES]
        chosen = [
            "CASE WHEN price > 0.3D THEN 'cat' ELSE label END",
            "nullif(label, 'dog')",
            "if(gap < 0, null, 'eel')",
        ]
        return self.one("label", "prediction", "target", "0", "2", *named, *chosen)

    def number(self, depth):
        if depth == 0:
            return self.leaf()
        x, y = (lambda: self.number(depth - 1)), (lambda: self.number(depth - 1))
        kind = self.one("leaf", "sign", "arithmetic", "arithmetic", "unary", "unary", "pow", "choice", "case", "ours")
        if kind == "sign":
            return f"(- {x()})"
        if kind == "arithmetic":
            operator = self.one("+", "-", "*", "/", "%")
            if self.native and operator in "/%":  # by 0 it is an error there
                return f"try_divide({x()}, {y()})"
            return f"({x()} {operator} {y()})"
        if kind == "unary":
            return f"{self.one(*UNARY)}({x()})"
        if kind == "pow":
            # Of a number below 0 the power is NaN, unless the exponent is whole to the last digit.
            return f"pow({self.one(f'{x()}, 2', f'{x()}, 0.5D', f'{x()}, -1', f'{x()}, 3', f'abs({x()}), {y()}')})"
        if kind == "choice":
            return self.choice(x(), y())
        if kind == "case":
            return self.case(depth)
        return x() if self.native else self.ours(x(), y())

    def choice(self, x, y):
        name = self.one("coalesce", "nullif", "greatest", "least", "log")
        more = f", {self.leaf()}" if name in ("coalesce", "greatest", "least") else ""
        return f"{name}({x}, {y}{more})"

    def case(self, depth):
        form = self.one("case", "if", "double")
        if form == "double":
            return f"CAST({self.truth(depth - 1)} AS DOUBLE)"
        if form == "if":
            return f"if({self.truth(depth - 1)}, {self.number(depth - 1)}, {self.number(depth - 1)})"
        pairs = "".join(f" WHEN {self.truth(depth - 1)} THEN {self.number(depth - 1)}" for _ in range(self.one(1, 2)))
        return f"CASE{pairs}{self.one('', ' ELSE ' + self.number(depth - 1))} END"

    def ours(self, x, y):
        name = self.one(*OURS, "huber", "rest")
        if name == "huber":
            return f"huber({x}, {self.one('1.7D', '0.05D', y)})"
        if name == "rest" and self.learns == "class":
            inner = f"1 - probability({self.class_()})"
            return self.one(f"({inner})", f"ln({inner})", f"log2({inner})", f"ln(probability({self.class_()}))")
        return f"{self.one(*OURS)}({x})"

    def truth(self, depth):
        kind = self.one("compare", "compare", "class", "in", "between", "null", "not", "both")
        if kind == "both" and depth > 0:
            return f"({self.truth(depth - 1)} {self.one('AND', 'OR')} {self.truth(depth - 1)})"
        if kind == "not" and depth > 0:
            return f"(NOT {self.truth(depth - 1)})"
        depth = max(depth - 1, 0)
        if kind == "class" and self.learns == "class":
            other = self.one("label", "prediction", "'cat'")
            return f"({self.one('label', 'prediction')} {self.one('=', '<>', '<=>')} {other})"
        if kind == "in":
            options = f"{self.leaf()}, {self.leaf()}, {self.one('null', '0.3D')}"
            return f"({self.number(depth)} {self.one('', 'NOT ')}IN ({options}))"
        if kind == "between":
            return f"({self.number(depth)} BETWEEN {self.leaf()} AND {self.leaf()})"
        if kind == "null":
            return f"({self.number(depth)} IS {self.one('', 'NOT ')}NULL)"
        operator = self.one("=", "<>", "<", "<=", ">", ">=", "<=>")
        return f"({self.number(depth)} {operator} {self.number(depth)})"


@st.composite
def rows(draw, *, count=24):
    """Rows as dicts: sixty-fourths as probabilities, which add up to 1 exactly; numbers, some of them null."""
    number = st.one_of(
        st.none(), st.sampled_from([0.0, 1.0, -1.0, 2.5]), st.integers(-4000, 4000).map(lambda n: n / 512)
    )
    return [
        {
            "target": draw(st.integers(0, 2)),
            "probabilities": [part / 64 for part in draw(st.sampled_from(PARTS))],
            "number": draw(st.integers(-300, 300)) / 128,
            "truth": draw(st.integers(-300, 300)) / 128,
            **{name: draw(number) for name in COLUMNS},
        }
        for _ in range(count)
    ]
