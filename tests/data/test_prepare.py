"""From rows to shards: what is written, what is dropped, what is refused."""

import numpy as np
import pytest

from sparknn_magic.data.spark import TRAIN, VALIDATION, inspect, prepare, sample_rows
from sparknn_magic.errors import DataError
from tests.data.rows import SCHEMA, lay_out, png

SIDES = f"{SCHEMA}, side string"
BY_SIDE = "validation: {column: side, is: val}\n"


def frame_of(spark, rows, schema=SIDES):
    return spark.createDataFrame(rows, schema)


def refusal(spark, rows, data=BY_SIDE, more="", schema=SIDES) -> str:
    """The words with which such rows are refused before they are decoded."""
    with pytest.raises(DataError) as error:
        inspect(lay_out(spark, f"train: rows\n{data}", {"rows": frame_of(spark, rows, schema)}, more))
    assert len(str(error.value).splitlines()) <= 2
    return str(error.value)


@pytest.fixture(scope="module")
def mixed(spark, tmp_path_factory):
    """Good rows beside every kind that cannot be used."""
    good = [
        (i, png((10 * i, 200 - i, 7)), "cat" if i % 3 else "dog", "val" if i % 4 == 0 else "trn") for i in range(24)
    ]
    bad = [
        (100, png(3)[:-20], "cat", "trn"),
        (101, b"", "cat", "trn"),
        (102, None, "dog", "trn"),
        (103, b"just some text", "dog", "val"),
        (104, png(5), None, "trn"),
        (105, png(6), "bird", "val"),
        (106, png(6), "bird", "val"),
    ]
    data = f"train: rows\n{BY_SIDE}"
    plan = lay_out(spark, data, {"rows": frame_of(spark, good + bad)}, "preprocess: [{resize: 3}]")
    return good, prepare(plan, str(tmp_path_factory.mktemp("prepared [1]") / "a b"))


def test_good_rows_are_prepared_and_counted(spark, mixed):
    good, prepared = mixed
    assert prepared.rows == {"train": 18, "validation": 6}
    assert prepared.classes == ("cat", "dog")
    assert prepared.class_rows == {"cat": 12, "dog": 6}
    assert (prepared.inputs.height, prepared.inputs.width, prepared.inputs.channels) == (3, 3, 3)
    images, labels = sample_rows(prepared, spark, VALIDATION, 100)
    found = {(tuple(image[0, 0]), prepared.classes[label]) for image, label in zip(images, labels, strict=True)}
    assert found == {((10 * i, 200 - i, 7), label) for i, _, label, side in good if side == "val"}
    assert (images == images[:, :1, :1]).all()


def test_every_unusable_row_is_dropped_and_counted_with_its_reason(mixed):
    _, prepared = mixed
    assert prepared.dropped == [
        {"reason": "empty", "rows": 1},
        {"reason": "label not among the training classes", "rows": 2},
        {"reason": "not an image (JPEG, PNG, WebP, BMP or GIF)", "rows": 1},
        {"reason": "null", "rows": 1},
        {"reason": "null label", "rows": 1},
        {"reason": "truncated PNG image", "rows": 1},
    ]


def test_statistics_are_those_of_the_training_pixels(spark, mixed):
    _, prepared = mixed
    pixels = sample_rows(prepared, spark, TRAIN, 100)[0].reshape(-1, 3) / 255
    assert len(pixels) == 18 * 9
    np.testing.assert_allclose(prepared.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(prepared.std[:2], pixels.std(axis=0)[:2], rtol=1e-12)
    assert prepared.std[2] == 1.0  # that channel is the same everywhere: it is only shifted


def test_the_job_for_the_ranks_sees_no_dropped_rows(spark, mixed):
    _, prepared = mixed
    frame = prepared.frame(spark)
    assert frame.dtypes == [("split", "int"), ("row", "bigint"), ("label", "int"), ("image", "binary")]
    assert {row.split: row["count"] for row in frame.groupBy("split").count().collect()} == {TRAIN: 18, VALIDATION: 6}


def test_whole_numbers_are_classes_in_their_order_and_booleans_too(spark):
    rows = [(i, png(i), i % 12) for i in range(36)]
    found = inspect(lay_out(spark, "train: rows", {"rows": frame_of(spark, rows, "id int, image binary, label int")}))
    assert found.classes == tuple(str(i) for i in range(12))
    assert found.rows["train"] + found.rows["validation"] == 36
    rows = [(i, png(i), i % 2 == 0) for i in range(36)]
    plan = lay_out(spark, "train: rows", {"rows": frame_of(spark, rows, "id int, image binary, label boolean")})
    assert inspect(plan).classes == ("false", "true")


# Sizes and channels


def inputs_of(spark, images, more="") -> tuple[int, int, int]:
    rows = [(i, image, "ab"[i % 2], "val" if i > 5 else "trn") for i, image in enumerate(images * 4)]
    found = inspect(lay_out(spark, f"train: rows\n{BY_SIDE}", {"rows": frame_of(spark, rows)}, more)).inputs
    return found.height, found.width, found.channels


def test_pictures_are_grey_where_all_of_them_are_and_colour_where_one_is(spark):
    grey, colour = [png(1), png(2)], [png(1), png((1, 2, 3))]
    assert inputs_of(spark, grey) == (4, 5, 1)
    assert inputs_of(spark, colour) == (4, 5, 3)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("[grayscale]", (4, 5, 1)),
        ("[rgb, {pad: 1}]", (6, 7, 3)),
        ("[{resize: [7, 9]}]", (7, 9, 3)),
        ("[{center_crop: 3}, grayscale]", (3, 3, 1)),
    ],
)
def test_steps_decide_size_and_channels(spark, steps, expected):
    assert inputs_of(spark, [png((1, 2, 3)), png(1)], f"preprocess: {steps}") == expected


def test_several_sizes_need_a_step_that_makes_them_equal(spark):
    sizes = [png(1, 4, 5), png(2, 9, 3)]
    assert inputs_of(spark, sizes, "preprocess: [{letterbox: 8}]") == (8, 8, 1)
    rows = [(i, image, "ab"[i % 2], "trn") for i, image in enumerate(sizes)]
    assert refusal(spark, rows, "validation: null") == (
        "line 3, column 10: the pictures have several sizes (4x3 to 9x5) and no step makes them equal.\n"
        "Add a size, for example `preprocess: [{resize: 64}]`."
    )
    assert refusal(spark, rows, "validation: null", "preprocess: [{pad: 2}]").startswith(
        "line 6, column 13: the pictures have several sizes (4x3 to 9x5)"
    )


def test_arrays_and_raw_bytes_are_prepared_by_their_shape(spark, tmp_path):
    values = [(i, [i] * 6, "ab"[i % 2]) for i in range(8)]
    frame = frame_of(spark, values, "id int, image array<int>, label string")
    prepared = prepare(lay_out(spark, "train: f\nshape: [2, 3]\nvalidation: null", {"f": frame}), str(tmp_path))
    assert (prepared.inputs.height, prepared.inputs.width, prepared.inputs.channels) == (2, 3, 1)
    images, _ = sample_rows(prepared, spark, TRAIN, 8)
    assert sorted(images[:, 1, 2, 0].tolist()) == list(range(8))


def test_spark_s_own_image_struct_is_prepared(spark, tmp_path):
    for i in range(8):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{i}.png").write_bytes(png((i, 100 + i, 200 + i)))
    frame = spark.read.format("image").load(f"{tmp_path}/in")
    frame = frame.selectExpr("image", "regexp_extract(image.origin, '([0-9]).png', 1) > 3 AS label")
    prepared = prepare(lay_out(spark, "train: f\nvalidation: null", {"f": frame}), str(tmp_path))
    images, labels = sample_rows(prepared, spark, TRAIN, 8)
    assert prepared.classes == ("false", "true")
    found = {(*image[3, 4].tolist(), label) for image, label in zip(images, labels.tolist(), strict=True)}
    assert found == {(i, 100 + i, 200 + i, int(i > 3)) for i in range(8)}


# Refusals


def test_no_rows_one_class_and_no_label_are_refused(spark):
    one = [(i, png(i), "cat", "trn") for i in range(4)]
    none = [(i, png(i), None, "trn") for i in range(4)]
    assert refusal(spark, []) == "line 3, column 10: data.train has no rows."
    only = "line 3, column 10: the training rows have only the class 'cat'; a classifier needs two or more."
    assert refusal(spark, one, "validation: null") == only
    assert "the training rows have no label at all" in refusal(spark, none, "validation: null")


def test_pictures_that_lie_in_no_folder_of_their_own_have_no_label(spark, tmp_path):
    (tmp_path / "1.png").write_bytes(png(1))
    with pytest.raises(DataError) as error:
        inspect(lay_out(spark, f"train: {tmp_path}\nvalidation: null"))
    assert str(error.value) == (
        "line 3, column 10: the training rows have no label at all; a classifier needs two or more.\n"
        "In a folder of pictures the label is the name of the folder below: photos/cat/1.jpg."
    )


def test_an_empty_side_is_refused_before_anything_is_decoded(spark):
    rows = [(i, png(i), "ab"[i % 2], "trn") for i in range(6)]
    assert refusal(spark, rows) == (
        "line 4, column 15: no row of data.train has 'val' in the column 'side', so none is left for validation.\n"
        "Among its values in the other rows: 'trn'."
    )
    assert refusal(spark, rows, "test: 0.01%\nvalidation: null") == (
        "line 4, column 9: 0.01% of the rows come to none for test, 6 for training.\n"
        "Give a larger share or a source of its own, or leave `test` out."
    )
    assert refusal(spark, rows, "validation: SELECT BINARY('a') AS image, 'b' AS label WHERE false").startswith(
        "line 4, column 15: data.validation has no rows."
    )
    assert refusal(spark, rows, "validation: {column: side, is: trn}").startswith(
        "line 3, column 10: no row is left for training: validation takes 6."
    )


def test_rows_without_a_single_picture_are_refused(spark, tmp_path):
    text = [(i, b"text", "ab"[i % 2], "trn") for i in range(4)]
    assert refusal(spark, text, "validation: null") == (
        "line 3, column 10: no value of column 'image' is a picture: not an image (JPEG, PNG, WebP, BMP or GIF)."
    )
    cut = [(i, png(i)[:-20], "ab"[i % 2], "trn") for i in range(4)]  # good headers, nothing behind them
    with pytest.raises(DataError) as error:
        prepare(lay_out(spark, "train: rows\nvalidation: null", {"rows": frame_of(spark, cut)}), str(tmp_path))
    assert str(error.value) == "line 3, column 10: no training row is usable (4 rows: truncated PNG image)."


def test_ten_thousand_classes_are_too_many(spark):
    frame = spark.range(10_001).selectExpr("id", "BINARY('x') AS image", "id AS label")
    with pytest.raises(DataError, match=r"there are more than 10,000 classes; is 'label' the label\?"):
        inspect(lay_out(spark, "train: frame\nvalidation: null", {"frame": frame}))


def test_what_fails_in_the_query_is_said_in_one_line(spark):
    frame = spark.createDataFrame([(0, png(1), "a", "trn")], SIDES).selectExpr("id", "image", "string(1 / id) AS label")
    with pytest.raises(DataError) as error:
        inspect(lay_out(spark, "train: frame", {"frame": frame}))
    assert str(error.value).startswith("line 3, column 10: the rows cannot be prepared: Division by zero.")
    assert len(str(error.value).splitlines()) == 1
