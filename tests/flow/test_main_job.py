"""The main job on Spark, whole: rows in, a model folder and an SQL function out."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

import sparknn_magic
from sparknn_magic import outcome, run
from sparknn_magic.errors import BundleError, SessionError, SparkNNError, SpecError
from tests.flow.small import CELL, views


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def trained(spark, home):
    """The model, and the events of its run."""
    views(spark)
    events = []
    model = sparknn_magic.train(
        CELL + f"export: {home / 'fashion'}\n", name="fashion", spark=spark, runs=home / "runs", on_event=events.append
    )
    return model, events


def rows(spark, query="SELECT * FROM products_test"):
    return spark.sql(query)


def test_events_arrive_in_the_order_of_the_stages(trained):
    _, events = trained
    done = [e["stage"] for e in events if e["event"] == "stage" and e["state"] == "done"]
    assert done == ["check", "prepare", "train", "export", "evaluate"]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2]
    start = next(e for e in events if e["event"] == "start")
    assert start["workers"] == 2


def test_the_run_folder_keeps_how_the_run_ended(trained, home):
    model, _ = trained
    (run,) = sparknn_magic.runs(home / "runs")
    assert (run.name, run.state, run.epoch, run.epochs) == ("fashion", "finished", 2, 2)
    assert run.best == ("accuracy", model.metrics["accuracy"])
    assert run.model == model.folder
    assert run.size_bytes == model.meta["size_bytes"]
    assert run.spec == model.meta["spec"]
    assert not run.checkpoint


def test_the_folder_holds_what_bundle_json_lists_and_nothing_else(trained):
    model, _ = trained
    meta = json.loads((model.folder / "bundle.json").read_text())
    assert sorted(p.name for p in model.folder.iterdir()) == sorted([*meta["files"], "bundle.json"])
    assert set(meta["files"]) == {"model.onnx", "model.safetensors", "README.md"}
    assert meta["classes"][0] == "Ankle boot"
    assert meta["input"] == {"height": 28, "width": 28, "channels": 1}
    assert meta["rows"]["train"] + meta["rows"]["validation"] == 400
    assert meta["parity"]["changed_decisions"] == 0
    assert meta["parity"]["rows"] == meta["rows"]["validation"]
    assert meta["parity"]["max_difference"] < 1e-5
    assert meta["parity"]["accuracy_onnx"] == pytest.approx(
        meta["training"]["history"][meta["training"]["best_epoch"] - 1]["validation_accuracy"]
    )


def test_the_onnx_file_serves_alone_with_any_batch(trained):
    model, _ = trained
    path = model.folder / "model.onnx"
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert next(o.version for o in proto.opset_import if o.domain == "") == model.meta["opset"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [i.type for i in session.get_inputs()] == ["tensor(uint8)"]
    assert [o.name for o in session.get_outputs()] == ["probabilities", "index", "features"]
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == model.classes
    assert said["task"] == "image-classification"
    assert json.loads(said["preprocess"]) == []
    for batch in (1, 7):
        probabilities, index, features = session.run(None, {"image": np.zeros((batch, 28, 28, 1), np.uint8)})
        assert probabilities.shape == (batch, 10)
        assert probabilities.sum(1) == pytest.approx(np.ones(batch), abs=1e-5)
        assert index.tolist() == probabilities.argmax(1).tolist()
        assert features.shape[0] == batch
    assert b"/site-packages/" not in path.read_bytes()


def test_sql_gives_what_the_onnx_file_gives(trained, spark):
    model, _ = trained
    session = onnxruntime.InferenceSession(model.folder / "model.onnx", providers=["CPUExecutionProvider"])
    for row in spark.sql("SELECT image, fashion(image) AS p FROM products_test LIMIT 20").collect():
        pixels = np.asarray(Image.open(__import__("io").BytesIO(row.image)))[None, :, :, None]
        probabilities, index = session.run(["probabilities", "index"], {"image": pixels})
        assert row.p.label == model.classes[index[0]]
        assert row.p.score == pytest.approx(float(probabilities.max()), abs=1e-5)
        assert row.p.error is None


def test_metrics_are_scikit_learns(trained, spark):
    model, _ = trained
    found = rows(spark, "SELECT label, fashion(image).label AS said FROM products_test").collect()
    truth, said = [r.label for r in found], [r.said for r in found]
    assert model.metrics["accuracy"] == pytest.approx(accuracy_score(truth, said))
    f1 = precision_recall_fscore_support(truth, said, labels=model.classes, average="macro", zero_division=0)[2]
    assert model.metrics["macro"]["f1"] == pytest.approx(f1)
    assert model.meta["evaluated_on"] == "test"
    assert model.evaluate() == model.metrics
    assert model.evaluate("SELECT * FROM products_test LIMIT 30")["rows"] == 30


def test_predict_takes_a_frame_a_view_or_sql_and_keeps_the_columns(trained, spark):
    model, _ = trained
    for data in (spark.table("products_test"), "products_test", "SELECT id, image, label FROM products_test"):
        scored = model.predict(data)
        assert scored.columns == ["id", "image", "label", "prediction"]
    with pytest.raises(SparkNNError, match=r"the rows have no column 'image'. Did you mean 'imag'"):
        model.predict("SELECT image AS imag FROM products_test")


def test_bad_rows_get_a_reason_and_cost_no_other(trained, spark):
    model, _ = trained
    good = rows(spark).first().image
    bad = spark.createDataFrame(
        [(1, good), (2, good[: len(good) // 2]), (3, b""), (4, None), (5, b"hello")], "id int, image binary"
    )
    found = {r.id: r.prediction for r in model.predict(bad).collect()}
    assert found[1].label is not None
    assert found[1].error is None
    assert "truncated" in found[2].error
    assert found[3].error == "empty"
    assert found[4].error == "null"
    assert "not an image" in found[5].error
    assert model.predict(bad, mode="dropmalformed").count() == 1


def test_another_process_loads_the_model_and_scores_alike(trained, spark, run_script):
    model, _ = trained
    first = [r.label for r in model.predict(rows(spark).limit(10)).selectExpr("prediction.label").collect()]
    done = run_script(
        f"""
        import sparknn_magic
        spark = sparknn_magic.session()
        sparknn_magic.sample("fashion-mnist", spark)
        model = sparknn_magic.load({str(model.folder)!r})
        found = spark.sql("SELECT fashion(image).label AS said FROM fashion_mnist_test LIMIT 10").collect()
        print([r.said for r in found])
        print(model.metrics["accuracy"], len(model.history))
        """
    )
    lines = done.stdout.strip().splitlines()
    assert lines[-2] == str(first)
    assert lines[-1] == f"{model.metrics['accuracy']} 2"


def test_a_saved_copy_loads_and_a_damaged_one_is_refused(trained, home, spark):
    model, _ = trained
    copy = model.save(home / "copy")
    assert sparknn_magic.load(copy, spark=spark, register=False).metrics == model.metrics
    with open(copy / "model.onnx", "r+b") as file:
        file.seek(2000)
        file.write(b"\0\1\2\3")
    with pytest.raises(BundleError, match=r"model.onnx' has changed since it was written"):
        sparknn_magic.load(copy, spark=spark)
    (copy / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"has no model.safetensors: the model is incomplete|has changed"):
        sparknn_magic.load(copy, spark=spark)
    with pytest.raises(BundleError, match=r"there is no model in '.*fashio' .* Did you mean '.*/fashion'"):
        sparknn_magic.load(home / "fashio", spark=spark)


def test_the_report_and_the_card_are_written(trained):
    model, _ = trained
    report = Path(model.report).read_text()
    assert report.startswith("<!DOCTYPE html>") or report.startswith("<!doctype html>")
    assert "data:image/" in report
    assert "onnxruntime" in (model.folder / "README.md").read_text()


def test_the_same_cell_reads_its_prepared_rows_again_and_trains_the_same_weights(trained, home, spark):
    model, _ = trained
    before = model.meta["files"]["model.safetensors"]
    events = []
    cell = CELL + f"export: {home / 'fashion2'}\n"
    again = sparknn_magic.train(cell, name="fashion", spark=spark, runs=home / "runs", on_event=events.append)
    prepared = next(e for e in events if e["event"] == "stage" and e["stage"] == "prepare" and e["state"] == "done")
    assert prepared["reused"]
    assert again.meta["files"]["model.safetensors"] == before
    assert not list((home / "runs").rglob("checkpoint.safetensors"))


def test_mistakes_are_explained(trained):
    model, _ = trained
    found = sparknn_magic.explain(model, count=3)
    assert found.html.count("data:image/png;base64,") == 6
    assert len(found.text.splitlines()) == 3
    wrong = (
        model.predict("products_test").where("prediction.label != label").orderBy("prediction.score", ascending=False)
    )
    worst = wrong.select("prediction.label", "prediction.score").first()
    assert f"✗ {worst.label} {worst.score:.0%}, is" in found.text.splitlines()[0]
    with pytest.raises(SpecError, match="explain: 'many' is no number of rows"):
        sparknn_magic.explain(model, count="many")


def test_the_very_same_cell_gives_the_model_that_is_there(trained, home, spark):
    model, _ = trained
    events = []
    cell = CELL + f"export: {model.folder}\n"
    again = sparknn_magic.train(cell, name="fashion", spark=spark, runs=home / "runs", on_event=events.append)
    assert again.meta == model.meta
    assert again.report == model.report
    assert {e["stage"] for e in events if e["event"] == "stage" and e["state"] == "done"} == {"check", "prepare"}
    assert "nothing has changed since" in events[-1]["message"]


def test_other_test_rows_other_metrics_and_another_file_make_another_cell(trained, home, spark):
    def identity(more=""):
        ready = run.get_ready(cell + more, print, runs=home / "runs", spark=spark, name="fashion")
        return outcome.cell_identity(ready)

    model, _ = trained
    cell = CELL + f"export: {model.folder}\n"
    first = model.meta["training"]["cell"]
    assert identity() == first
    assert identity("metrics: {shirts: {sql: count(*)}}\n") != first
    spark.table("products_test").createOrReplaceTempView("whole")
    try:
        spark.sql("SELECT * FROM whole WHERE id % 2 = 0").createOrReplaceTempView("products_test")
        assert identity() != first
    finally:
        spark.table("whole").createOrReplaceTempView("products_test")
    assert identity() == first


def test_a_model_that_was_stopped_is_trained_again(trained, home, spark):
    model, _ = trained
    ready = run.get_ready(CELL + f"export: {model.folder}\n", print, runs=home / "runs", spark=spark, name="fashion")
    cell = outcome.cell_identity(ready)
    assert outcome.finished_model(ready, cell).meta == model.meta
    assert outcome.finished_model(ready, "another") is None
    file = model.folder / "bundle.json"
    whole = file.read_text()
    meta = json.loads(whole)
    meta["training"]["stopped"] = "stop request"
    file.write_text(json.dumps(meta))
    try:
        assert outcome.finished_model(ready, cell) is None
    finally:
        file.write_text(whole)


def test_a_dry_run_trains_nothing_and_says_the_plan(spark, home):
    views(spark)
    plan = sparknn_magic.dry_run(CELL + f"export: {home / 'none'}\n", name="fashion", spark=spark)
    assert plan["input"] == {"channels": 1, "height": 28, "width": 28}
    assert plan["classes"] == 10
    assert plan["model"]["parameters"] == sum([6 * 26, 16 * 151, 120 * 401, 84 * 121, 10 * 85])
    assert plan["workers"] == 2
    assert plan["slots"] == 2
    assert not (home / "none").exists()


def test_more_workers_than_slots_is_an_error_at_once(spark, home):
    views(spark)
    with pytest.raises(
        SessionError, match=r"line 12, column 12: train.workers is 3, but this Spark session has 2 slots"
    ):
        sparknn_magic.train(CELL.replace("workers: 2", "workers: 3"), name="fashion", spark=spark, runs=home / "runs")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("lenet5", "lenet6"), r"line 8, column 8: there is no architecture named 'lenet6'. Did you mean 'lenet5'"),
        (("FROM products\n", "FROM prodcts\n"), r"line 3, column 10: .*prodcts.* cannot be found"),
        (("image, label", "image"), r"line 3, column 10: data.train has no column 'label' for the label"),
        (
            ("image, label", "id AS image, label"),
            r"line 3, column 10: column 'image' is bigint, which holds no pictures",
        ),
        (
            ("batch_size", "batchsize"),
            r"line 11, column 3: unknown key 'batchsize' in 'train'. Did you mean 'batch_size'",
        ),
        (("products_test", "products_tset"), r"line 5, column 9: there is no table.*'products_tset'. Did you mean"),
    ],
)
def test_errors_before_training_have_their_place(change, words, spark, home):
    views(spark)
    with pytest.raises(SparkNNError, match=words) as caught:
        sparknn_magic.train(CELL.replace(*change), name="fashion", spark=spark, runs=home / "runs")
    assert len(str(caught.value).splitlines()) <= 2


def test_a_name_of_sparks_own_is_refused(spark, home):
    views(spark)
    with pytest.raises(SpecError, match=r"'count' is a function of Spark's own"):
        sparknn_magic.train(CELL, name="count", spark=spark, runs=home / "runs")


def test_an_export_folder_with_other_files_is_left_alone(spark, home):
    views(spark)
    (home / "photos").mkdir()
    (home / "photos" / "cat.jpg").write_bytes(b"x")
    with pytest.raises(SparkNNError, match=r"line 13, column 9: the folder '.*photos' holds other files and no model"):
        sparknn_magic.train(CELL + f"export: {home / 'photos'}\n", name="fashion", spark=spark, runs=home / "runs")
