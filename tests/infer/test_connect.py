"""The same on Spark Connect, whose session cannot share a process with a classic one: a script of its own."""

SCRIPT = """
import tempfile
from pathlib import Path

import numpy as np

from sparknn_magic.infer.spark import model_udf, predict, register
from tests.data.pictures import encode
from tests.infer.models import CLASSES, job, probabilities, write_model

pictures = np.random.default_rng(6).integers(0, 256, (12, 4, 5, 3), np.uint8)
values = [(i, bytearray(encode(p))) for i, p in enumerate(pictures)] + [(12, bytearray(b"text")), (13, None)]
rows = spark.createDataFrame(values, "id int, image binary").repartition(3)
expected = probabilities(pictures)
with tempfile.TemporaryDirectory() as folder:
    file = write_model(Path(folder))
    udf = model_udf(job(file), file, spark)
    once = model_udf(job(file), file, spark, once=True)

found = predict(rows, once, "image").orderBy("id").collect()
np.testing.assert_allclose([row.prediction.probabilities for row in found[:12]], expected, atol=1e-6)
assert [row.prediction.error for row in found[12:]] == ["not an image (JPEG, PNG, WebP, BMP or GIF)", "null"]
assert predict(rows, once, "image", mode="dropmalformed").count() == 12

register(spark, "tiny", udf)
register(spark, "tiny", udf)
rows.createOrReplaceTempView("photos")
found = spark.sql("SELECT id, tiny(image).label AS label FROM photos WHERE id < 12 ORDER BY id").collect()
assert [row.label for row in found] == [CLASSES[i] for i in expected.argmax(axis=1)]

try:
    register(spark, "count", udf)
except Exception as error:
    print(error)
print("done")
"""


def test_a_connect_session_scores_in_frames_and_sql(run_script, request):
    done = run_script(SCRIPT, connect=True, env={"PYTHONPATH": str(request.config.rootpath)})
    assert done.stdout.splitlines()[-3].startswith("'count' is a function of Spark's own")
    assert done.stdout.splitlines()[-1] == "done"
