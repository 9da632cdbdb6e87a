"""The session is the active one, whoever made it; otherwise a local one, which leaves nothing behind."""

import sys

import pytest

from sparknn_magic.sessions import local_settings, session


def test_the_active_session_is_taken(spark):
    assert session() is spark


def test_a_session_of_ours_runs_this_interpreter_quietly_and_leaves_no_folder(run_script):
    code = """
    import os, sys
    from pyspark.errors import AnalysisException
    from pyspark.sql.functions import udf
    from sparknn_magic.sessions import session
    spark = session("mine")
    assert session() is spark
    open("added.txt", "w").write("x")
    spark.addArtifacts("added.txt", file=True)
    spark.sql("CREATE TABLE t AS SELECT 1 AS a").collect()
    print("PYTHON", spark.range(1).select(udf(lambda _: sys.executable)("id")).first()[0])
    print("ROWS", spark.table("t").count(), spark.conf.get("spark.app.name"))
    try:
        spark.sql("SELECT nope FROM t")
        raise SystemExit("the wrong query was not refused")
    except AnalysisException as error:
        assert error.getCondition().startswith("UNRESOLVED_COLUMN")
    warehouse = spark.conf.get("spark.sql.warehouse.dir")
    spark.stop()
    print("LEFT", sorted(os.listdir(".")))
    print("WAREHOUSE", warehouse)
    """
    done = run_script(code, env={"PYSPARK_PYTHON": None})
    assert f"PYTHON {sys.executable}" in done.stdout
    assert "ROWS 1 mine" in done.stdout
    assert "LEFT ['added.txt']" in done.stdout
    noise = [line for line in done.stderr.splitlines() if "jdk.incubator.vector" not in line]  # Java's own words
    assert noise == []


def test_a_local_session_made_without_a_choice_is_put_right(run_script):
    code = """
    import sys
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import pandas_udf, udf
    made = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    from sparknn_magic.sessions import session
    spark = session()
    assert spark is made
    print("PYTHON", spark.range(1).select(udf(lambda _: sys.executable)("id")).first()[0])
    """
    assert f"PYTHON {sys.executable}" in run_script(code, env={"PYSPARK_PYTHON": None}).stdout


def test_a_choice_that_somebody_made_is_kept(run_script, tmp_path):
    chosen = tmp_path / "python-of-choice"
    chosen.write_text(f'#!/bin/sh\nSPARKNN_CHOSEN=yes exec {sys.executable} "$@"\n')
    chosen.chmod(0o755)
    code = """
    import os
    from pyspark.sql.functions import udf
    from sparknn_magic.sessions import session
    print("CHOSEN", session().range(1).select(udf(lambda _: os.environ.get("SPARKNN_CHOSEN"))("id")).first()[0])
    """
    assert "CHOSEN yes" in run_script(code, env={"PYSPARK_PYTHON": str(chosen)}).stdout


def test_a_connect_session_is_taken_as_it_is(run_script):
    code = """
    from sparknn_magic.sessions import session
    assert session() is spark
    import threading
    found = []
    thread = threading.Thread(target=lambda: found.append(session()))
    thread.start()
    thread.join()
    assert found == [spark]
    print("TAKEN", type(spark).__module__)
    """
    assert "TAKEN pyspark.sql.connect.session" in run_script(code, connect="own").stdout


def test_a_stopped_session_is_followed_by_a_new_one(run_script):
    code = """
    from sparknn_magic.sessions import session
    first = session()
    first.sparkContext.stop()
    second = session()
    print("COUNT", second.range(3).count(), first is second)
    """
    assert "COUNT 3 False" in run_script(code).stdout


def test_what_spark_defaults_says_comes_first(run_script, tmp_path):
    (tmp_path / "spark-defaults.conf").write_text(
        "# a comment\nspark.master  local[1]\nspark.app.name=theirs\n\nspark.sql.shuffle.partitions 7\n"
    )
    code = """
    from sparknn_magic.sessions import session
    spark = session("ours")
    print("CONF", *(spark.conf.get(f"spark.{key}") for key in ("master", "app.name", "sql.shuffle.partitions")))
    """
    assert "CONF local[1] theirs 7" in run_script(code, env={"SPARK_CONF_DIR": str(tmp_path)}).stdout


def test_a_session_whose_java_has_died_says_so(run_script):
    code = """
    import os, signal
    from pyspark import SparkContext
    from sparknn_magic.sessions import session
    session()
    os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)
    SparkContext._gateway.proc.wait()
    session()
    """
    done = run_script(code, check=False)
    assert "SessionError: Spark's Java process is gone" in done.stderr
    assert "Restart the kernel" in done.stderr


def test_a_setting_that_spark_refuses_is_told_in_two_lines(run_script, tmp_path):
    (tmp_path / "spark-defaults.conf").write_text("spark.executor.heartbeatInterval 1000000s\n")
    code = """
    from sparknn_magic.errors import SessionError
    from sparknn_magic.sessions import session
    try:
        session()
    except SessionError as error:
        print("TOLD", *str(error).splitlines(), sep="|")
    """
    done = run_script(code, env={"SPARK_CONF_DIR": str(tmp_path)})
    told = next(line for line in done.stdout.splitlines() if line.startswith("TOLD")).split("|")[1:]
    assert told[0].startswith("Spark does not start: Invalid Spark config: The value of spark.network.timeout")
    assert told[1].startswith("It was started on Java ")
    assert len(told) == 2


def test_the_heap_is_a_quarter_of_the_memory_within_bounds(monkeypatch):
    for memory, heap in ((2, "1g"), (16, "4g"), (512, "8g")):
        monkeypatch.setattr("sparknn_magic.sessions._memory", lambda memory=memory: memory << 30)
        assert local_settings()["spark.driver.memory"] == heap


@pytest.mark.parametrize("key", ["spark.driver.host", "spark.driver.bindAddress"])
def test_nothing_listens_beyond_this_machine(key):
    assert local_settings()[key] == "127.0.0.1"
