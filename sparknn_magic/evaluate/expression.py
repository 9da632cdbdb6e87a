"""The same SQL expression on Spark: the checked tree written as Spark SQL over a table of predictions.

The rules are those of `spec.expression`. Native expressions only; the table gets one more column, the struct `__nn`, of
what the names stand for.
"""

import math
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknn_magic.errors import SpecError
from sparknn_magic.evaluate.spark import whole_column
from sparknn_magic.spec.expression import read_expression
from sparknn_magic.spec.expression_tree import Node

NN = "__nn"
LABEL, TARGET, PREDICTION, PREDICTED, PROBABILITIES = (
    f"{NN}.{name}" for name in ("label", "target", "prediction", "predicted", "probabilities")
)
# What is added to a probability before its logarithm is taken: float32's smallest number, so that 0 costs 103 nats.
TINY = "1.401298464324817E-45D"
MAX_CHARACTERS = 200_000  # of the text for Spark: floor, ceil, huber and softplus repeat their arguments

TEMPLATES = {
    "+": "({0} + {1})",
    "-": "({0} - {1})",
    "*": "({0} * {1})",
    "/": "({0} / nullif({1}, 0D))",
    "%": "({0} % nullif({1}, 0D))",
    "neg": "(- {0})",
    "=": "({0} = {1})",
    "<=>": "({0} <=> {1})",
    "<": "({0} < {1})",
    "<=": "({0} <= {1})",
    ">": "({0} > {1})",
    ">=": "({0} >= {1})",
    "and": "({0} AND {1})",
    "or": "({0} OR {1})",
    "not": "(NOT {0})",
    "is null": "({0} IS NULL)",
    "between": "({0} BETWEEN {1} AND {2})",
    "double": "CAST({0} AS DOUBLE)",
    # By way of a BIGINT, for which infinity is an overflow.
    "floor": "CASE WHEN abs({0}) < 9E15D THEN CAST(floor({0}) AS DOUBLE) ELSE {0} END",
    "ceil": "CASE WHEN abs({0}) < 9E15D THEN CAST(ceil({0}) AS DOUBLE) ELSE {0} END",
    "round": "round({0}, 0)",
    "sigmoid": "(1D / (1D + exp(- {0})))",
    "softplus": "(greatest({0}, 0D) + log1p(exp(- abs({0}))))",
    "huber": "CASE WHEN abs({0}) <= {1} THEN 0.5D * {0} * {0} ELSE {1} * (abs({0}) - 0.5D * {1}) END",
}


def with_names(
    predictions: DataFrame, *, classes: Sequence[str], label: str = "label", prediction: str = "prediction"
) -> DataFrame:
    """Return the rows with the struct `__nn` added: what label, target, prediction and probability(x) stand for.

    `classes` are those of the predictions, in the order of their probabilities; none where a number is predicted. The
    label is null where it is not one of the classes.
    """
    answer, truth = whole_column(predictions, prediction), whole_column(predictions, label)
    if not classes:
        true = truth.cast("double")
        fields = {"label": true, "target": true, "prediction": answer.getField("prediction").cast("double")}
    else:
        names, true, guess = F.lit(list(classes)), truth.cast("string"), answer.getField("label")
        number = F.nullif(F.array_position(names, true), F.lit(0)) - 1
        fields = {
            "label": F.when(number.isNotNull(), true),
            "target": number.cast("int"),
            "prediction": guess,
            "predicted": (F.array_position(names, guess) - 1).cast("int"),
            "probabilities": answer.getField("probabilities"),
        }
    return predictions.withColumn(NN, F.struct(*(column.alias(name) for name, column in fields.items())))


def expression_sql(text: str, classes: Sequence[str]) -> str:
    """Return a row-wise SQL expression as Spark SQL over the rows that `with_names` returns.

    Raises: ExpressionError where it is not on the list or names no class, SpecError where Spark's text gets too long.
    """
    root = read_expression(text).bind("class" if classes else "number", classes)
    written = _write(root, list(classes))
    if len(written) > MAX_CHARACTERS:
        raise SpecError("this expression is too long for Spark: floor, ceil, huber or softplus are nested too deeply.")
    return written


def loss_sql(text: str, classes: Sequence[str]) -> str:
    """Return the aggregate of an SQL loss: its mean over the rows with a prediction and a known label, a null being 0.

    As in training, over rows that `with_names` returns.
    """
    counts = f"{LABEL} IS NOT NULL AND {PREDICTION} IS NOT NULL"
    return f"avg(coalesce({expression_sql(text, classes)}, 0D)) FILTER (WHERE {counts})"


def probability_sql(index: str) -> str:
    """Return the probability of the class with this number (an INT in SQL); null where there is no such class."""
    return f"CAST(get({PROBABILITIES}, {index}) AS DOUBLE)"


def logit_sql(index: str) -> str:
    """Return the logarithm of the probability of the class with this number."""
    return f"ln({probability_sql(index)} + {TINY})"


def index_sql(text: str, classes: Sequence[str]) -> str:
    """Return the number of the class that a text in SQL names; -1 where it names none."""
    return f"CAST(array_position({_array(classes)}, {text}) AS INT) - 1"


def quote(text: str) -> str:
    """Return an SQL string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _array(classes: Sequence[str]) -> str:
    return "array(" + ", ".join(quote(name) for name in classes) + ")"


def _write(node: Node, classes: list[str]) -> str:
    if node.op in ("probability", "logit", "rest", "log_rest"):
        return _output(node, classes)
    if not node.args:
        return _leaf(node, bool(classes))
    args = [_write(arg, classes) for arg in node.args]
    if node.op == "case":
        pairs = " ".join(f"WHEN {when} THEN {then}" for when, then in zip(args[:-1:2], args[1:-1:2], strict=True))
        return f"CASE {pairs} ELSE {args[-1]} END"
    if node.op == "in":
        return f"({args[0]} IN ({', '.join(args[1:])}))"
    if node.op in TEMPLATES:
        return TEMPLATES[node.op].format(*args)
    return f"{node.op}({', '.join(args)})"  # a function that Spark has under the same name


def _leaf(node: Node, of_classes: bool) -> str:
    if node.op == "number":
        return f"{node.value!r}D"
    if node.op == "text":
        return quote(str(node.value))
    if node.op == "column":
        name = str(node.value).replace("`", "``")
        return f"nanvl(CAST(`{name}` AS DOUBLE), CAST(NULL AS DOUBLE))"
    if node.op == "target":
        return f"CAST({TARGET} AS DOUBLE)" if of_classes else TARGET
    return {"null": "NULL", "truth": str(node.value).upper(), "label": LABEL, "prediction": PREDICTION}[node.op]


def _output(node: Node, classes: list[str]) -> str:
    """probability(x), logit(x), and the same of all the other classes together."""
    index = _index(node.args[0], classes)
    if node.op == "probability":
        return probability_sql(index)
    if node.op == "logit":
        return logit_sql(index)
    # The others are added up: 1 - p of float32 numbers would lose them. `0 *` makes it null where the class is.
    others = f"filter({PROBABILITIES}, (nn_p, nn_i) -> nn_i != {index})"
    total = f"aggregate({others}, 0D, (nn_a, nn_p) -> nn_a + nn_p) + 0D * {probability_sql(index)}"
    return f"({total})" if node.op == "rest" else f"ln({total} + {TINY})"


def _index(node: Node, classes: list[str]) -> str:
    """Return the number of the class that the argument of probability(x) stands for, an INT."""
    if node.op in ("label", "target"):
        return TARGET
    if node.op == "prediction":
        return PREDICTED
    if node.op == "text":
        return str(classes.index(str(node.value)))
    if node.op == "number":
        assert isinstance(node.value, float)
        return str(math.trunc(node.value))
    return index_sql(_write(node, classes), classes)
