"""SQL steps, before and after plugins, in a whole experiment: trained, stored, applied again to new rows."""

import warnings

import pytest

import sparknn_magic
from tests.flow.small import views

CELL = """\
task: image-classification
data:
  train: SELECT * FROM products
  validation: 20%
  test: products_test
  key: id
preprocess:
- sql: SELECT *, lower(label) AS label FROM {data} WHERE id % 2 = :half
  params: {half: 0}
- resize: 20
- sql: >
    SELECT * EXCEPT (image), nn_resize(image, 16, 16) AS image, image.height AS seen
    FROM {data} WHERE image.height = 20
- autocontrast
model: mlp
train: {epochs: 1, batch_size: 32, workers: 1}
"""


@pytest.fixture(scope="module")
def model(spark, tmp_path_factory):
    views(spark, 200, 60)
    folder = tmp_path_factory.mktemp("sql_steps")
    return sparknn_magic.train(
        CELL + f"export: {folder}/model\n", spark=spark, name="halved", runs=folder, on_event=lambda event: None
    )


def test_the_rows_of_every_split_went_through_the_steps(model, spark):
    even = spark.table("products").where("id % 2 = 0").count()
    assert model.meta["rows"]["train"] + model.meta["rows"]["validation"] == even
    assert model.metrics["rows"] == spark.table("products_test").where("id % 2 = 0").count()
    assert model.meta["input"] == {"height": 16, "width": 16, "channels": 1}
    assert all(name == name.lower() for name in model.classes)


def test_examples_and_explained_mistakes_have_each_step_once(model):
    assert model.examples(3).title.startswith("3 labelled rows")
    assert sparknn_magic.explain(model, count=3).html.count("<figure>") == 3


def test_a_prediction_keeps_all_rows_and_says_what_it_leaves_out(model, spark):
    with pytest.warns(UserWarning, match="keeps all rows") as caught:
        scored = model.predict("SELECT id, image FROM products_test")
    assert str(caught[0].message) == (
        "halved: a prediction keeps all rows and leaves out WHERE id % 2 = :half (SQL step 1); "
        "WHERE image.height = 20 (SQL step 2)."
    )
    rows = scored.select("id", "seen", "prediction.label", "prediction.error").collect()
    assert len(rows) == spark.table("products_test").count()
    assert {row.seen for row in rows} == {20}
    assert all(row.label in model.classes and row.error is None for row in rows)
    assert "label" not in scored.columns


def test_the_same_rows_give_the_same_figures_as_in_training(model, spark):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = model.evaluate("SELECT * FROM products_test WHERE id % 2 = 0")
    assert again["accuracy"] == model.metrics["accuracy"]
    assert again["log_loss"] == pytest.approx(model.metrics["log_loss"], abs=1e-6)
    assert model.evaluate()["accuracy"] == model.metrics["accuracy"]


def test_a_model_loaded_from_its_folder_knows_its_steps(model, spark):
    loaded = sparknn_magic.load(model.folder, spark=spark, register=False)
    with pytest.warns(UserWarning, match="SQL step 1"):
        scored = loaded.predict("SELECT * FROM products_test LIMIT 5")
    assert scored.where("prediction.error IS NULL").count() == 5


def test_the_model_shows_its_steps_in_their_order_and_what_its_sql_function_leaves_out(model):
    text = repr(model)
    assert "SQL step 1: SELECT *, lower(label) AS label FROM {data} WHERE id % 2 = :half" in text
    assert (
        "(a prediction leaves out WHERE id % 2 = :half), resize {size: 20, interpolation: bilinear}, SQL step 2:"
        in text
    )
    assert "the SQL function halved(...) runs no SQL step: give it rows that step 2 has run on, or use predict" in text
    assert "SQL step 1" in (model.folder / "README.md").read_text()


def test_columns_that_sql_makes_are_made_for_new_rows_too(spark, tmp_path):
    rows = spark.sql("SELECT id, rand(1) AS a, rand(2) AS b FROM range(300)")
    rows.selectExpr("id", "a", "b", "3 * a * b AS y").createOrReplaceTempView("products_of_two")
    cell = {
        "task": "vector-regression",
        "data": {"train": "products_of_two", "label": "y", "key": "id", "features": ["a", "ab"]},
        "preprocess": [
            {"sql": "SELECT *, a * b AS ab, 10 * y AS y FROM {data} WHERE b > :least", "params": {"least": 0.1}},
            "standardize",
        ],
        "model": {"mlp": {"depth": 0}},
        "train": {"epochs": 40, "batch_size": 32, "workers": 1, "optimizer": {"adam": {"lr": 0.05}}},
        "export": str(tmp_path / "model"),
    }
    model = sparknn_magic.train(cell, spark=spark, name="of_two", runs=tmp_path, on_event=lambda event: None)
    assert model.metrics["r2"] > 0.99
    with pytest.warns(UserWarning, match="leaves out WHERE b > :least"):
        scored = model.predict("SELECT id, 0.5D AS a, 0.05D AS b FROM range(3)")
    assert scored.columns == ["id", "a", "b", "ab", "prediction"]
    assert [row.p for row in scored.selectExpr("prediction.prediction AS p").collect()] == [
        pytest.approx(10 * 3 * 0.5 * 0.05, abs=0.5)
    ] * 3
    assert "SQL step 1" in (tmp_path / "model" / "README.md").read_text()
