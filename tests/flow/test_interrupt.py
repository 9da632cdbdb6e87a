"""An interrupt ends the job and its processes soon, the session stays usable, and the same call goes on from there."""

from pathlib import Path

ROOT = str(Path(__file__).parents[2])

SCRIPT = """
import os, signal, subprocess, threading, time
import sparknn_magic
from tests.flow.small import CELL, views
START

views(spark)
cell = CELL.replace("epochs: 2", "epochs: 400").replace("workers: 2", "workers: 2\\n  seed: 3")
sent = []

def interrupt_after_two_epochs(event):
    if event["event"] == "epoch" and event["epoch"] == 2:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

def ranks():
    found = subprocess.run(["ps", "-eo", "pid,ppid,stat,args"], capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if "pyspark.daemon" in line and " Z" not in line]

def busy():
    def ticks():
        total = 0
        for line in ranks():
            try:
                fields = open(f"/proc/{line.split()[0]}/stat").read().rsplit(")", 1)[1].split()
            except FileNotFoundError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total
    before = ticks(); time.sleep(1.0)
    return ticks() - before

try:
    sparknn_magic.train(cell, name="fashion", spark=spark, on_event=interrupt_after_two_epochs)
    raise SystemExit("it was not interrupted")
except KeyboardInterrupt:
    took = time.monotonic() - sent[0]
print("took", took)
while busy() > 5 and time.monotonic() - sent[0] < 60:  # hundredths of a second of work in a second: a rank trains on
    pass
print("quiet", time.monotonic() - sent[0])
print("usable", spark.range(10).count())
events = []

class Enough(Exception):
    pass

def until_resumed(event):
    events.append(event)
    if event["event"] == "epoch":
        raise Enough

try:
    sparknn_magic.train(cell, name="fashion", spark=spark, on_event=until_resumed)
except Enough:
    pass
resumed = next(e for e in events if e["event"] == "resume")
print("resumed", resumed["epoch"], next(e["epoch"] for e in events if e["event"] == "epoch"))
"""


def check(done):
    said = dict(line.split(" ", 1) for line in done.stdout.strip().splitlines() if " " in line)
    assert float(said["took"]) < 10, said
    assert float(said["quiet"]) < 10, said
    assert said["usable"] == "10"
    resumed, first = map(int, said["resumed"].split())
    assert resumed >= 2
    assert first == resumed + 1


def test_an_interrupt_on_a_classic_session(run_script):
    start = "from sparknn_magic.sessions import session\nspark = session()"
    check(run_script(SCRIPT.replace("START", start), env={"PYTHONPATH": ROOT, "MASTER": "local[2]"}, timeout=400))


def test_an_interrupt_on_a_connect_session(run_script):
    check(run_script(SCRIPT.replace("START", ""), connect="own", env={"PYTHONPATH": ROOT}, timeout=400))
