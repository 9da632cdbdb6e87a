"""The network's features as MLlib vectors, on classic and Connect sessions; the numbers are numpy's own."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.clustering import KMeans
from sklearn.metrics import adjusted_rand_score

from sparknn_magic.errors import DataError, InferenceError
from sparknn_magic.infer.job import FEATURES
from sparknn_magic.infer.spark import embed, model_udf
from sparknn_magic.infer.worker import features_writer, predict
from sparknn_magic.plugin import Part
from tests.data.pictures import encode
from tests.infer.models import job

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # py4j's sockets

WRITE = Part("sparknn_magic.infer.worker:features_writer")
HOW = {"write": WRITE, "outputs": ("features",), "result": FEATURES}


def features_job(file, **changed):
    return replace(job(file), **HOW, **changed)


def coloured(rows=60, seed=0):
    """Pictures around one of three colours, and which."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, rows)
    means = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220]])[kind]
    return np.clip(means[:, None, None] + rng.normal(0, 30, (rows, 4, 5, 3)), 0, 255).astype(np.uint8), kind


@pytest.fixture(scope="module")
def rows(spark):
    pictures, kind = coloured()
    values = [(i, bytearray(encode(p)), int(k)) for i, (p, k) in enumerate(zip(pictures, kind, strict=True))]
    values.append((60, bytearray(b"no picture"), None))
    return spark.createDataFrame(values, "id int, image binary, kind int").repartition(3).cache()


def test_a_row_has_what_the_last_layer_is_given_and_one_that_cannot_be_read_a_null(spark, rows, model_file):
    udf = model_udf(features_job(model_file), model_file, spark, once=True)
    found = embed(rows, udf, ["image"], name="features").orderBy("id").collect()
    expected = coloured()[0].mean(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose([row.features.toArray() for row in found[:60]], expected, rtol=1e-5)
    assert found[60].features is None


def test_rows_that_cannot_be_read_are_left_out_or_end_the_job_as_the_mode_says(spark, rows, model_file):
    udf = model_udf(features_job(model_file), model_file, spark, once=True)
    assert embed(rows, udf, ["image"], mode="dropmalformed", name="features").count() == 60
    strict = model_udf(features_job(model_file, mode="failfast"), model_file, spark, once=True)
    with pytest.raises(Exception, match="a row cannot be scored: not an image"):
        embed(rows, strict, ["image"], mode="failfast", name="features").collect()


def test_kmeans_of_mllib_finds_the_colours_again(spark, rows, model_file):
    udf = model_udf(features_job(model_file), model_file, spark, once=True)
    frame = embed(rows, udf, ["image"], mode="dropmalformed", name="features").cache()
    clusters = KMeans(k=3, seed=1).fit(frame).transform(frame).select("kind", "prediction").toPandas()
    assert adjusted_rand_score(clusters["kind"], clusters["prediction"]) > 0.9


def test_a_column_of_that_name_is_not_overwritten(spark, rows, model_file):
    udf = model_udf(features_job(model_file), model_file, spark, once=True)
    with pytest.raises(DataError, match="the rows already have a column 'kind'"):
        embed(rows, udf, ["image"], name="kind")


def test_a_batch_of_which_no_row_was_read_is_all_null():
    written = features_writer()({}, np.empty(0, np.int64), ["null", "not an image"])
    assert written.to_pylist() == [None, None]


def test_a_model_file_without_features_says_so(model_file):
    asked = job(model_file, outputs=("probabilities", "embedding"))
    with pytest.raises(InferenceError, match="has no output 'embedding', only probabilities, index, features"):
        list(predict(iter([pa.array([b""])]), asked, str(model_file)))


SCRIPT = """
import tempfile
from dataclasses import replace
from pathlib import Path

from pyspark.sql import functions as F
from sparknn_magic.infer.spark import embed, model_udf
from tests.data.pictures import encode
from tests.infer.models import job, write_model
from tests.infer.test_embed import HOW, coloured

pictures, kind = coloured(6)
values = [(i, bytearray(encode(p))) for i, p in enumerate(pictures)] + [(6, None)]
rows = spark.createDataFrame(values, "id int, image binary")
with tempfile.TemporaryDirectory() as folder:
    file = write_model(Path(folder))
    udf = model_udf(replace(job(file), **HOW), file, spark, once=True)
found = embed(rows, udf, ["image"], name="features").orderBy("id").collect()
means = pictures.mean(axis=(1, 2))
assert all(abs(row.features.toArray() - mean).max() < 1e-3 for row, mean in zip(found, means))
assert found[6].features is None
print(type(found[0].features).__name__)
"""


def test_a_connect_session_gives_vectors_too(run_script, request):
    done = run_script(SCRIPT, connect=True, env={"PYTHONPATH": str(request.config.rootpath)})
    assert done.stdout.split()[-1] == "DenseVector"
