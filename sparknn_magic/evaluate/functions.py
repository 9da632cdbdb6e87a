"""The built-in losses as SQL functions of one row, for any query: nn_cross_entropy(prediction.probabilities, 3), ...

SQL functions of native Spark expressions, no Python; they belong to the session. Each is the loss of the same name with
its default options, computed from what predictions hold: probabilities, whose logarithms are the logits but for one
number a row.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# As in `evaluate.expression`: so that the logarithm of 0 is -103.
TINY = "1.401298464324817E-45D"
CLASS = "CASE WHEN classes IS NULL THEN CAST(label AS INT) ELSE CAST(array_position(classes, label) AS INT) - 1 END"
OF_CLASS = "probabilities ARRAY<DOUBLE>, label STRING, classes ARRAY<STRING> DEFAULT NULL"
OF_NUMBER = "prediction DOUBLE, label DOUBLE"
BINARY = f"-({{y}} * ln({{p}} + {TINY}) + (1D - {{y}}) * ln(1D - {{p}} + {TINY}))"

# Name: parameters, expression, what it is. `label` is the number of a class, or its name where `classes` are given.
FUNCTIONS: dict[str, tuple[str, str, str]] = {
    "nn_cross_entropy": (
        OF_CLASS,
        f"-ln(get(probabilities, {CLASS}) + {TINY})",
        "cross-entropy in nats: -ln of the label''s probability",
    ),
    "nn_binary_cross_entropy": (
        "probability DOUBLE, label DOUBLE",
        BINARY.format(y="label", p="probability"),
        "binary cross-entropy in nats of the probability of label 1",
    ),
    "nn_multilabel_cross_entropy": (
        "probabilities ARRAY<DOUBLE>, labels ARRAY<DOUBLE>",
        f"aggregate(zip_with(probabilities, labels, (p, y) -> {BINARY.format(y='y', p='p')}), 0D, (a, x) -> a + x)"
        " / nullif(size(probabilities), 0)",
        "mean over the classes of the binary cross-entropies in nats",
    ),
    "nn_focal": (
        f"{OF_CLASS}, gamma DOUBLE DEFAULT 2D",
        f"-pow(1D - get(probabilities, {CLASS}), gamma) * ln(get(probabilities, {CLASS}) + {TINY})",
        "focal loss of Lin et al. 2017",
    ),
    "nn_hinge": (
        f"{OF_CLASS}, margin DOUBLE DEFAULT 1D",
        f"greatest(margin + ln(array_max(filter(probabilities, (p, i) -> i != {CLASS})) + {TINY})"
        f" - ln(get(probabilities, {CLASS}) + {TINY}), 0D * get(probabilities, {CLASS}))",
        "multi-class hinge loss of Crammer and Singer 2001, of logits",
    ),
    "nn_mse": (OF_NUMBER, "(prediction - label) * (prediction - label)", "squared error; avg() of it is the MSE"),
    "nn_mae": (OF_NUMBER, "abs(prediction - label)", "absolute error; avg() of it is the MAE"),
    "nn_huber": (
        f"{OF_NUMBER}, delta DOUBLE DEFAULT 1D",
        "CASE WHEN abs(prediction - label) <= delta THEN 0.5D * (prediction - label) * (prediction - label)"
        " ELSE delta * (abs(prediction - label) - 0.5D * delta) END",
        "Huber''s loss: squared up to delta, then linear",
    ),
}


def register(spark: "SparkSession") -> None:
    """Make the functions known to this session, unless they are."""
    if spark.catalog.functionExists(next(reversed(FUNCTIONS))):
        return
    for name, (parameters, body, comment) in FUNCTIONS.items():
        head = f"CREATE OR REPLACE TEMPORARY FUNCTION {name}({parameters}) RETURNS DOUBLE"
        spark.sql(f"{head} COMMENT '{comment}' RETURN {body}")
