"""The model runs once on each row, on classic and on Connect sessions."""

import json

import pytest

MODEL = """
import sys
import numpy as np, pandas as pd
from pyspark.sql import functions as F
from sparknn_magic.evaluate.spark import classification_metrics

classes = [f"c{i}" for i in range(8)]

@F.pandas_udf("struct<label: string, score: float, probabilities: array<float>, error: string>")
def model(ids: pd.Series) -> pd.DataFrame:
    with open(calls, "a") as log:
        log.write("".join(f"{i}\\n" for i in ids))
    p = np.stack([np.random.default_rng(i).dirichlet(np.ones(8)) for i in ids]).astype(np.float32)
    labels = [classes[k] for k in p.argmax(axis=1)]
    return pd.DataFrame({"label": labels, "score": p.max(axis=1), "probabilities": list(p), "error": None})

rows = spark.range(300).select("id", F.concat(F.lit("c"), F.col("id") % 8).alias("label"))
"""


def test_the_model_runs_once_a_row_on_a_classic_session(spark, tmp_path):
    calls = tmp_path / "calls"
    scope = {"spark": spark, "calls": str(calls)}
    exec(MODEL, scope)
    metrics = scope["classification_metrics"](
        scope["rows"].select("label", scope["model"]("id").alias("prediction")), scope["classes"]
    )
    assert sorted(map(int, calls.read_text().split())) == list(range(300))
    assert metrics["rows"] == 300


def test_a_filter_and_a_where_above_the_model_do_not_run_it_twice(spark, tmp_path):
    calls = tmp_path / "calls"
    scope = {"spark": spark, "calls": str(calls)}
    exec(MODEL, scope)
    scored = scope["rows"].where("id < 200").withColumn("prediction", scope["model"]("id"))
    scope["classification_metrics"](scored.drop("id"), scope["classes"])
    assert sorted(map(int, calls.read_text().split())) == list(range(200))


def test_a_connect_session_gives_the_same_figures_in_one_pass(spark, run_script, tmp_path):
    calls = tmp_path / "calls"
    code = f"calls = {str(calls)!r}\n{MODEL}\n" + (
        "import json\n"
        'print("METRICS" + json.dumps(classification_metrics(\n'
        '    rows.select("label", model("id").alias("prediction")), classes)))\n'
    )
    out = run_script(code, connect=True).stdout
    remote = json.loads(out.split("METRICS")[1].splitlines()[0])
    assert sorted(map(int, calls.read_text().split())) == list(range(300))
    scope = {"spark": spark, "calls": str(tmp_path / "others")}
    exec(MODEL, scope)
    local = scope["classification_metrics"](
        scope["rows"].select("label", scope["model"]("id").alias("prediction")), scope["classes"]
    )
    assert remote.pop("log_loss") == pytest.approx(local.pop("log_loss"))
    assert remote == local
