"""Pictures that arrive in a folder, scored once each: stopped, killed and started again, in a table and in a folder."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sparknn_magic.cli import main
from sparknn_magic.errors import SpecError
from sparknn_magic.model import load
from tests.data.pictures import encode
from tests.infer.bundles import write_detector

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # py4j's sockets
ROOT = str(Path(__file__).parents[2])
RED = encode(np.full((32, 64, 3), (255, 0, 0), np.uint8))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_detector(tmp_path_factory.mktemp("bundle") / "seen")


def arrive(folder: Path, *numbers: int, data: bytes = RED) -> None:
    """Move files into a folder, each of them whole."""
    folder.mkdir(exist_ok=True)
    for n in numbers:
        part = folder.parent / f"{n}.part"
        part.write_bytes(data)
        part.rename(folder / f"{n:03}.png")


def written(frame) -> dict[str, int]:
    """How often each file is among the rows."""
    return Counter(row.path.rpartition("/")[2] for row in frame.select("path").collect())


def test_a_stream_goes_on_where_it_was_and_gives_boxes_of_the_original(spark, bundle, tmp_path):
    model, here, runs = load(bundle, spark=spark, register=False), tmp_path / "here", tmp_path / "runs"
    arrive(here, 0, 1)
    first = model.stream(str(here), "arrived", once=True, runs=runs)
    first.wait()
    assert "seen_into_arrived: a stream\n  state" in repr(first)
    assert "stopped: 1 batch done, with 2 rows" in repr(first)
    assert f"the table arrived, Parquet in {runs}/streams/arrived/rows" in repr(first)
    assert f"{runs}/streams/arrived/checkpoint" in first._repr_html_()
    assert spark.table("arrived").count() == 2
    arrive(here, 2)
    arrive(here, 3, data=b"text")
    model.stream(str(here), "arrived", once=True, runs=runs).wait()
    table = spark.table("arrived")
    assert written(table) == {f"00{n}.png": 1 for n in range(4)}
    errors = {row.path[-7:-4]: row.prediction.error for row in table.collect()}
    assert errors == {"000": None, "001": None, "002": None, "003": "not an image (JPEG, PNG, WebP, BMP or GIF)"}
    assert table.where("path LIKE '%002.png'").first().prediction.objects[0].box.asDict() == {
        "x1": 16.0,
        "y1": 0.0,
        "x2": 48.0,
        "y2": 32.0,
    }
    # A session that has forgotten the table finds its rows again.
    spark.sql("DROP TABLE arrived")
    arrive(here, 4)
    model.stream(str(here), "arrived", once=True, runs=runs).wait()
    assert written(spark.table("arrived")) == {f"00{n}.png": 1 for n in range(5)}
    spark.sql("DROP TABLE arrived")


def test_predict_of_a_stream_is_one_that_any_query_of_sparks_own_writes(spark, bundle, tmp_path):
    model, here = load(bundle, spark=spark, register=False), tmp_path / "here"
    arrive(here, 0, 1)
    arrive(here, 2, data=b"text")
    arrive(here, 3, data=encode(np.full((64, 32, 3), (0, 255, 128), np.uint8)))
    files = spark.read.format("binaryFile").load(str(here))
    rows = spark.readStream.schema(files.schema).format("binaryFile").option("maxFilesPerTrigger", 3).load(str(here))
    scored = model.predict(rows.selectExpr("path", "content AS image")).select("path", "prediction")
    assert scored.isStreaming
    query = scored.writeStream.format("parquet").option("checkpointLocation", f"{tmp_path}/checkpoint")
    query = query.trigger(availableNow=True).start(f"{tmp_path}/out")
    query.awaitTermination()
    assert [each["numInputRows"] for each in query.recentProgress if each["numInputRows"]] == [3, 1]
    found = spark.read.parquet(f"{tmp_path}/out").orderBy("path").collect()
    expected = model.predict(files.selectExpr("path", "content AS image")).select("path", "prediction")
    assert found == expected.orderBy("path").collect()
    assert [row.prediction.error is None for row in found] == [True, True, False, True]
    assert [[each.label for each in found[n].prediction.objects] for n in (0, 3)] == [["cup"], ["box", "can"]]


def test_what_would_lose_rows_or_is_no_stream_is_refused(spark, bundle, tmp_path):
    model, here = load(bundle, spark=spark, register=False), tmp_path / "here"
    arrive(here, 0)
    out = f"{tmp_path}/out"
    model.stream(str(here), out, once=True).wait()
    assert written(spark.read.parquet(out)) == {"000.png": 1}
    with pytest.raises(SpecError, match=r"has the rows of a stream with another checkpoint: Spark would leave out"):
        model.stream(str(here), out, once=True, checkpoint=f"{tmp_path}/other")
    endless = model.stream(str(here), f"{out}2/")
    try:
        for same in (f"{out}2/", f"{out}2"):  # the second is another name, of the same checkpoint
            with pytest.raises(SpecError, match=r"the stream seen_into_.*out2/ is running already"):
                model.stream(str(here), same)
    finally:
        endless.stop()
    with pytest.raises(
        SpecError, match=r"the checkpoint .*out/_checkpoint says that rows are written which .*out3 has"
    ):
        model.stream(str(here), f"{out}3", once=True, checkpoint=f"{out}/_checkpoint")
    spark.range(1).createOrReplaceTempView("one_row")
    for data, into, words in [
        (spark.range(1), "arrived", "the DataFrame is no stream: its rows are all there already"),
        ("SELECT * FROM one_row", "arrived", r"SELECT \* FROM one_row is no stream"),
        (str(here / "000.png"), "arrived", "is a file, and a stream is read of a folder"),
        (f"{tmp_path}/hera", "arrived", "there is no file or folder .*hera'. Did you mean 'here'"),
        (str(here), "a b", "'a b' is no table's name"),
        (str(here), "one_row", "'one_row' is a view of this session"),
    ]:
        with pytest.raises(SpecError, match=words):
            model.stream(data, into, once=True, runs=tmp_path / "runs")


def test_rows_that_no_stream_has_written_stay_in_sight(spark, bundle, tmp_path):
    model, here = load(bundle, spark=spark, register=False), tmp_path / "here"
    arrive(here, 0)
    model.predict(str(here)).write.parquet(f"{tmp_path}/out")
    spark.range(3).write.format("parquet").saveAsTable("numbered", path=f"{tmp_path}/numbered")
    for into in (f"{tmp_path}/out", "numbered"):
        with pytest.raises(SpecError, match=r"has rows that no stream has written: Spark would not show them any more"):
            model.stream(str(here), into, once=True, runs=tmp_path / "runs")
    assert written(spark.read.parquet(f"{tmp_path}/out")) == {"000.png": 1}
    assert spark.table("numbered").count() == 3
    spark.sql("DROP TABLE numbered")


def test_a_table_with_other_columns_is_refused_and_one_made_beforehand_with_the_same_is_not(spark, bundle, tmp_path):
    model, here, runs = load(bundle, spark=spark, register=False), tmp_path / "here", tmp_path / "runs"
    arrive(here, 0)
    out = f"{tmp_path}/out"
    model.stream(str(here), out, once=True).wait()
    model.stream(str(here), "kept_columns", once=True, runs=runs).wait()
    files = spark.readStream.schema("path STRING, content BINARY, length LONG").format("binaryFile").load(str(here))
    pictures = files.selectExpr("content AS image", "path", "length AS more")
    for into in (out, "kept_columns"):
        words = rf"{into} has the column 'label' as string, and in what the stream gives there is none\."
        with pytest.raises(SpecError, match=words):
            model.stream(pictures, into, once=True, runs=runs)
        assert len(spark.read.parquet(out).columns) == len(spark.table("kept_columns").columns) == 4
    kind = spark.read.parquet(out).schema["prediction"].dataType.simpleString()
    columns = f"path STRING, image BINARY, label STRING, prediction {kind}"
    for name, made, words in (
        ("made_fewer", columns.replace("image BINARY,", ""), "made_fewer has no column 'image', and .* it is binary"),
        ("made_other", columns.replace("label STRING", "label INT"), "column 'label' as int, and .* it is string"),
        ("made_parted", f"{columns}) USING PARQUET PARTITIONED BY (label", "the table 'made_parted' is partitioned"),
        ("made_same", columns, None),
    ):
        using = "" if "USING" in made else " USING PARQUET"
        spark.sql(f"CREATE TABLE {name} ({made}){using} LOCATION '{tmp_path}/{name}'")
        if words is None:
            model.stream(str(here), name, once=True, runs=runs).wait()
            assert spark.table(name).count() == 1
        else:
            with pytest.raises(SpecError, match=words):
                model.stream(str(here), name, once=True, runs=runs)
        spark.sql(f"DROP TABLE {name}")
    spark.sql("DROP TABLE kept_columns")


def test_what_lies_deeper_does_not_make_pictures_a_stream_of_tables(spark, bundle, tmp_path):
    model, here = load(bundle, spark=spark, register=False), tmp_path / "here"
    arrive(here, 0)
    model.stream(str(here), f"{here}/scored", once=True).wait()
    arrive(here / "trucks", 1)
    (here / "000.png").unlink()  # now the uppermost files are those that the stream has written
    model.stream(str(here), f"{here}/scored", once=True).wait()
    assert set(written(spark.read.parquet(f"{here}/scored"))) == {"000.png", "001.png"}
    parts = sorted(Path(here, "scored").glob("*.parquet"))
    parts[0].unlink()  # taken away when it was read: the next picture is scored all the same
    arrive(here, 2)
    model.stream(str(here), f"{here}/scored", once=True).wait()
    left = {path.name for path in Path(here, "scored").glob("*.parquet")}
    assert len(left - {part.name for part in parts}) == 1


def test_a_picture_that_was_taken_long_ago_is_scored_when_it_arrives(spark, bundle, tmp_path):
    model, here, out = load(bundle, spark=spark, register=False), tmp_path / "here", f"{tmp_path}/out"
    arrive(here, 0)
    model.stream(str(here), out, once=True).wait()
    arrive(here, 1)
    os.utime(here / "001.png", (1e9, 1e9))
    model.stream(str(here), out, once=True).wait()
    assert written(spark.read.parquet(out)) == {"000.png": 1, "001.png": 1}


def test_the_shell_scores_a_folder_of_pictures_as_they_arrive(spark, bundle, tmp_path, capsys):
    here, out = tmp_path / "here", tmp_path / "out"
    arrive(here, 0, 1)
    words = ["predict", str(bundle), str(here), "--into", str(out)]
    assert main([*words, "--stream", "--once"]) == 0
    assert "stopped: 1 batch done, with 2 rows" in capsys.readouterr().out
    arrive(here, 2)
    assert main([*words, "--stream", "--once"]) == 0
    assert written(spark.read.parquet(str(out))) == {f"00{n}.png": 1 for n in range(3)}
    assert main([*words, "--once"]) == 1
    assert main([*words, "--stream", "--overwrite"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors == [
        "error: --once is for a --stream.",
        "error: a --stream goes on where it was; --overwrite is for rows that are all there.",
    ]


ENDLESS = """
from sparknn_magic import load, session
spark = session()
model = load({bundle!r}, spark=spark, register=False)
rows = spark.readStream.schema("path string, modificationTime timestamp, length bigint, content binary")
rows = rows.format("binaryFile").option("maxFilesPerTrigger", 1).load({here!r}).selectExpr("path", "content AS image")
model.stream(rows, "seen_here", runs={runs!r}).wait()
"""

AGAIN = """
from sparknn_magic import load
from sparknn_magic.causes import spark_cause
model = load({bundle!r}, spark=spark, register=False)
rows = spark.readStream.schema("path string, modificationTime timestamp, length bigint, content binary")
rows = rows.format("binaryFile").load({here!r}).selectExpr("path", "content AS image")
stream = model.stream(rows, "seen_here", runs={runs!r}, once=True)
stream.wait()
for row in spark.table("seen_here").select("path", "prediction.objects").collect():
    print("row", row.path[-7:-4], len(row.objects))
print(stream)
model.register()
rows.createOrReplaceTempView("coming")
counted = spark.sql("SELECT path, size(seen(image).objects) AS n FROM coming").writeStream.format("parquet")
counted = counted.option("path", {runs!r} + "/sql").option("checkpointLocation", {runs!r} + "/sql_checkpoint")
try:
    counted.trigger(availableNow=True).start().awaitTermination()
except Exception as error:
    print("sql:", spark_cause(error))
"""


def test_a_query_that_was_killed_loses_and_doubles_nothing_on_connect_either(run_script, bundle, tmp_path):
    here, runs = tmp_path / "here", tmp_path / "runs"
    arrive(here, *range(12))
    names = {"bundle": str(bundle), "here": str(here), "runs": str(runs)}
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS.format(**names))
    commits = runs / "streams" / "seen_here" / "checkpoint" / "commits"
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, str(script)], cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    try:
        end = time.monotonic() + 120
        while not commits.is_dir() or len([f for f in commits.iterdir() if f.name.isdigit()]) < 3:
            assert running.poll() is None, (tmp_path / "log").read_text()[-3000:]
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        os.killpg(running.pid, signal.SIGKILL)  # with its JVM: nothing is put in order
        running.wait()
    done = len(list(commits.iterdir()))
    arrive(here, *range(12, 15))
    found = run_script(AGAIN.format(**names), connect="own", env={"PYTHONPATH": ROOT}).stdout.splitlines()
    rows = Counter(line for line in found if line.startswith("row"))
    assert rows == {f"row {n:03} 1": 1 for n in range(15)}
    assert done < 2 * 12  # commits and their checksums: it was killed on the way
    assert any("stopped: " in line for line in found)
    (said,) = (line for line in found if line.startswith("sql:"))
    assert said.startswith(
        "sql: the model's file has not reached this worker. Streams of a Spark Connect session get no"
    )
    shutil.rmtree(runs)
