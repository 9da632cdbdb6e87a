"""A loss written in the cell, as SQL."""

from sparknn_magic.plugin import Target, loss
from sparknn_magic.training.expression import ExpressionLoss, compile_loss
from sparknn_zoo.losses.common import UNKNOWN


@loss(
    "sql",
    main="expression",
    source="The rules are Spark SQL's; sparknn_magic.spec.expression has the list",
    example={"expression": "-ln(probability(label)) * CASE WHEN label = 'airplane' THEN 2.0 ELSE 1.0 END"},
)
def sql(target: Target = UNKNOWN, *, expression: str) -> ExpressionLoss:
    """(outputs float32[N, classes] or [N], target int64[N] or float32[N], numeric columns) -> float32[N], one a row.

    expression: SQL of one row over label, prediction, target, probability(x), logit(x) and the row's numeric columns;
    a row for which it is null counts as 0 and teaches nothing.
    Raises: SpecError with the place in the SQL.
    """
    return compile_loss(expression, target)
