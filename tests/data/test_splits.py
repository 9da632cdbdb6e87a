"""The side of the split that a row falls on."""

import pytest
from pyspark.sql import functions as F

from sparknn_magic.errors import DataError
from tests.data.rows import ids, lay_out

COUNT = 2000


@pytest.fixture(scope="module")
def frame(spark):
    """Bytes that need be no pictures: a split does not look at them."""
    made = spark.range(COUNT).select(
        F.col("id").cast("int").alias("id"),
        F.md5(F.col("id").cast("string").cast("binary")).cast("binary").alias("image"),
        (F.col("id") % 2).cast("string").alias("label"),
        F.when(F.col("id") < 100, "val").when(F.col("id") < 250, "tst").otherwise("trn").alias("side"),
        (F.col("id") % 10).cast("int").alias("fold"),
        (F.col("id") % 4 == 0).alias("held out"),
    )
    made.createOrReplaceTempView("split_rows")
    return made.cache()


def test_shares_are_disjoint_whole_and_about_as_large_as_asked(spark, frame):
    plan = lay_out(spark, "train: frame\nvalidation: 10%\ntest: 0.2", {"frame": frame})
    train, validation, test = ids(plan.train), ids(plan.validation), ids(plan.test)
    assert train | validation | test == set(range(COUNT))
    assert len(train) + len(validation) + len(test) == COUNT
    # Four standard deviations of the binomial distribution on either side.
    assert abs(len(validation) - 200) < 54
    assert abs(len(test) - 400) < 72


def test_the_same_row_is_on_the_same_side_whatever_the_order_columns_and_other_share(spark, frame):
    here = lay_out(spark, "train: frame\nvalidation: 10%", {"frame": frame})
    other = frame.select("label", F.col("image"), "id").orderBy(F.desc("id")).repartition(7)
    there = lay_out(spark, "train: other\nvalidation: 10%\ntest: 30%", {"other": other})
    assert ids(there.validation) == ids(here.validation)
    assert ids(there.train) == ids(here.train) - ids(there.test)


def xxh64(data: bytes, seed: int) -> int:
    """XXH64 of fewer than 32 bytes, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md"""
    p1, p2, p3, p4, p5 = (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
    mask = 2**64 - 1

    def left(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & mask

    acc = (seed + p5 + len(data)) & mask
    while len(data) >= 8:
        lane = left(int.from_bytes(data[:8], "little") * p2 & mask, 31) * p1 & mask
        acc, data = (left(acc ^ lane, 27) * p1 + p4) & mask, data[8:]
    if len(data) >= 4:
        acc, data = left(acc ^ int.from_bytes(data[:4], "little") * p1 & mask, 23) * p2 + p3 & mask, data[4:]
    for byte in data:
        acc = left(acc ^ byte * p5 & mask, 11) * p1 & mask
    acc = (acc ^ acc >> 33) * p2 & mask
    acc = (acc ^ acc >> 29) * p3 & mask
    return acc ^ acc >> 32


def test_the_side_of_a_row_is_part_of_the_format(spark):
    """A model's test rows must still be its test rows after an upgrade: bytes and shares alone decide."""
    frame = spark.sql("SELECT INT(id) AS id, CAST(STRING(id) AS BINARY) AS image, 'a' AS label FROM range(200)")
    hashes = {i: xxh64(str(i).encode(), xxh64(b"split", 42)) for i in range(200)}
    buckets = {i: (h - 2**64 if h >= 2**63 else h) % 10_000 for i, h in hashes.items()}
    plan = lay_out(spark, "train: frame\nvalidation: 20%\ntest: 5%", {"frame": frame})
    assert ids(plan.validation) == {i for i, bucket in buckets.items() if bucket < 2000}
    assert ids(plan.test) == {i for i, bucket in buckets.items() if bucket >= 9500}


def test_copies_of_a_picture_are_never_on_both_sides(spark, frame):
    copies = frame.where("id < 300").union(frame.where("id < 300").withColumn("id", F.col("id") + COUNT))
    plan = lay_out(spark, "train: copies\nvalidation: 20%\ntest: 20%", {"copies": copies})
    for side in (plan.train, plan.validation, plan.test):
        found = ids(side)
        assert {i + COUNT for i in found if i < COUNT} == {i for i in found if i >= COUNT}


def test_copies_of_a_picture_from_two_files_are_on_one_side(spark):
    pixels = "'height', 1, 'width', 1, 'nChannels', 1, 'mode', 0, 'data', BINARY(STRING(id % 100))"
    frame = spark.sql(
        f"SELECT INT(id) AS id, named_struct('origin', STRING(id), {pixels}) AS image, 'x' AS label FROM range(200)"
    )
    validation = ids(lay_out(spark, "train: frame\nvalidation: 20%", {"frame": frame}).validation)
    assert {i + 100 for i in validation if i < 100} == {i for i in validation if i >= 100}
    assert validation


def test_rows_of_one_key_stay_together(spark, frame):
    plan = lay_out(spark, "train: frame\nvalidation: 30%\nkey: FOLD", {"frame": frame})
    train, validation = ids(plan.train), ids(plan.validation)
    assert not {i % 10 for i in train} & {i % 10 for i in validation}
    assert len(train) + len(validation) == COUNT


def test_a_column_decides_the_side_and_a_share_takes_from_the_rest(spark, frame):
    plan = lay_out(spark, "train: frame\ntest: {column: side, is: tst}\nvalidation: 10%", {"frame": frame})
    assert ids(plan.test) == set(range(100, 250))
    assert 100 < len(ids(plan.validation)) < 260
    assert not ids(plan.validation) & ids(plan.test)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{column: fold, is: 3}", {i for i in range(COUNT) if i % 10 == 3}),
        ("{column: fold, is: '3'}", {i for i in range(COUNT) if i % 10 == 3}),
        ("{column: held out, is: true}", {i for i in range(COUNT) if i % 4 == 0}),
        ("{column: SIDE, is: val}", set(range(100))),
    ],
)
def test_a_split_column_may_hold_numbers_booleans_or_text(spark, frame, data, expected):
    assert ids(lay_out(spark, f"train: split_rows\nvalidation: {data}").validation) == expected


def test_a_source_of_its_own_leaves_the_training_rows_alone(spark, frame):
    data = "train: split_rows\nvalidation: SELECT * FROM split_rows WHERE id < 7\ntest: {table: split_rows}"
    plan = lay_out(spark, data)
    assert plan.validation.count() == 7
    assert plan.train.count() == plan.test.count() == COUNT
    assert {row.split: row["count"] for row in plan.rows.groupBy("split").count().collect()} == {0: COUNT, 1: 7}


def test_without_validation_and_test_all_rows_are_for_training(spark, frame):
    plan = lay_out(spark, "train: frame\nvalidation: null", {"frame": frame})
    assert (plan.validation, plan.test) == (None, None)
    assert plan.train.count() == COUNT


def test_an_unknown_key_or_split_column_names_the_nearest(spark, frame):
    with pytest.raises(DataError) as error:
        lay_out(spark, "train: frame\nkey: [id, fald]", {"frame": frame})
    assert str(error.value).startswith(
        "line 4, column 8: data.train has no column 'fald' for the key. Did you mean 'fold'?"
    )
    with pytest.raises(DataError) as error:
        lay_out(spark, "train: frame\ntest: {column: sode, is: a}", {"frame": frame})
    assert "line 4" in str(error.value)
    assert "no column 'sode' for the test split. Did you mean 'side'?" in str(error.value)


def test_a_key_without_a_hash_is_refused(spark):
    frame = spark.sql("SELECT BINARY('a') AS image, 'b' AS label, map('a', 1) AS tags, id FROM range(3)")
    assert lay_out(spark, "train: frame", {"frame": frame}).train.count() >= 0  # no key of ours
    with pytest.raises(DataError, match="the key column 'tags' is map<string,int>, of which Spark computes no hash"):
        lay_out(spark, "train: frame\nkey: tags", {"frame": frame})
