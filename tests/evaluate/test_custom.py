"""A cell's own metrics: SQL aggregates over the predictions, and what is said of one that Spark does not take."""

import math

import pyarrow as pa
import pytest

from sparknn_magic.errors import SparkNNError
from sparknn_magic.evaluate.custom import check_cell, check_metrics, check_names, custom_metrics
from sparknn_magic.evaluate.rewrite import rewrite
from sparknn_magic.spec import Experiment

PETS = ("cat", "dog")
ANSWER = "struct<label:string,score:float,probabilities:array<float>,error:string>"


@pytest.fixture(scope="module")
def scored(spark):
    def answer(cat):
        label = None if cat is None else "cat" if cat > 0.5 else "dog"
        probabilities = None if cat is None else [cat, 1 - cat]
        return {"label": label, "score": cat, "probabilities": probabilities, "error": None if label else "broken"}

    kind = pa.struct(
        [
            ("label", pa.string()),
            ("score", pa.float32()),
            ("probabilities", pa.list_(pa.float32())),
            ("error", pa.string()),
        ]
    )
    columns = {
        "pet": pa.array(["cat", "dog", "cat", "ant", "dog"]),
        "price": pa.array([1.0, 2.0, 4.0, 8.0, None]),
        "prediction": pa.array([answer(cat) for cat in (0.75, 0.75, 0.25, 0.75, None)], kind),
    }
    return spark.createDataFrame(pa.table(columns))


def values(scored, loss=None, **metrics):
    return custom_metrics(scored, metrics, classes=PETS, label="pet", loss=loss)


def wrong(scored, sql, classes=PETS):
    with pytest.raises(SparkNNError) as caught:
        custom_metrics(scored, {"mine": sql}, classes=classes, label="pet")
    assert str(caught.value).count("\n") <= 1
    return str(caught.value)


def test_metrics_are_aggregates_of_names_outputs_and_any_column(scored):
    found = values(
        scored,
        weighted_error="avg(CASE WHEN prediction = label THEN 0 ELSE price END)",
        surprise="avg(-ln(probability(label)))",
        margin="max(logit('cat') - logit('dog'))",
        dogs="count_if(target = 1)",
        unsure="avg(prediction.score) FILTER (WHERE price < 3)",
        cats="sum(CASE WHEN label = 'cat' THEN price END)",
        steep="max(sigmoid(0 * price)) + max(huber(price, 1)) + min(softplus(price * 0))",
        related="corr(price, probability('cat'))",
        middle="percentile(price, 0.5)",
        any="bool_or(price > 7)",
        none="avg(price) FILTER (WHERE false)",
    )
    assert found["weighted_error"] == pytest.approx((0 + 2 + 4 + 8) / 4)
    assert found["surprise"] == pytest.approx((-math.log(0.75) - 2 * math.log(0.25)) / 3)
    assert found["margin"] == pytest.approx(math.log(3))
    assert found["dogs"] == 2
    assert found["unsure"] == pytest.approx(0.75)
    assert found["cats"] == 5
    assert found["steep"] == pytest.approx(0.5 + 7.5 + math.log(2))
    assert -1 <= found["related"] <= 1
    assert found["middle"] == 3
    assert found["any"] is True
    assert found["none"] is None


def test_the_mean_of_an_sql_loss_counts_nulls_as_0_and_only_rows_that_can_be_judged(scored):
    found = values(scored, loss="-ln(probability(label)) * nullif(price, 4)")
    assert found == {"loss": pytest.approx((-math.log(0.75) - 2 * math.log(0.25)) / 3)}


def test_a_metric_that_is_called_loss_takes_its_place(scored):
    assert custom_metrics(scored, {"loss": "count(*)"}, classes=PETS, label="pet", loss="logit(label)") == {"loss": 5}


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("avg(prize)", "Spark does not take the metric 'mine': "),
        ("avg(label = 'cta')", "there is no class 'cta'. Did you mean 'cat'? (column 13 of the SQL)"),
        ("avg(probability('dgo'))", "there is no class 'dgo'. Did you mean 'dog'? (column 17 of the SQL)"),
        ("avg(probability())", "probability takes 1 argument, not 0. (column 5 of the SQL)"),
        ("avg(probability(label)", "Syntax error at or near end of input"),
        ("probability(label", "this bracket is never closed. (column 12 of the SQL)"),
        ("collect_list(price)", "the metric 'mine' is array<double>, and a metric is one number."),
        (
            "price",
            "is not an aggregate: it has a value in each row. (column 1 of the SQL)\nFor example: avg(",
        ),
        ("avg(price) + price", "the metric 'mine' is not an aggregate"),
        ("avg(price", "Spark does not take the metric 'mine': "),
        ("  ", "there is no SQL here."),
        ("max('cat)", "a quote or a comment in this SQL is never closed."),
    ],
)
def test_a_metric_that_spark_does_not_take_is_named_with_its_place(scored, sql, words):
    assert words in wrong(scored, sql)


def test_what_goes_wrong_while_spark_computes_is_said_in_two_lines(scored):
    assert "cannot compute the metrics: Division by zero." in wrong(scored, "avg(price / (price - 1))")


def test_the_place_of_what_spark_does_not_know_is_that_in_the_users_text(scored):
    text = wrong(scored, "avg(probability(label)) + avg(prize)")
    assert "(column 31 of the SQL)" in text
    assert "`prize`" in text
    assert "price" in text
    assert "__nn" not in text


def test_metrics_are_checked_before_there_are_predictions(scored):
    rows = scored.drop("prediction")
    check_metrics(rows, ANSWER, {"mine": "avg(probability('who knows'))"}, classes=None, label="pet")
    with pytest.raises(SparkNNError) as caught:
        check_metrics(rows, ANSWER, {"ok": "count(*)", "mine": "avg(prize)"}, classes=None, label="pet")
    assert caught.value.metric == "mine"


def test_where_numbers_are_predicted_they_are_compared_in_their_own_unit(spark):
    kind = pa.struct([("prediction", pa.float64()), ("error", pa.string())])
    columns = {
        "price": pa.array([1.0, 2.0, 4.0]),
        "prediction": pa.array([{"prediction": p, "error": None} for p in (2.0, 2.0, 1.0)], kind),
    }
    scored = spark.createDataFrame(pa.table(columns))
    metrics = {"worst": "max(abs(prediction - label))", "share": "avg(huber(prediction - target, 1))"}
    found = custom_metrics(scored, metrics, classes=(), label="price", loss="abs(prediction - target)")
    assert found == {"loss": pytest.approx(4 / 3), "worst": 3.0, "share": pytest.approx((0.5 + 0 + 2.5) / 3)}
    with pytest.raises(SparkNNError, match="is of a class, and a number is predicted here"):
        custom_metrics(scored, {"mine": "avg(probability(label))"}, classes=(), label="price")


def test_a_cell_is_told_where_its_metric_is_wrong(scored):
    cell = (
        "task: image-classification\ndata: {train: t, label: pet}\nmodel: lenet5\nmetrics:\n"
        "  fine: count(*)\n  mine: 'avg(prize)'\n  named: count_if(label = 'ant')\n"
    )
    experiment = Experiment.parse(cell)
    with pytest.raises(SparkNNError, match="line 6, column 14: Spark does not take the metric 'mine'"):
        check_cell(experiment, scored, of_classes=True)
    with pytest.raises(SparkNNError, match="line 7, column 27: there is no class 'ant'"):
        check_names(experiment, PETS)


def test_only_our_names_are_replaced():
    sql = "avg(`label`) + t.label + max('label') + count_if(Prediction = LABEL) -- label\n"
    changed = "avg(`label`) + t.label + max('label') + count_if(__nn.prediction = __nn.label) -- label\n"
    assert rewrite(sql, PETS).sql == changed
