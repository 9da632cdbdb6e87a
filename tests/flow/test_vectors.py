"""Columns in, a model folder and an SQL function out: a class, and a number; on a Connect session too."""

import json

import numpy as np
import onnxruntime
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error

import sparknn_magic
from sparknn_magic.errors import SparkNNError
from sparknn_magic.notebook.display import LiveDisplay
from sparknn_magic.show.live import RunState
from sparknn_magic.show.text import plan_text
from tests.data.tables import frame

CLASSES = """\
task: vector-classification
data:
  train: wines
  label: grape
  key: id
  categories: cellar
  validation: 15%
  test: 15%
preprocess:
- fill_nulls: median
- clip_outliers: {deviations: 4}
- standardize
- embed: {columns: [colour], width: 2}
model:
  mlp: {width: 32, depth: 1}
train:
  epochs: 30
  batch_size: 16
  optimizer: {adamw: {lr: 1e-2}}
  workers: 2
"""
NUMBER = """\
task: vector-regression
data:
  train: SELECT * EXCEPT (id, grape) FROM wines
  features: [alcohol, malic, ash, magnesium, old, colour, cellar, phenols, extract]
  label: proline
  validation: 20%
preprocess:
- sql: SELECT *, upper(colour) AS colour, 1 + magnesium / 100 AS weight FROM {data}
- fill_nulls: mean
- standardize
model:
  mlp: {width: 32, depth: 1}
loss:
  sql: weight * pow(prediction - target, 2)
train:
  epochs: 20
  batch_size: 16
  optimizer: {adamw: {lr: 1e-2}}
  workers: 2
"""
COLUMNS = ["alcohol", "malic", "ash", "magnesium", "old", "colour", "cellar", "phenols", "proline", "extract"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("vectors")


@pytest.fixture(scope="module")
def wines_view(spark):
    found = frame(spark).persist()
    found.createOrReplaceTempView("wines")
    yield found
    found.unpersist()


@pytest.fixture(scope="module")
def wine(spark, home, wines_view):
    cell = CLASSES + f"export: {home / 'wine'}\n"
    return sparknn_magic.train(cell, name="wine", spark=spark, runs=home / "runs", on_event=lambda event: None)


@pytest.fixture(scope="module")
def proline(spark, home, wines_view):
    cell = NUMBER + f"export: {home / 'proline'}\n"
    return sparknn_magic.train(cell, name="proline", spark=spark, runs=home / "runs", on_event=lambda event: None)


def test_a_model_that_was_there_already_is_shown_with_its_own_figure(proline, capsys):
    view = LiveDisplay(RunState("proline", total=1))
    view.finish(proline)
    assert "proline: vector-regression" in capsys.readouterr().out
    assert "validation MAE" in view.state.summary_html(proline.history)


def test_wines_are_told_apart_and_the_file_agrees_on_raw_rows(wine):
    assert wine.metrics["accuracy"] > 0.8
    assert wine.meta["evaluated_on"] == "test"
    assert wine.meta["parity"]["rows"] == wine.meta["rows"]["validation"]
    assert wine.meta["parity"]["changed_decisions"] == 0
    assert wine.meta["parity"]["max_difference"] < 1e-5
    assert wine.meta["parity"]["accuracy_onnx"] == pytest.approx(
        wine.meta["training"]["history"][wine.meta["training"]["best_epoch"] - 1]["validation_accuracy"]
    )


def test_sql_takes_the_columns_in_their_order_and_agrees_with_scikit_learn(wine, spark):
    said = spark.sql(f"SELECT grape, wine({', '.join(COLUMNS)}) AS p FROM wines").collect()
    assert all(row.p.error is None for row in said)
    known = wine.predict("wines").selectExpr("grape", "prediction.label AS said").collect()
    assert [row.p.label for row in said] == [row.said for row in known]
    scored = wine.evaluate("wines")
    assert scored["accuracy"] == pytest.approx(accuracy_score([r.grape for r in said], [r.p.label for r in said]))


def test_the_file_answers_alone(wine):
    session = onnxruntime.InferenceSession(wine.folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == COLUMNS
    rows = {
        "alcohol": np.array([13.2, np.nan]),
        "malic": np.array([1.8, 2.4], np.float32),
        "ash": np.array([2.4, 2.3]),
        "magnesium": np.array([100.0, 90.0]),
        "old": np.array([1.0, 0.0]),
        "colour": np.array(["medium", "purple"], object),
        "cellar": np.array(["10", ""], object),
        "phenols": np.array([[2.8, 3.0], [1.5, 0.6]], np.float32),
        "proline": np.array([1100.0, 600.0]),
        "extract": np.array([[0.0, 2.8, 0.0], [0.0, 1.5, 0.0]]),
    }
    probabilities, index, features = session.run(None, rows)
    assert probabilities.sum(1) == pytest.approx([1, 1], abs=1e-5)
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    assert [classes[i] for i in index] == ["barolo", "barbera"]
    assert features.shape == (2, 32)


def test_bad_rows_get_a_reason_and_cost_no_other(wine, spark):
    rows = spark.sql(
        "SELECT id, if(id = 1, double('infinity'), alcohol) AS alcohol, malic, ash, magnesium, old, "
        "if(id = 2, 'never seen', colour) AS colour, cellar, if(id = 3, array(1F), phenols) AS phenols, proline, "
        "extract FROM wines WHERE id < 5"
    )
    said = {row.id: row.prediction for row in wine.predict(rows).collect()}
    assert {i: p.error for i, p in said.items() if p.error} == {
        1: "infinite 'alcohol'",
        3: "'phenols' does not hold 2 numbers",
    }
    assert said[2].label is not None
    assert wine.predict(rows, mode="dropmalformed").count() == 3


def test_a_number_is_learnt_in_its_own_units(proline, spark):
    assert proline.evaluate("wines")["r2"] > 0.5
    assert proline.metrics["rows"] == proline.meta["rows"]["validation"]
    assert proline.meta["parity"]["max_difference"] < 1e-5
    best = proline.history[proline.meta["training"]["best_epoch"] - 1]
    assert proline.meta["parity"]["mae_onnx"] == pytest.approx(best["validation_mae"], rel=1e-4)
    rows = proline.predict("SELECT * FROM wines").selectExpr("proline", "prediction.prediction AS said").collect()
    mae = mean_absolute_error([r.proline for r in rows], [r.said for r in rows])
    assert proline.evaluate("wines")["mae"] == pytest.approx(mae)
    assert dict(proline.predict("wines").dtypes)["prediction"] == "struct<prediction:double,error:string>"


def test_sql_steps_and_columns_of_the_loss_go_with_the_features(proline, spark):
    assert proline.meta["categories"][0] == ["", "DARK", "LIGHT", "MEDIUM"]
    assert "weight" not in [feature["name"] for feature in proline.meta["features"]]
    assert [query["skipped"] for query in proline.meta["queries"]] == [""]
    both = proline.predict("SELECT * FROM wines WHERE id = 0").first().prediction.prediction
    upper = ", ".join("upper(colour)" if name == "colour" else name for name in COLUMNS if name != "proline")
    said = spark.sql(f"SELECT proline({upper}).prediction AS said FROM wines WHERE id = 0").first().said
    assert said == pytest.approx(both)


def test_another_process_loads_both_and_scores_alike(wine, proline, wines_view, home, run_script):
    wines_view.write.parquet(str(home / "wines.parquet"))
    first = wine.predict("wines").orderBy("id").selectExpr("prediction.label AS said").collect()
    done = run_script(
        f"""
        import sparknn_magic
        spark = sparknn_magic.session()
        spark.read.parquet({str(home / "wines.parquet")!r}).createOrReplaceTempView("wines")
        for name in ("wine", "proline"):
            sparknn_magic.load({str(home)!r} + "/" + name)
        found = spark.sql("SELECT wine({", ".join(COLUMNS)}).label AS said FROM wines ORDER BY id").collect()
        print([r.said for r in found])
        numbers = [c for c in {COLUMNS} if c != "proline"]
        print(spark.sql(f"SELECT count(proline({{', '.join(numbers)}}).prediction) AS n FROM wines").first().n)
        """
    )
    lines = done.stdout.strip().splitlines()
    assert lines[-2] == str([row.said for row in first])
    assert lines[-1] == "178"


def test_a_dry_run_says_the_columns_and_what_is_done_to_them(spark, home, wines_view):
    plan = sparknn_magic.dry_run(CLASSES + f"export: {home / 'none'}\n", name="wine", spark=spark)
    details = dict(plan["details"])
    assert details["numbers"].startswith("alcohol, malic, ash, magnesium, old, phenols (2), proline, extract (3)")
    assert details["nulls"].startswith("alcohol ")
    assert details["categories"] == "colour (4 values, embedded in 2), cellar (3 values, one-hot)"
    assert details["fill_nulls"] == details["standardize"] == "all numbers"
    assert plan["input"] == {"numbers": 11, "categories": (5, 4), "embedded": (2, 0)}
    assert plan["classes"] == 3
    assert not (home / "none").exists()
    text = plan_text(plan)
    assert "11 numbers, 2 categories" in text
    assert "colour (4 values, embedded in 2), cellar (3 values, one-hot)" in text


def test_an_error_before_training_has_its_place(spark, home, wines_view):
    cell = CLASSES.replace("- fill_nulls: median\n", "") + f"export: {home / 'none'}\n"
    with pytest.raises(SparkNNError, match=r"line 10, column 1: 'alcohol' is null in \d+ of \d+ training rows, and no"):
        sparknn_magic.train(cell, name="wine", spark=spark, runs=home / "runs", on_event=lambda event: None)


SCRIPT = """
import sparknn_magic
from sparknn_magic import cluster
from tests.data.tables import frame
from tests.flow.test_vectors import CLASSES, COLUMNS, NUMBER

assert cluster.is_connect(spark)
frame(spark).createOrReplaceTempView("wines")
model = sparknn_magic.train(CLASSES, name="wine", spark=spark, on_event=lambda event: None)
print("accuracy", model.metrics["accuracy"])
print("sql", spark.sql(f"SELECT count(wine({', '.join(COLUMNS)}).label) AS n FROM wines").first().n)
cell = NUMBER.replace("epochs: 20", "epochs: 5")
model = sparknn_magic.train(cell, name="proline", spark=spark, on_event=lambda event: None)
print("mae", model.metrics["mae"])
"""


def test_both_tasks_run_on_a_connect_session(run_script):
    from pathlib import Path

    root = str(Path(__file__).parents[2])
    done = run_script(SCRIPT, connect=True, env={"PYTHONPATH": root}, timeout=500)
    said = dict(line.split(" ", 1) for line in done.stdout.strip().splitlines() if " " in line)
    assert float(said["accuracy"]) > 0.8
    assert said["sql"] == "178"
    assert 0 < float(said["mae"]) < 320
