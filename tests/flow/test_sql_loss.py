"""A loss in SQL, from the cell to the evaluation: a column of the row weighs it, in training and on Spark alike."""

import math

import pytest

import sparknn_magic
from sparknn_magic.data.spark import prepare
from sparknn_magic.errors import SparkNNError
from tests.data.rows import lay_out, png
from tests.flow.small import views

CELL = """\
task: image-classification
data:
  train: |
    SELECT image, label, IF(id % 2 = 0, 0, NULL) AS price FROM products
    UNION ALL SELECT image, 'Bag' AS label, 1.5 AS price FROM products
  validation: 20%
  test: SELECT image, label, 2 AS price FROM products_test
model: lenet5
loss:
  sql: -ln(probability(label)) * Price
metrics:
  bags: count_if(prediction = 'Bag')
  cost: avg(-ln(probability(label)) * price)
  missed: {sql: sum(CASE WHEN prediction <> label THEN price END)}
train: {epochs: 3, batch_size: 16, workers: 1, optimizer: {adamw: 0.01}, early_stopping: {patience: 9}}
"""


@pytest.fixture(scope="module")
def model(spark, tmp_path_factory):
    views(spark, 300, 60)
    home = tmp_path_factory.mktemp("sql")
    return sparknn_magic.train(
        CELL, name="weighted", spark=spark, runs=home / "runs", overrides=[f"export={home / 'm'}"]
    )


def test_rows_without_a_price_teach_nothing(model):
    """What is true has the weight 0 or null, and that every picture is a bag has 1.5: so that is what is learnt."""
    assert model.metrics["custom"]["bags"] == 60
    assert model.history[-1]["train_loss"] < model.history[0]["train_loss"]


def test_the_loss_and_the_metrics_are_evaluated_by_spark(model):
    custom = model.metrics["custom"]
    assert list(custom) == ["loss", "bags", "cost", "missed"]
    assert custom["loss"] == pytest.approx(custom["cost"])
    wrong = model.metrics["rows"] * (1 - model.metrics["accuracy"])
    assert custom["missed"] == pytest.approx(2 * wrong)


def test_they_are_evaluated_again_on_other_rows(model):
    again = model.evaluate("SELECT image, label, 4 AS price FROM products_test LIMIT 20")
    assert again["custom"]["bags"] == 20
    assert again["custom"]["loss"] == pytest.approx(again["custom"]["cost"])


def test_a_class_that_there_is_not_is_refused_before_training(spark, tmp_path):
    views(spark, 100, 20)
    with pytest.raises(SparkNNError, match="line 10, column 24: there is no class"):
        sparknn_magic.dry_run(CELL.replace("label)) *", "'bag')) *"), name="weighted", spark=spark)


def test_numbers_of_the_row_go_along_as_doubles_and_nulls_stay_null(spark, tmp_path):
    rows = [(i, png(i), "cat" if i % 2 else "dog", i * 0.5 if i % 5 else None, i % 3 == 0) for i in range(20)]
    frame = spark.createDataFrame(rows, "id int, image binary, label string, Price float, fresh boolean")
    more = "loss: {sql: 'logit(label) * price + if(fresh, 1, 0)'}"
    prepared = prepare(lay_out(spark, "train: rows\nvalidation: 20%", {"rows": frame}, more), str(tmp_path))
    assert prepared.columns == ("price", "fresh")
    found = prepared.frame(spark)
    assert found.columns == ["split", "row", "label", "image", "price", "fresh"]
    assert dict(found.dtypes)["price"] == "double"
    pairs = {(row.image[0], row.price, row.fresh) for row in found.collect()}
    assert pairs == {(i, i * 0.5 if i % 5 else None, float(i % 3 == 0)) for i in range(20)}
    changed = frame.selectExpr("id", "image", "label", "Price + 1 AS Price", "fresh")
    other = prepare(lay_out(spark, "train: rows\nvalidation: 20%", {"rows": changed}, more), str(tmp_path))
    assert other.uri != prepared.uri
    assert not math.isnan(other.frame(spark).selectExpr("min(price)").first()[0])


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (
            "logit(0) * prise",
            "the loss reads a column 'prise', and data.train has no such column. Did you mean 'price'?",
        ),
        ("logit(0) * size", "the loss reads the column 'size' of data.train, which is string and no number."),
        ("logit(0) * row", "the loss cannot read a column 'row': prepared rows have one of their own by that name."),
    ],
)
def test_a_column_that_the_loss_cannot_read_is_named(spark, loss, words):
    schema = "id int, image binary, label string, price double, size string, row int"
    frame = spark.createDataFrame([(1, png(1), "cat", 1.0, "XL", 1)], schema)
    with pytest.raises(SparkNNError) as caught:
        lay_out(spark, "train: rows", {"rows": frame}, f"loss: {{sql: '{loss}'}}")
    assert words in str(caught.value)
    assert str(caught.value).startswith("line 5, column ")


NUMBERS = """\
task: vector-regression
data: {train: houses, features: [rooms, age], label: price, validation: 20%}
preprocess: [standardize]
model: mlp
loss:
  sql: huber(prediction - target, 25) * coalesce(weight, 1)
metrics:
  off: avg(abs(prediction - label))
  weighted: avg(huber(label - prediction, 25) * coalesce(weight, 1))
train: {epochs: 20, batch_size: 32, workers: 1, optimizer: {adamw: 0.02}}
"""


def test_numbers_are_learnt_in_their_own_unit(spark, tmp_path):
    query = (
        "SELECT CAST(id % 7 AS DOUBLE) AS rooms, CAST(id % 31 AS DOUBLE) AS age, "
        "1000 + 60 * (id % 7) - 5 * (id % 31) AS price, IF(id % 3 = 0, NULL, 0.5) AS weight FROM range(400)"
    )
    spark.sql(query).createOrReplaceTempView("houses")
    home = [f"export={tmp_path / 'm'}"]
    model = sparknn_magic.train(NUMBERS, name="houses_price", spark=spark, runs=tmp_path / "runs", overrides=home)
    metrics = model.metrics
    assert metrics["r2"] > 0.9
    assert list(metrics["custom"]) == ["loss", "off", "weighted"]
    assert metrics["custom"]["off"] == pytest.approx(metrics["mae"])
    assert metrics["custom"]["loss"] == pytest.approx(metrics["custom"]["weighted"])
    best = model.history[model.meta["training"]["best_epoch"] - 1]
    assert metrics["custom"]["loss"] == pytest.approx(best["validation_loss"], rel=1e-3)
