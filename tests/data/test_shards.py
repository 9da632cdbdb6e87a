"""Batches of rows to rows of the shards, as an executor does it, without Spark."""

import numpy as np
import pyarrow as pa
import pytest

from sparknn_magic.data import shards
from sparknn_magic.data.job import PrepareJob
from sparknn_magic.data.shards import pixel_sums, shard_batches
from sparknn_magic.plugin import ImageInputs
from tests.data.pictures import COLOUR, GREY, encode

INPUTS = ImageInputs(channels=3, height=9, width=7)


def run(images, labels=None, splits=None, inputs=INPUTS, classes=("a", "b"), shape=None):
    count = len(images)
    batch = pa.RecordBatch.from_pydict(
        {
            "split": pa.array(splits or [0] * count, pa.int32()),
            "row": pa.array(range(100, 100 + count), pa.int64()),
            "label": pa.array(labels or ["a"] * count, pa.string()),
            "image": pa.array(images, pa.binary()) if not isinstance(images, pa.Array) else images,
            "extra": pa.array([[float(i)] for i in range(count)], pa.list_(pa.float64())),
        }
    )
    out = pa.Table.from_batches(list(shard_batches(iter([batch]), PrepareJob((), inputs, shape, tuple(classes)))))
    out.validate(full=True)
    return out.to_pylist()


def test_a_row_has_its_pixels_its_class_and_their_sums():
    found = run([encode(COLOUR[0]), encode(COLOUR[1])], ["b", "a"], [1, 0])
    assert [(r["split"], r["row"], r["label"], r["error"]) for r in found] == [(1, 100, 1, None), (0, 101, 0, None)]
    for row, picture in zip(found, COLOUR, strict=False):
        assert row["image"] == picture.tobytes()
        assert row["total"] == picture.astype(int).sum(axis=(0, 1)).tolist()
        assert row["squares"] == (picture.astype(int) ** 2).sum(axis=(0, 1)).tolist()


def test_unusable_rows_keep_their_place_and_lose_their_pixels():
    images = [b"", encode(GREY[0]), None, encode(GREY[1]), encode(GREY[2]), encode(GREY[3])]
    labels = ["a", "b", "a", None, "c", "a"]
    found = run(images, labels, [0, 1, 0, 1, 1, 0], ImageInputs(1, 9, 7))
    assert [r["split"] for r in found] == [-1, 1, -1, -1, -1, 0]
    assert [r["error"] for r in found] == [
        "empty",
        None,
        "null",
        "null label",
        "label not among the training classes",
        None,
    ]
    assert [r["image"] for r in found] == [None, GREY[0].tobytes(), None, None, None, GREY[3].tobytes()]
    assert [r["total"] for r in found] == [None, [int(GREY[0].sum())], None, None, None, [int(GREY[3].sum())]]


def test_a_batch_with_nothing_to_read_passes():
    assert [r["image"] for r in run([b"", None])] == [None, None]


def test_batches_are_handed_on_a_few_pictures_at_a_time(monkeypatch):
    monkeypatch.setattr(shards, "MICRO_BATCH", 2 * 9 * 7 * 3)
    job = PrepareJob((), ImageInputs(3, 9, 7), None, ("a", "b"))
    columns = [pa.array([0] * 5, pa.int32()), pa.array(range(5)), pa.array(list("ababa"))]
    columns += [pa.array([encode(p) for p in COLOUR[:5]], pa.binary()), pa.array([[]] * 5, pa.list_(pa.float64()))]
    batch = pa.RecordBatch.from_arrays(columns, names=["split", "row", "label", "image", "extra"])
    out = list(shard_batches(iter([batch.slice(0, 5)]), job))
    assert [b.num_rows for b in out] == [2, 2, 1]
    assert [value for b in out for value in b.column("image").to_pylist()] == [p.tobytes() for p in COLOUR[:5]]


def test_raw_pixels_become_three_channels_where_the_network_takes_three():
    found = run([p.tobytes() for p in GREY[:2]], shape=(9, 7, 1))
    assert found[1]["image"] == np.repeat(GREY[1], 3, axis=2).tobytes()


@pytest.mark.parametrize("shape", [(3, 5, 4, 1), (2, 6, 3, 3), (0, 5, 5, 3)])
def test_pixel_sums_are_exact(shape):
    pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    total, squares = pixel_sums(pixels)
    wide = pixels.astype(np.int64)
    assert (total == wide.sum(axis=(1, 2))).all()
    assert (squares == (wide**2).sum(axis=(1, 2))).all()
    white = np.full((1, 2000, 2000, 1), 255, np.uint8)
    assert pixel_sums(white)[1][0, 0] == 2000 * 2000 * 255**2
