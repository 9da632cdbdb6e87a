"""The model as a Spark function: frames, SQL, modes, streams, on a classic session; the numbers are numpy's own."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image
from pyspark.errors import PythonException

from sparknn_magic.errors import DataError, SpecError
from sparknn_magic.infer.job import PREDICTION
from sparknn_magic.infer.spark import model_udf, predict, register
from sparknn_magic.plugin import Part
from tests.data.pictures import encode, spark_image
from tests.infer.models import CLASSES, job, probabilities, write_model

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # py4j's sockets

PICTURES = np.random.default_rng(6).integers(0, 256, (40, 4, 5, 3), np.uint8)


@pytest.fixture(scope="module")
def rows(spark):
    """Return 40 rows (id, image): PNGs in four partitions."""
    values = [(i, bytearray(encode(picture))) for i, picture in enumerate(PICTURES)]
    return spark.createDataFrame(values, "id int, image binary").repartition(4).cache()


@pytest.fixture(scope="module")
def damaged(spark):
    values = [(0, encode(PICTURES[0])), (1, None), (2, b""), (3, b"text"), (4, encode(PICTURES[4])[:60])]
    return spark.createDataFrame([(i, value and bytearray(value)) for i, value in values], "id int, image binary")


def assert_scored(frame, pictures=PICTURES):
    found = frame.orderBy("id").collect()
    expected = probabilities(pictures)
    assert [row.id for row in found] == list(range(len(pictures)))
    np.testing.assert_allclose([row.prediction.probabilities for row in found], expected, atol=1e-6)
    assert [row.prediction.label for row in found] == [CLASSES[i] for i in expected.argmax(axis=1)]
    assert [row.prediction.error for row in found] == [None] * len(pictures)


def test_a_frame_gains_the_predictions_of_its_rows(spark, rows, model_file):
    scored = predict(rows, model_udf(job(model_file), model_file, spark, once=True), "image")
    assert scored.columns == ["id", "image", "prediction"]
    assert scored.schema["prediction"].dataType.simpleString() == PREDICTION
    assert_scored(scored)


@pytest.mark.parametrize("records", [1, 3, 10_000])
def test_the_size_of_arrow_batches_changes_nothing(spark, rows, model_file, records):
    key = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(key)
    spark.conf.set(key, records)
    try:
        assert_scored(predict(rows, model_udf(job(model_file), model_file, spark), "image"))
    finally:
        spark.conf.set(key, before)


def test_empty_partitions_and_empty_frames_are_scored(spark, rows, model_file):
    udf = model_udf(job(model_file), model_file, spark)
    few = rows.where("id < 2").repartition(8)
    assert_scored(predict(few, udf, "image"), PICTURES[:2])
    assert predict(rows.where("id < 0"), udf, "image").collect() == []


def test_columns_with_dots_and_other_names_for_the_prediction(spark, rows, model_file):
    frame = rows.withColumnRenamed("image", "a.photo")
    scored = predict(
        frame, model_udf(job(model_file), model_file, spark), "a.photo", name="the answer", mode="dropmalformed"
    )
    assert scored.columns == ["id", "a.photo", "the answer"]
    assert scored.count() == 40


def test_a_column_of_that_name_is_not_overwritten(spark, rows, model_file):
    udf = model_udf(job(model_file), model_file, spark)
    with pytest.raises(DataError, match="the rows already have a column 'prediction'"):
        predict(rows.withColumnRenamed("id", "Prediction"), udf, "image")


# Modes.


def test_permissive_keeps_bad_rows_with_their_reasons(spark, damaged, model_file):
    found = predict(damaged, model_udf(job(model_file), model_file, spark), "image").orderBy("id").collect()
    assert [row.prediction.error for row in found] == [
        None,
        "null",
        "empty",
        "not an image (JPEG, PNG, WebP, BMP or GIF)",
        "truncated PNG image",
    ]
    assert found[0].prediction.label in CLASSES
    assert all(row.prediction.label is None and row.prediction.probabilities is None for row in found[1:])


def test_dropmalformed_drops_them(spark, damaged, model_file):
    scored = predict(damaged, model_udf(job(model_file), model_file, spark, once=True), "image", mode="dropmalformed")
    assert [row.id for row in scored.collect()] == [0]


def test_failfast_stops_and_names_the_reason(spark, damaged, model_file):
    udf = model_udf(job(model_file, mode="failfast"), model_file, spark)
    with pytest.raises(PythonException, match="InferenceError: a row cannot be scored: null"):
        predict(damaged.coalesce(1), udf, "image", mode="failfast").collect()


def test_an_unknown_mode_suggests_the_nearest(rows, model_file):
    with pytest.raises(SpecError, match=r"there is no mode 'permisive'\. Did you mean 'permissive'"):
        predict(rows, None, "image", mode="permisive")


def test_a_filter_on_the_prediction_does_not_run_the_model_twice(spark, rows, model_file):
    udf = model_udf(job(model_file), model_file, spark, once=True)
    scored = predict(rows, udf, "image", mode="dropmalformed").where("prediction.score > 0.5")
    plan = scored._jdf.queryExecution().executedPlan().toString()
    assert len(re.findall("ArrowEvalPython", plan)) == 1


# What a column may hold.


def test_sparks_own_image_source_is_scored(spark, model_file, tmp_path):
    for i, picture in enumerate(PICTURES[:6]):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    (tmp_path / "6.png").write_bytes(b"text")
    frame = spark.read.format("image").load(str(tmp_path))
    frame = frame.selectExpr("cast(regexp_extract(image.origin, '([0-9])[.]png', 1) as int) id", "image")
    scored = predict(frame, model_udf(job(model_file), model_file, spark), "image").cache()
    assert_scored(scored.where("id < 6"), PICTURES[:6])
    assert scored.where("id = 6").first().prediction.error == "undefined image (Spark could not read its file)"
    scored.unpersist()


@pytest.mark.parametrize(
    ("ddl", "make", "shape"),
    [
        ("array<array<array<int>>>", lambda p: p.tolist(), None),
        ("array<array<array<smallint>>>", lambda p: p.tolist(), None),
        ("array<array<array<float>>>", lambda p: (p / 255).tolist(), None),
        ("array<int>", lambda p: p.ravel().tolist(), (4, 5, 3)),
        ("array<double>", lambda p: (p.ravel() / 255).tolist(), (4, 5, 3)),
        ("binary", lambda p: bytearray(p.tobytes()), (4, 5, 3)),
        (
            "struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>",
            lambda p: {k: bytearray(v) if isinstance(v, bytes) else v for k, v in spark_image(p).items()},
            None,
        ),
    ],
)
def test_every_column_type_is_scored(spark, model_file, ddl, make, shape):
    values = [(i, make(picture)) for i, picture in enumerate(PICTURES[:10])]
    frame = spark.createDataFrame(values, f"id int, image {ddl}")
    assert_scored(predict(frame, model_udf(job(model_file, shape=shape), model_file, spark), "image"), PICTURES[:10])


def test_preprocessing_runs_on_the_workers(spark, model_file):
    steps = [Part("sparknn_zoo.preprocess.resize:resize", {"size": (4, 5), "interpolation": "nearest"})]
    large = PICTURES[:5].repeat(3, axis=1).repeat(3, axis=2)
    frame = spark.createDataFrame([(i, bytearray(encode(p))) for i, p in enumerate(large)], "id int, image binary")
    assert_scored(predict(frame, model_udf(job(model_file, steps=steps), model_file, spark), "image"), PICTURES[:5])


# SQL.


def test_sql_calls_the_model_by_name(spark, rows, model_file):
    register(spark, "tiny", model_udf(job(model_file), model_file, spark))
    rows.createOrReplaceTempView("photos")
    assert_scored(spark.sql("SELECT id, tiny(image) AS prediction FROM photos"))
    counted = spark.sql("SELECT tiny(image).label, count(*) AS n FROM photos GROUP BY 1").collect()
    expected = np.bincount(probabilities(PICTURES).argmax(axis=1), minlength=4)
    assert dict(counted) == {CLASSES[i]: n for i, n in enumerate(expected) if n}


def test_a_model_of_the_same_name_is_replaced(spark, rows, model_file, tmp_path):
    register(spark, "twice", model_udf(job(model_file), model_file, spark))
    register(spark, "twice", model_udf(job(model_file, steps=[], height=9, width=9), model_file, spark))
    rows.createOrReplaceTempView("photos")
    error = spark.sql("SELECT twice(image).error FROM photos").first()[0]
    assert error == "size 4x5 where the model takes 9x9: add a resize step"


@pytest.mark.parametrize("name", ["count", "COUNT", "image_model; drop", "my-model", "9lives", "", "a.b", "modèle"])
def test_names_that_sql_cannot_or_must_not_use_are_refused(spark, name):
    with pytest.raises(SpecError, match=r"cannot be the name of an SQL function|is a function of Spark's own"):
        register(spark, name, None)


def test_a_refused_name_comes_with_one_that_works(spark):
    with pytest.raises(SpecError, match=r"'my-model' cannot be the name.*\n.*'my_model'"):
        register(spark, "my-model", None)
    with pytest.raises(SpecError, match=r"'count' is a function of Spark's own.*\n.*'count_model'"):
        register(spark, "count", None)


# The file.


def test_the_model_does_not_travel_in_the_function(spark, tmp_path):
    from pyspark import cloudpickle

    file = write_model(tmp_path)
    udf = model_udf(job(file), file, spark)
    size = len(cloudpickle.dumps(udf.func))
    with file.open("ab") as grown:  # what the file weighs, the function does not
        grown.write(bytes(1 << 20))
    assert len(cloudpickle.dumps(model_udf(job(file), file, spark).func)) == size < 4000


def test_the_function_outlives_the_file(spark, rows, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    file = write_model(folder, height=5, width=4)
    udf = model_udf(job(file, height=5, width=4), file, spark)
    shutil.rmtree(folder)
    frame = rows.limit(1).select("image")
    assert (
        predict(frame, udf, "image").first().prediction.error == "size 4x5 where the model takes 5x4: add a resize step"
    )


def test_streams_are_scored_as_frames_are(spark, rows, model_file, tmp_path):
    rows.coalesce(2).write.parquet(str(tmp_path / "in"))
    stream = spark.readStream.schema(rows.schema).parquet(str(tmp_path / "in"))
    scored = predict(stream, model_udf(job(model_file), model_file, spark, once=True), "image", mode="dropmalformed")
    query = (
        scored.writeStream.format("parquet")
        .option("path", str(tmp_path / "out"))
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    try:
        assert query.awaitTermination(120)
    finally:
        query.stop()
    assert_scored(spark.read.parquet(str(tmp_path / "out")))
