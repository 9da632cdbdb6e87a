"""Prepared rows are taken again as long as rows, split and steps are the same, and not a moment longer."""

import os
import shutil
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from sparknn_magic.data.identity import optimized_plan, readable_plan
from sparknn_magic.data.spark import TRAIN, prepare
from tests.data.rows import SCHEMA, lay_out, png, rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def frame(spark):
    return spark.createDataFrame(rows(20), SCHEMA)


@pytest.fixture
def parquet(spark, frame, tmp_path) -> str:
    frame.coalesce(1).write.parquet(f"{tmp_path}/rows")
    return f"{tmp_path}/rows"


def fingerprint(spark, data, variables=None, more="") -> str:
    return lay_out(spark, data, variables, more).fingerprint()


def test_the_second_run_reads_what_the_first_has_written(spark, parquet, folder):
    first, second = (prepare(lay_out(spark, f"train: {parquet}"), str(folder)) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    assert (first.uri, first.shards, first.mean, first.std) == (second.uri, second.shards, second.mean, second.std)
    assert (first.rows, first.class_rows, first.classes) == (second.rows, second.class_rows, second.classes)
    assert second.frame(spark).count() == 20


def test_fresh_prepares_again_and_leaves_one_copy(spark, frame, folder):
    first, second = (prepare(lay_out(spark, "train: f", {"f": frame}), str(folder), fresh=True) for _ in range(2))
    assert not second.reused
    assert first.uri == second.uri
    assert [path.name for path in Path(second.uri).glob("shards-*")] == [second.shards]


def test_what_is_missing_or_half_written_is_prepared_again(spark, frame, folder):
    def again():
        return prepare(lay_out(spark, "train: f\nvalidation: 20%", {"f": frame}), str(folder))

    def parts(prepared):
        return sorted((Path(prepared.uri) / prepared.shards).glob("*.parquet"))

    first = again()
    shutil.rmtree(Path(first.uri) / "meta.json")  # as if the run had ended before it was written
    second = again()
    assert not second.reused
    parts(second)[0].unlink()
    third = again()
    assert not third.reused
    shutil.rmtree(Path(third.uri) / third.shards)
    assert not again().reused
    assert again().reused


def test_rows_in_memory_are_known_by_their_content(spark, frame):
    same = spark.createDataFrame(list(reversed(rows(20))), SCHEMA)
    first = fingerprint(spark, "train: rows", {"rows": frame})
    assert fingerprint(spark, "train: other", {"other": same.repartition(3)}) == first
    changed = frame.withColumn("label", F.when(F.col("id") == 3, "cat").otherwise(F.col("label")))
    assert fingerprint(spark, "train: rows", {"rows": changed}) != first
    repainted = frame.withColumn("image", F.when(F.col("id") == 3, F.lit(png(77))).otherwise(F.col("image")))
    assert fingerprint(spark, "train: rows", {"rows": repainted}) != first
    assert fingerprint(spark, "train: rows", {"rows": frame.where("id < 19")}) != first
    frame.createOrReplaceTempView("reuse_rows")
    assert fingerprint(spark, "train: SELECT id, image, label FROM reuse_rows") == first
    frame.where("id < 19").createOrReplaceTempView("reuse_rows")
    assert fingerprint(spark, "train: SELECT id, image, label FROM reuse_rows") != first


def test_files_are_known_by_name_size_and_time(spark, parquet):
    first = fingerprint(spark, f"train: {parquet}")
    assert fingerprint(spark, f"train: {parquet}") == first
    file = next(Path(parquet).glob("*.parquet"))
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 10**9))  # written again in place, as pandas does
    spark.catalog.refreshByPath(parquet)
    second = fingerprint(spark, f"train: {parquet}")
    assert second != first
    shutil.copy(file, file.with_name("more.parquet"))
    assert fingerprint(spark, f"train: {parquet}") not in (first, second)


def test_pictures_in_folders_are_known_by_name_size_and_time(spark, tmp_path):
    for i in range(4):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[i % 2] / f"{i}.png").write_bytes(png(i))
    first = fingerprint(spark, f"train: {tmp_path}")
    assert fingerprint(spark, f"train: {tmp_path}/") == first
    os.utime(tmp_path / "a" / "0.png", ns=(0, 10**18))
    second = fingerprint(spark, f"train: {tmp_path}")
    assert second != first
    (tmp_path / "a" / "0.png").rename(tmp_path / "b" / "0.png")
    assert fingerprint(spark, f"train: {tmp_path}") not in (first, second)


def test_a_filter_behind_a_name_counts_though_the_cell_is_the_same(spark, parquet):
    frame = spark.read.parquet(parquet)
    first = fingerprint(spark, "train: rows", {"rows": frame.where("id < 10")})
    assert fingerprint(spark, "train: rows", {"rows": spark.read.parquet(parquet).where("id < 10")}) == first
    assert fingerprint(spark, "train: rows", {"rows": frame.where("id < 11")}) != first


def test_split_steps_and_shape_count_and_the_rest_of_the_cell_does_not(spark, parquet):
    data = f"train: {parquet}\nvalidation: 10%\n"
    first = fingerprint(spark, data)
    changed = {
        fingerprint(spark, f"train: {parquet}\nvalidation: 20%"),
        fingerprint(spark, f"train: {parquet}\nvalidation: null"),
        fingerprint(spark, data + "test: 10%"),
        fingerprint(spark, data + "key: id"),
        fingerprint(spark, data, more="preprocess: [{resize: 8}]"),
        fingerprint(spark, data, more="preprocess: [{resize: {size: 8, interpolation: nearest}}]"),
    }
    assert len(changed | {first}) == 7
    assert fingerprint(spark, data, more="augment: [random_horizontal_flip]\ntrain: {epochs: 3}") == first
    assert fingerprint(spark, f"train: SELECT  *\n  FROM parquet.`{parquet}`\nvalidation: 10%") == first


def test_a_step_changes_the_prepared_pixels(spark, frame, folder):
    plain = prepare(lay_out(spark, "train: f", {"f": frame}), str(folder))
    larger = prepare(lay_out(spark, "train: f", {"f": frame}, "preprocess: [{resize: 8}]"), str(folder))
    assert (larger.inputs.height, larger.inputs.width) == (8, 8)
    assert plain.uri != larger.uri
    assert {len(row.image) for row in larger.frame(spark).where(f"split = {TRAIN}").collect()} == {64}


# Plans


@pytest.fixture(scope="module")
def files(spark, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("plans") / "rows")
    spark.createDataFrame(rows(4), SCHEMA).coalesce(1).write.parquet(path)
    return spark.read.parquet(path)


def readable(spark, frame) -> bool:
    first, second = (readable_plan(optimized_plan(spark, frame)) for _ in range(2))
    assert first == second
    return first is not None


def test_plain_sql_over_files_is_known_by_its_plan(spark, files):
    assert readable(spark, files)
    assert readable(spark, files.where("label = 'cat'").select("image", "label").orderBy("label").limit(3))
    labels = files.groupBy("label").agg(F.max("id").alias("id"))
    assert not readable(spark, labels.join(files, "id"))  # two reads of the same columns could be swapped unseen
    assert readable(spark, files.select("id", "image").where("id > 1").union(files.limit(0).select("id", "image")))


def test_what_a_plan_does_not_tell_is_known_by_its_rows(spark, files):
    shout = F.udf(lambda text: text.upper(), "string")
    assert not readable(spark, files.withColumn("label", shout("label")))
    assert not readable(spark, spark.createDataFrame([(1,)], "id int"))
    assert not readable(spark, files.join(spark.createDataFrame([(1,)], "id int"), "id"))
    assert not readable(spark, files.where(F.col("id").isin(*range(40))))  # cut short by Spark
    assert not readable(spark, files.where(F.col("label") == "a\n+- Relation [x#1] parquet"))
    kept = files.where("id > 0").cache()
    assert not readable(spark, kept)
    kept.unpersist()
