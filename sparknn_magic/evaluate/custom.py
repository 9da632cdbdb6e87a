"""The cell's own metrics: SQL aggregates over the predictions, computed by Spark in one pass.

Spark is the judge of the text: any aggregate of its own will do, and nulls, division by 0 and types are Spark's own.
Rows without a prediction, or whose label is not one of the classes, are not left out: these are null there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, NumericType

from sparknn_magic.causes import spark_cause
from sparknn_magic.errors import SpecError
from sparknn_magic.evaluate.expression import NN, loss_sql, with_names
from sparknn_magic.evaluate.rewrite import EXAMPLE, rewrite
from sparknn_magic.infer.job import NUMBER, PREDICTION
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.expression_tree import ExpressionError, fault

LOSS = "loss"
SQL = "sql"  # the loss whose text is evaluated too
_PLACE = re.compile(r"(?:\(line (\d+), position (\d+) of the query\)|; line (\d+) pos (\d+))")


def custom_metrics(
    predictions: DataFrame,
    metrics: Mapping[str, str],
    *,
    classes: Sequence[str],
    label: str,
    loss: str | None = None,
    prediction: str = "prediction",
) -> dict[str, float | int | bool | None]:
    """Return the value of each SQL aggregate over all the rows, in one Spark job.

    `predictions` are as `with_names` takes them. `loss` is the text of an SQL loss: its mean comes under "loss", unless
    a metric has that name. A value is None where SQL's is null (an average of no rows).
    Raises: MetricError of two lines where a text is not such an aggregate.
    """
    named = with_names(predictions, classes=classes, label=label, prediction=prediction)
    sql = _all(named, metrics, classes, loss)
    if not sql:
        return {}
    try:
        table = named.agg(*(F.expr(text).alias(name) for name, text in sql.items())).toArrow()
    except PySparkException as error:
        hint = "try_divide(a, b) gives null for 0. What was trained is kept: change the metric and run the cell again."
        raise MetricError(f"Spark cannot compute the metrics: {spark_cause(error)}", hint=hint) from error
    return {name: _plain(table.column(n)[0].as_py()) for n, name in enumerate(sql)}


def check_metrics(
    rows: DataFrame, result: str, metrics: Mapping[str, str], *, classes: Sequence[str] | None, label: str
) -> None:
    """Let Spark analyse the metrics on the columns of `rows` and a prediction of the type `result`; run no job.

    `classes` as `rewrite` takes them. Raises: MetricError of two lines.
    """
    scored = rows.withColumn("prediction", F.lit(None).cast(result))
    _all(with_names(scored, classes=("?",) if classes is None else classes, label=label), metrics, classes, None)


def asked_for(meta: Mapping[str, Any]) -> tuple[dict[str, str], str | None]:
    """Return the metrics of a model's cell, and the text of its loss where that is SQL."""
    loss = meta["spec"].get("loss")
    text = loss.get(SQL) if isinstance(loss, Mapping) else None
    return dict(meta["spec"].get("metrics") or {}), text["expression"] if isinstance(text, Mapping) else text


def with_custom(metrics: dict[str, Any], predictions: DataFrame, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's metrics with the cell's own under "custom", where it has any."""
    wanted, loss = asked_for(meta)
    if not wanted and loss is None:
        return metrics
    label = meta["spec"]["data"]["label"]
    return metrics | {"custom": custom_metrics(predictions, wanted, classes=meta["classes"], label=label, loss=loss)}


def check_cell(experiment: Experiment, rows: DataFrame, *, of_classes: bool) -> None:
    """Check a cell's metrics before its rows are read, on the columns of `rows` and a prediction of none of them.

    Raises: MetricError with the place in the cell.
    """
    if not experiment.metrics:
        return
    with _placed(experiment):
        check_metrics(
            rows,
            PREDICTION if of_classes else NUMBER,
            experiment.metrics,
            classes=None if of_classes else (),
            label=experiment.data.label,
        )


def check_names(experiment: Experiment, classes: Sequence[str]) -> None:
    """Check the classes that a cell's metrics name, once these are known. Raises: MetricError with the place."""
    with _placed(experiment):
        for name, text in experiment.metrics.items():
            with _named(name):
                rewrite(text, classes)


@contextmanager
def _placed(experiment: Experiment) -> Iterator[None]:
    try:
        yield
    except MetricError as error:
        path = ("metrics", error.metric)
        raise experiment.error(path, error.message, hint=error.hint, kind=MetricError, inside=error.at) from error


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except ExpressionError as error:
        wrong = MetricError(error.message, hint=error.hint)
        wrong.metric, wrong.at = name, error.at
        raise wrong from error


class MetricError(SpecError):
    """A metric's SQL is wrong; `metric` is its name, `at` the line and column in its SQL."""

    metric = ""
    at: tuple[int, int] | None = None


def _all(
    named: DataFrame, metrics: Mapping[str, str], classes: Sequence[str] | None, loss: str | None
) -> dict[str, str]:
    """Return the Spark SQL of every metric, each analysed by Spark."""
    found = {LOSS: loss_sql(loss, classes or ())} if loss and LOSS not in metrics else {}
    for name, text in metrics.items():
        with _named(name):
            found[name] = _checked(named, name, text, classes)
    return found


def _checked(named: DataFrame, name: str, text: str, classes: Sequence[str] | None) -> str:
    rewritten = rewrite(text, classes)
    try:
        kind = named.agg(F.expr(rewritten.sql).alias("value")).schema["value"].dataType
    except PySparkException as error:
        if error.getCondition() in ("MISSING_GROUP_BY", "MISSING_AGGREGATION"):
            message = f"the metric '{name}' is not an aggregate: it has a value in each row."
            raise fault(text, 0, message, hint=EXAMPLE) from error
        cause = spark_cause(error)
        place = _PLACE.search(cause)
        offset = 0
        if place:
            line, column = (int(place[1]), int(place[2])) if place[1] else (int(place[3]), int(place[4]) + 1)
            offset = rewritten.origin(line, column)
        message = re.sub(rf"`?{NN}`?(\.|, )|, `?{NN}`?", "", _PLACE.sub("", cause)).strip().rstrip(".;")
        raise fault(text, offset, f"Spark does not take the metric '{name}': {message}.") from error
    if not isinstance(kind, NumericType | BooleanType):
        raise fault(text, 0, f"the metric '{name}' is {kind.simpleString()}, and a metric is one number.")
    return rewritten.sql


def _plain(value: Any) -> float | int | bool | None:
    return value if value is None or isinstance(value, int) else float(value)
