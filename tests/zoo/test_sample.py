import gzip
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from sparknn_magic import registry
from sparknn_magic.errors import UnknownName
from sparknn_magic.samples import rows_of, sample
from sparknn_zoo.samples import make_fashion_mnist as maker

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist puts it
needs_original = pytest.mark.skipif(not DEBIAN.exists(), reason="Debian's dataset-fashion-mnist is not installed")
SPLITS = registry.get("sample", "fashion-mnist").build()
# The README of Fashion-MNIST
LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def rows(split):
    return pq.read_table(SPLITS[split])


def decode(png):
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


@pytest.mark.parametrize(("split", "each"), [("train", 1000), ("test", 200)])
def test_every_class_has_as_many_rows(split, each):
    assert Counter(rows(split)["label"].to_pylist()) == dict.fromkeys(LABELS, each)


@pytest.mark.parametrize("split", SPLITS)
def test_ids_are_unique_and_every_picture_is_28_by_28_grey(split):
    table = rows(split)
    assert len(set(table["id"].to_pylist())) == table.num_rows
    kinds = {(image.format, image.mode, image.size) for image in map(decode, table["image"].to_pylist())}
    assert kinds == {("PNG", "L", (28, 28))}


def test_no_picture_is_in_both_splits():
    train, test = ({decode(png).tobytes() for png in rows(split)["image"].to_pylist()} for split in SPLITS)
    assert not train & test


def test_the_folder_is_at_most_six_million_bytes_and_carries_its_licence():
    folder = SPLITS["train"].parent
    assert sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) <= 6_000_000
    notice = (folder / "LICENSE").read_text()
    assert "Copyright (c) 2017 Zalando SE" in notice
    assert "Permission is hereby granted, free of charge" in notice
    assert "MIT" in registry.get("sample", "fashion-mnist").licence


@needs_original
@pytest.mark.parametrize("split", SPLITS)
def test_pictures_and_labels_are_the_original_ones(split):
    images = maker.read_idx(DEBIAN / f"{maker.FILES[split]}-images-idx3-ubyte.gz")
    labels = maker.read_idx(DEBIAN / f"{maker.FILES[split]}-labels-idx1-ubyte.gz")
    for row in rows(split).to_pylist():
        assert (np.asarray(decode(row["image"])) == images[row["id"]]).all()
        assert row["label"] == LABELS[labels[row["id"]]]


@needs_original
def test_the_script_makes_the_same_rows_again():
    again, shipped = maker.table(DEBIAN, "test", 3), rows("test")
    same = {row["id"]: row for row in shipped.to_pylist()}
    for row in again.to_pylist():
        assert row["label"] == same[row["id"]]["label"]
        assert decode(row["image"]).tobytes() == decode(same[row["id"]]["image"]).tobytes()
        if shipped.schema.metadata[b"png_encoder"].decode() == maker.encoder():
            assert row["image"] == same[row["id"]]["image"]


def test_a_file_that_is_no_idx_file_is_refused(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x09short"))
    with pytest.raises(ValueError, match="is not an IDX file of bytes"):
        maker.read_idx(path)


def test_the_sample_is_a_frame_and_two_views(spark):
    frame = sample("fashion-mnist", spark)
    assert [(f.name, f.dataType.simpleString()) for f in frame.schema] == [
        ("id", "bigint"),
        ("image", "binary"),
        ("label", "string"),
    ]
    assert spark.sql("SELECT * FROM fashion_mnist").count() == 10_000
    assert spark.sql("SELECT count(DISTINCT label) FROM fashion_mnist_test").first()[0] == 10
    assert sample("Fashion_MNIST", spark, split="test").count() == 2_000


def test_without_a_session_the_active_one_is_taken(spark):
    assert sample("fashion-mnist", split="test").sparkSession is spark


def test_a_typo_in_a_name_or_a_split_suggests_the_nearest(spark):
    with pytest.raises(UnknownName, match=r"no sample named 'fashion-mist'\. Did you mean 'fashion-mnist'\?"):
        sample("fashion-mist", spark)
    with pytest.raises(UnknownName, match=r"has no split 'tset', only train, test\. Did you mean 'test'\?"):
        sample("fashion-mnist", spark, split="tset")


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs Linux's /proc")
def test_a_connect_session_gets_the_same_rows_from_the_file_or_from_the_driver(run_script):
    run_script(
        """
        import os
        from pathlib import Path
        import pyspark.sql.connect.session as connect
        from sparknn_magic import registry
        from sparknn_magic.samples import rows_of, sample

        assert isinstance(spark, connect.SparkSession)
        total = ["count(*)", "sum(id)", "sum(length(image))", "max(label)"]
        from_file = sample("fashion-mnist", spark).selectExpr(*total).first()
        assert from_file[0] == spark.sql("SELECT * FROM fashion_mnist").count() == 10_000
        assert spark.sql("SELECT * FROM fashion_mnist_test").count() == 2_000

        # A path that leads to the file here and nowhere in the server's process, as on another machine.
        os.chdir(registry.get("sample", "fashion-mnist").build()["train"].parent)
        sent = rows_of(Path("/proc/self/cwd/train.parquet"), spark)
        assert not sent.inputFiles()
        assert sent.selectExpr(*total).first() == from_file
        """,
        connect=True,
    )


def test_a_package_in_a_folder_with_a_space_is_read_by_spark_itself(spark, tmp_path):
    folder = tmp_path / "my environments"
    folder.mkdir()
    file = folder / "train.parquet"
    file.write_bytes(SPLITS["test"].read_bytes())
    frame = rows_of(file, spark)
    assert len(frame.inputFiles()) == 1
    assert frame.count() == 2000
