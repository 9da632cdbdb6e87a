"""The same main job for a Spark Connect client."""

SCRIPT = """
import json, pathlib
import sparknn_magic
from sparknn_magic import cluster
from sparknn_magic.errors import SparkNNError
from tests.flow.small import CELL, views

assert cluster.is_connect(spark)
views(spark)
events = []
model = sparknn_magic.train(CELL, name="fashion", spark=spark, on_event=events.append)
assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2], events
assert [e for e in events if e["event"] == "step"]
print("accuracy", model.metrics["accuracy"], model.metrics["rows"])
print("sql", spark.sql("SELECT count(fashion(image).label) AS n FROM products_test").first().n)
bad = spark.createDataFrame([(b"text",)], "image binary")
print("error", model.predict(bad).selectExpr("prediction.error").first().error)
assert model.evaluate("SELECT * FROM products_test LIMIT 20")["rows"] == 20
for change, words in [
    (("workers: 2", "workers: 3"), "this Spark session has 2 slots"),
    (("FROM products\\n", "FROM prodcts\\n"), "prodcts"),
    (("lenet5", "tests.flow"), "there is no architecture"),
]:
    try:
        sparknn_magic.train(CELL.replace(*change), name="fashion", spark=spark)
    except SparkNNError as error:
        assert words in str(error), str(error)
        assert len(str(error).splitlines()) <= 2, str(error)
    else:
        raise AssertionError(words)
wild = "batch_size: 32\\n  optimizer: {sgd: {lr: 1e30, momentum: 0}}"
failing = CELL.replace("lenet5", "mlp").replace("batch_size: 32", wild)
try:
    sparknn_magic.train(failing, name="fashion", spark=spark)
except SparkNNError as error:
    print("failed", str(error).splitlines()[0])
print("again", spark.range(5).count())
print("folders", sorted(p.name for p in pathlib.Path().iterdir()))
"""


def test_the_main_job_runs_on_a_connect_session(run_script):
    done = run_script(SCRIPT, connect="own", env={"PYTHONPATH": _root()}, timeout=500)
    said = dict(line.split(" ", 1) for line in done.stdout.strip().splitlines() if " " in line)
    accuracy, rows = said["accuracy"].split()
    assert rows == "100"
    assert float(accuracy) > 0.2
    assert said["sql"] == "100"
    assert "not an image" in said["error"]
    assert "the loss is" in said["failed"]
    assert "rank" in said["failed"]
    assert said["again"] == "5"
    assert "models" in said["folders"]


def _root():
    from pathlib import Path

    return str(Path(__file__).parents[2])
