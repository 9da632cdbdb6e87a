"""Slots, tags and cancellation, on classic and on Connect sessions."""

import json
import os
import signal
import threading

import pytest

from sparknn_magic import cluster
from sparknn_magic.errors import SparkNNError

# Two ranks of a barrier stage, one blocked in a system call and one asleep, are cancelled; what is left is printed.
CANCEL = """
import json, os, sys, tempfile, time
from pathlib import Path
from sparknn_magic import cluster
here = tempfile.mkdtemp()
def rank(batches, here=here):
    import os, socket, time
    from pyspark import BarrierTaskContext
    context = BarrierTaskContext.get()
    context.allGather("met")
    Path = __import__("pathlib").Path
    Path(here, str(os.getpid())).touch()
    if context.partitionId() == 0:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.accept()
    time.sleep(600)
    yield from batches
ranks = spark.range(2).repartition(2).mapInArrow(rank, "id long", barrier=True)
running = cluster.run_tagged(spark, "some-tag", ranks.collect)
while len(os.listdir(here)) < 2 and not running.done():
    time.sleep(0.1)
pids = [int(name) for name in os.listdir(here)]
def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
start = time.monotonic()
ended = running.cancel()
while any(map(alive, pids)) and time.monotonic() - start < 60:
    time.sleep(0.1)
seconds = time.monotonic() - start
try:
    running.result()
    told = "no error"
except Exception as error:
    from sparknn_magic.causes import spark_cause
    told = spark_cause(error)
after = spark.range(2).repartition(2).mapInArrow(lambda batches: batches, "id long", barrier=True).count()
print("DONE", json.dumps({"ranks": len(pids), "ended": ended, "seconds": seconds, "told": told, "after": after,
    "slots": cluster.slots(spark), "host": cluster.driver_host(spark), "connect": cluster.is_connect(spark),
    "task_cpus": cluster.task_cpus(spark)}))
"""
CLASSIC = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[3]").config("spark.ui.enabled", "false").getOrCreate()
"""


@pytest.mark.parametrize("connect", [False, "own"], ids=["classic", "connect"])
def test_cancelling_a_barrier_stage_ends_its_workers_and_keeps_the_session(run_script, connect):
    done = run_script(CANCEL if connect else CLASSIC + CANCEL, connect=connect)
    seen = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("DONE"))[5:])
    assert seen["ranks"] == 2
    assert seen["ended"]
    assert seen["seconds"] < 30  # 10 s on a quiet machine: Spark itself waits 2 s before it kills a Python worker
    assert seen["told"] == "the Spark job was cancelled."
    assert seen["after"] == 2
    assert seen["connect"] is bool(connect)
    assert seen["slots"] == (2 if connect else 3)
    assert seen["host"] == (None if connect else "127.0.0.1")
    assert seen["task_cpus"] == 1


def test_a_connect_client_on_all_cores_counts_what_spark_would_run_at_once(run_script):
    code = """
    import os
    from pyspark.sql import SparkSession
    spark = SparkSession.builder.remote("local[*]").getOrCreate()
    from sparknn_magic import cluster
    print("SLOTS", cluster.slots(spark), len(os.sched_getaffinity(0)))
    """
    done = run_script(code, env={"SPARK_TESTING": "1"})
    _, slots, cores = next(line for line in done.stdout.splitlines() if line.startswith("SLOTS")).split()
    assert slots == cores


def test_slots_are_cores_over_the_cores_of_a_task(run_script):
    code = """
    from pyspark.sql import SparkSession
    spark = SparkSession.builder.master("local[5]").config("spark.task.cpus", "2").getOrCreate()
    from sparknn_magic import cluster
    print("SLOTS", cluster.slots(spark), cluster.task_cpus(spark))
    """
    assert "SLOTS 2 2" in run_script(code).stdout


def test_a_classic_local_session_is_described(spark):
    assert cluster.describe(spark) == {"spark": spark.version, "master": "local[2]", "kind": "classic", "slots": 2}
    assert cluster.is_local(spark)


def test_an_action_in_the_background_hands_back_its_value(spark):
    running = cluster.run_tagged(spark, "count", lambda: spark.range(7).count())
    assert running.result() == 7
    assert running.done()
    assert not running.cancelled


def test_an_action_in_the_background_hands_back_its_exception(spark):
    running = cluster.run_tagged(spark, "fail", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        running.result()


def test_a_tag_with_a_comma_is_refused(spark):
    with pytest.raises(SparkNNError, match="a job tag must not be empty or have a comma"):
        cluster.run_tagged(spark, "a,b", lambda: None)


def test_an_interrupted_wait_does_not_take_the_action_for_ended(spark):
    release = threading.Event()
    running = cluster.run_tagged(spark, "waiting", lambda: release.wait(60))
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        running.wait(30)
    interrupt.join()
    assert not running.done()
    release.set()
    assert running.wait(30)
    assert running.result() is True
