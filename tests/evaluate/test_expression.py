"""An SQL loss on Spark is the one in torch; metrics of one's own; losses as SQL functions."""

import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from sparknn_magic.evaluate.expression import NN, expression_sql, with_names
from sparknn_magic.plugin import Target
from sparknn_magic.training.expression import compile_loss
from tests.expressions import CLASSES, COLUMNS, expressions, rows

# The first example that hypothesis makes is the simplest one: the second counts.
FEW = settings(
    max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate]
)
NEAR = 1e-9  # a change of the outputs that a well-conditioned expression does not notice


def predictions(spark, table):
    """Rows as `tests.expressions.rows` draws them -> a table of predictions, of classes."""
    answers = [
        {"label": CLASSES[int(np.argmax(r["probabilities"]))], "probabilities": r["probabilities"], "error": None}
        for r in table
    ]
    kind = pa.struct([("label", pa.string()), ("probabilities", pa.list_(pa.float32())), ("error", pa.string())])
    columns = {
        "label": pa.array([CLASSES[r["target"]] for r in table]),
        "prediction": pa.array(answers, kind),
        **{name: pa.array([r[name] for r in table], pa.float64()) for name in COLUMNS},
    }
    return spark.createDataFrame(pa.table(columns))


def numbers(spark, table):
    """The same rows as predictions of a number."""
    answers = [{"prediction": r["number"], "error": None} for r in table]
    columns = {
        "label": pa.array([r["truth"] for r in table], pa.float64()),
        "prediction": pa.array(answers, pa.struct([("prediction", pa.float64()), ("error", pa.string())])),
        **{name: pa.array([r[name] for r in table], pa.float64()) for name in COLUMNS},
    }
    return spark.createDataFrame(pa.table(columns))


def select(frame, texts):
    """The value of each expression in each row, in Spark: a list of lists with None for null."""
    found = frame.select(*(F.expr(text).cast("double").alias(f"x{n}") for n, text in enumerate(texts))).toArrow()
    return [found.column(n).to_pylist() for n in range(len(texts))]


def in_torch(texts, target, outputs, labels, table):
    """The same in torch; None too where the value hangs on the last digits of the outputs."""
    columns = {
        name: torch.tensor([math.nan if r[name] is None else r[name] for r in table], dtype=torch.float64)
        for name in COLUMNS
    }
    found = []
    for text in texts:
        low, high = (compile_loss(f"coalesce({text}, {n})", target) for n in (0, 1))
        values, others = low(outputs, labels, **columns), high(outputs, labels, **columns)
        null = (values != others) & ~values.isnan()
        moved = [
            low(outputs + NEAR * sign * torch.arange(1, outputs.shape[-1] + 1), labels, **columns) for sign in (1, -1)
        ]
        steady = [
            ((m - values).abs() <= 1e-6 * (1 + values.abs())) | (m == values) | (m.isnan() & values.isnan())
            for m in moved
        ]
        found.append(
            [(None if n else v, bool(s)) for v, n, s in zip(values.tolist(), null, steady[0] & steady[1], strict=True)]
        )
    return found


def differences(texts, torchs, sparks):
    """The places where the two differ by more than 1e-5, and the share of values that was compared."""
    wrong, compared = [], 0
    for text, ours, theirs in zip(texts, torchs, sparks, strict=True):
        for (a, steady), b in zip(ours, theirs, strict=True):
            if not steady:
                continue
            compared += 1
            same = a is None and b is None
            if a is not None and b is not None:
                same = a == b or (a != a and b != b) or abs(a - b) <= 1e-5 * (1 + abs(b))
            if not same:
                wrong.append((text, a, b))
    return wrong, compared / sum(map(len, sparks))


@given(data=st.data())
@FEW
def test_both_engines_agree_on_classes(spark, data):
    texts = data.draw(st.lists(expressions(), min_size=100, max_size=100))
    table = data.draw(rows())
    outputs = torch.tensor([r["probabilities"] for r in table], dtype=torch.float64).log()
    ours = in_torch(texts, Target(CLASSES), outputs, torch.tensor([r["target"] for r in table]), table)
    frame = with_names(predictions(spark, table), classes=CLASSES)
    theirs = select(frame, [expression_sql(text, CLASSES) for text in texts])
    wrong, share = differences(texts, ours, theirs)
    assert wrong == []
    assert share > 0.9


@given(data=st.data())
@FEW
def test_both_engines_and_the_text_itself_agree_on_numbers(spark, data):
    """The third is Spark on what the user wrote: what sqlglot read and we wrote again means the same."""
    texts = data.draw(st.lists(expressions(learns="number", native=True), min_size=100, max_size=100))
    table = data.draw(rows())
    outputs = torch.tensor([[r["number"]] for r in table], dtype=torch.float64)
    truth = torch.tensor([r["truth"] for r in table], dtype=torch.float64)
    target = Target(mean=0.5, std=1.0)  # known, so that the expression is bound: undone below
    ours = in_torch(texts, target, outputs - 0.5, truth - 0.5, table)
    frame = numbers(spark, table)
    theirs = select(with_names(frame, classes=()), [expression_sql(text, ()) for text in texts])
    wrong, share = differences(texts, ours, theirs)
    assert wrong == []
    assert share > 0.9
    plain = frame.withColumn("prediction", F.col("prediction.prediction")).withColumn("target", F.col("label"))
    as_written = select(plain, texts)
    assert differences(texts, ours, as_written)[0] == []


def test_a_label_that_no_class_has_is_null(spark):
    answers = [
        {"label": "cat", "probabilities": [0.5, 0.3, 0.2], "error": None},
        {"label": None, "probabilities": None, "error": "no"},
    ]
    frame = with_names(predictions(spark, []).union(predictions(spark, [])), classes=CLASSES)
    kind = frame.schema["prediction"].dataType
    frame = spark.createDataFrame(
        [("ant", answers[0]), ("cat", answers[1])], "label string, prediction " + kind.simpleString()
    )
    named = with_names(frame, classes=CLASSES).select(f"{NN}.*").collect()
    assert [row.target for row in named] == [None, 0]
    assert [row.label for row in named] == [None, "cat"]
    assert [row.prediction for row in named] == ["cat", None]
    texts = ["probability(label)", "logit('dog')", "probability(prediction)", "ln(1 - probability(label))"]
    found = select(with_names(frame, classes=CLASSES), [expression_sql(text, CLASSES) for text in texts])
    assert found == [[None, None], [pytest.approx(math.log(0.3)), None], [0.5, None], [None, None]]


def test_what_overflows_is_infinite_and_no_error(spark):
    row = {"target": 0, "probabilities": [0.5, 0.25, 0.25], "price": 1000.0, "stock": -1000.0, "gap": 0.0}
    texts = [
        "floor(exp(price))",
        "ceil(-exp(price))",
        "round(exp(price))",
        "floor(sqrt(stock))",
        "floor(-0.5)",
        "price / gap",
    ]
    texts = [f"{text} + 0 * logit(0)" for text in texts]
    found = select(
        with_names(predictions(spark, [row]), classes=CLASSES), [expression_sql(text, CLASSES) for text in texts]
    )
    assert [each[0] for each in found] == pytest.approx(
        [math.inf, -math.inf, math.inf, math.nan, -1, None], nan_ok=True
    )


def test_a_probability_of_0_costs_as_much_as_the_smallest_number(spark):
    frame = predictions(
        spark, [{"target": 0, "probabilities": [0.0, 1.0, 0.0], "price": 1.0, "stock": None, "gap": math.nan}]
    )
    texts = ["-ln(probability(label))", "-ln(1 - probability('dog'))", "coalesce(gap, 3) * probability('dog')"]
    found = select(with_names(frame, classes=CLASSES), [expression_sql(text, CLASSES) for text in texts])
    assert [row[0] for row in found] == pytest.approx([103.279, 103.279, 3.0], rel=1e-4)
