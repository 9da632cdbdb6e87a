"""Shelf scenes: boxes are where the items are, and the same seed gives the same scenes."""

import io

import numpy as np
import pytest
from PIL import Image

import sparknn_magic
from sparknn_magic.causes import spark_cause
from sparknn_magic.data.boxes.compose import FEWEST, MOST, SIDES, Arrangement, compose, draw_items
from sparknn_magic.errors import DataError

HEAP = Arrangement(tilt=12, hidden=0.3)


def items(count, seed=0):
    """Bright discs and bars of 28 x 28."""
    y, x = np.mgrid[:28, :28]
    draw = np.random.default_rng(seed)
    disc = ((x - 14) ** 2 + (y - 14) ** 2 < 100) * 200
    bar = ((x > 9) & (x < 18)) * 255
    return [(disc if draw.random() < 0.5 else bar).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("seed", range(6))
def test_boxes_are_tight_around_items_of_which_most_are_seen(seed):
    scene = compose(items(12), np.random.default_rng(seed), HEAP)
    height, width = scene.owner.shape
    assert scene.pixels.shape == (height, width, 3)
    assert SIDES[0] <= min(height, width) <= max(height, width) <= SIDES[1]
    assert len(scene.boxes) == len(scene.items) >= 10
    last = len(scene.boxes) - 1
    for i, (x1, y1, x2, y2) in enumerate(scene.boxes.astype(int)):
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        rows, columns = np.nonzero(scene.owner == i)
        assert x1 <= columns.min()
        assert columns.max() < x2
        assert y1 <= rows.min()
        assert rows.max() < y2
        if i == last:  # nothing is laid over it
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x1, y1, x2, y2)


@pytest.mark.parametrize("hidden", [0.1, 0.3])
def test_no_item_is_hidden_beyond_the_limit(hidden):
    full = [np.full((28, 28), 255, np.uint8)] * MOST
    for seed in range(20):
        draw = np.random.default_rng(seed)
        scene = compose(full, draw, Arrangement(tilt=12, hidden=hidden))
        for i in range(len(scene.boxes)):
            seen = (scene.owner == i).sum()
            x1, y1, x2, y2 = scene.boxes[i]
            # A tilted square fills its box by its cosine and sine: at the most by all of it.
            assert seen >= (1 - hidden) * 0.6 * (x2 - x1) * (y2 - y1)


def test_more_is_hidden_and_leans_where_that_is_allowed():
    bars = [np.pad(np.full((28, 6), 255, np.uint8), ((0, 0), (11, 11)))] * MOST

    def looks(stand):
        scenes = [compose(bars, np.random.default_rng(seed), stand) for seed in range(20)]
        boxes = np.concatenate([scene.boxes for scene in scenes])
        seen = sum(int((scene.owner >= 0).sum()) for scene in scenes)
        narrow = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
        return narrow.mean(), seen / len(boxes)

    (upright, whole), (leaning, parts) = looks(Arrangement(0, 0)), looks(Arrangement(30, 0.6))
    assert upright < 0.27 < 0.4 < leaning  # bars of 28 x 6
    assert parts < whole


def test_items_of_a_scene_depend_on_its_number_and_seed_alone():
    alone = list(draw_items([7], 1000, seed=3))
    assert alone == [each for each in draw_items(range(20), 1000, seed=3) if each[0] == 7]
    assert alone != [(7, *each[1:]) for each in draw_items([7], 1000, seed=4)]
    counts = np.bincount([scene for scene, _, _ in draw_items(range(300), 1000, seed=0)])
    assert (counts.min(), counts.max()) == (FEWEST, MOST)


def test_spark_composes_the_same_scenes_whatever_their_number(spark, monkeypatch):
    frame = sparknn_magic.shelf_scenes(spark, rows=3, seed=5)
    assert frame.dtypes == [
        ("id", "bigint"), ("image", "binary"), ("boxes", "array<array<float>>"), ("labels", "array<string>"),
    ]  # fmt: skip
    few = {row.id: row for row in frame.collect()}
    monkeypatch.setattr("sparknn_magic.data.boxes.shelf.TASK_SCENES", 2)
    more = {row.id: row for row in sparknn_magic.shelf_scenes(spark, rows=6, seed=5).where("id < 3").collect()}
    assert sorted(few) == [0, 1, 2]
    assert few == more
    for row in few.values():
        image = Image.open(io.BytesIO(bytes(row.image)))
        assert image.format == "JPEG"
        assert len(row.boxes) == len(row.labels)
        assert max(box[2] for box in row.boxes) <= image.width


def test_no_scene_at_all_is_refused(spark):
    with pytest.raises(DataError, match="shelf_scenes makes 1 scene or more, not 0"):
        sparknn_magic.shelf_scenes(spark, rows=0)


@pytest.mark.parametrize(("option", "words"), [({"tilt": -1}, "tilt is .* from 0 to 180, not -1"),
                                               ({"hidden": 1.5}, "hidden is .* from 0 to 1, not 1.5")])  # fmt: skip
def test_impossible_arrangements_are_refused(spark, option, words):
    with pytest.raises(DataError, match=words):
        sparknn_magic.shelf_scenes(spark, **option)


def test_own_products_stand_in_the_scenes_with_their_labels(spark):
    rows = [(n, _png(item), "disc" if n % 2 else "bar") for n, item in enumerate(items(6))]
    products = spark.createDataFrame(rows, "id bigint, image binary, label string")
    (few, many) = (sparknn_magic.shelf_scenes(spark, rows=n, products=products).collect() for n in (2, 4))
    assert few == [row for row in many if row.id < 2]
    assert {label for row in many for label in row.labels} == {"disc", "bar"}
    assert all(len(row.boxes) == len(row.labels) >= 1 for row in many)


def test_products_without_labels_or_rows_are_refused(spark):
    products = spark.createDataFrame([(0, b"")], "id bigint, image binary")
    with pytest.raises(DataError, match="the products have no column label, only id, image"):
        sparknn_magic.shelf_scenes(spark, products=products)
    nothing = spark.createDataFrame([], "id bigint, image binary, label string")
    with pytest.raises(DataError, match="there are no products to compose scenes of"):
        sparknn_magic.shelf_scenes(spark, products=nothing)


@pytest.mark.parametrize("broken", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n\x00"])
def test_a_product_that_is_no_picture_is_named(spark, broken):
    rows = [(n, _png(item), "disc") for n, item in enumerate(items(2))]
    products = spark.createDataFrame([*rows, (2, broken, "bar")], "id bigint, image binary, label string")
    with pytest.raises(Exception, match="shelf_scenes") as error:
        sparknn_magic.shelf_scenes(spark, rows=8, products=products).collect()
    assert spark_cause(error.value) == "shelf_scenes: a product of 'bar' is no picture that can be decoded."


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
