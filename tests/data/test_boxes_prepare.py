"""From rows with boxes to shards: what is written, what is told, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pyspark.sql import functions as F

from sparknn_magic.data.boxes.look import check_places
from sparknn_magic.data.boxes.spark import details, inspect, prepare, sample_rows
from sparknn_magic.data.splits import TRAIN, VALIDATION
from sparknn_magic.data.sql_steps import StoredStep, predict_frame
from sparknn_magic.errors import DataError, SparkNNError
from sparknn_magic.plugin import ImageInputs, Part
from tests.data.scenes import SCHEMA, lay_out, picture

BY_SIDE = "train: rows\nvalidation: {column: side, is: val}\n"
STEPS = "preprocess: [{letterbox: 30}]"  # 60 x 40 becomes 30 x 20 between bars of 5 pixels
ROWS = [
    *(
        (i, picture(shade=i), [[0.0, 0.0, 60.0, 40.0], [10.0 + i, 10.0, 30.0, 30.0]], ["dog", "cat"], "trn")
        for i in range(6)
    ),
    (6, picture(shade=6), None, None, "trn"),
    (7, picture(shade=7), [], [], "val"),
    (8, picture(shade=8), [[20.0, 20.0, 40.0, 30.0], [0.0, 0.0, 9.0, 9.0]], ["cat", "bird"], "val"),
]  # fmt: skip
BAD = [
    (20, picture(shade=20), [[-9.0, 2.0, 30.0, 4.0], [30.0, 2.0, 10.0, 4.0]], ["cat", "cat"], "trn"),
    (21, picture(shade=21), [[1.0, 2.0, 3.0, 4.0]], [None], "trn"),
    (22, picture(shade=22), [[1.0, 2.0, 3.0, 4.0]], ["cat", "dog"], "trn"),
    (23, b"no picture", [[1.0, 2.0, 3.0, 4.0]], ["cat"], "trn"),
    (24, picture(shade=24)[:60], [[1.0, 2.0, 3.0, 4.0]], ["cat"], "trn"),
]


def frame_of(spark, rows, schema=SCHEMA):
    return spark.createDataFrame(rows, schema)


def refusal(spark, rows, data=BY_SIDE, more=STEPS, schema=SCHEMA) -> str:
    """The words with which such rows are refused before they are decoded."""
    with pytest.raises(SparkNNError) as error:
        inspect(lay_out(spark, data, {"rows": frame_of(spark, rows, schema)}, more))
    assert len(str(error.value).splitlines()) <= 2
    return str(error.value)


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    plan = lay_out(spark, BY_SIDE, {"rows": frame_of(spark, [*ROWS, *BAD])}, STEPS)
    return plan, prepare(plan, str(tmp_path_factory.mktemp("prepared")))


def test_good_rows_are_prepared_with_their_boxes_in_the_prepared_picture(spark, made):
    _, prepared = made
    assert prepared.rows == {"train": 9, "validation": 2}
    assert prepared.classes == ("cat", "dog")
    assert prepared.class_rows == {"cat": 7, "dog": 6}
    inputs = prepared.inputs
    assert (inputs.height, inputs.width, inputs.channels) == (30, 30, 3)
    assert prepared.frame(spark).dtypes == [
        ("split", "int"), ("row", "bigint"), ("image", "binary"), ("boxes", "binary"),
    ]  # fmt: skip
    images, boxes = sample_rows(prepared, spark, VALIDATION, 10)
    assert images.shape == (2, 30, 30, 3)
    assert sorted(each.tolist() for each in boxes) == [[], [[0.0, 10.0, 15.0, 20.0, 20.0]]]
    images, boxes = sample_rows(prepared, spark, TRAIN, 10)
    whole = [each.tolist() for each in boxes if len(each) == 2]
    assert sorted(whole) == [[[1, 0, 5, 30, 25], [0, 5 + i / 2, 10, 15, 20]] for i in range(6)]


def test_sizes_are_quantiles_of_the_training_boxes(made):
    _, prepared = made
    # Half as long as in the rows; the last is of a picture whose header alone is good.
    areas = [60 * 40 / 4] * 6 + [(20 - i) * 20 / 4 for i in range(6)] + [30 * 2 / 4, 2 * 2 / 4]
    expected = np.quantile(np.sqrt(areas), [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf")
    assert prepared.inputs.sizes == pytest.approx(expected, abs=0.01)


def test_statistics_are_those_of_the_training_pixels(spark, made):
    _, prepared = made
    pixels = sample_rows(prepared, spark, TRAIN, 100)[0].reshape(-1, 3) / 255
    np.testing.assert_allclose(prepared.mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(prepared.std, pixels.std(axis=0), rtol=1e-12)


def test_what_cannot_be_used_is_dropped_with_its_reason_and_told(made):
    _, prepared = made
    assert prepared.dropped == [
        {"reason": "as many labels as boxes are needed, and a row has other numbers of them", "rows": 1},
        {"reason": "not an image (JPEG, PNG, WebP, BMP or GIF)", "rows": 1},
        {"reason": "truncated PNG image", "rows": 1},
    ]
    counts = prepared.boxes
    assert (counts["boxes"], counts["background"], counts["clipped"], counts["dropped"]) == (14, 3, 1, 3)
    assert prepared.notes == [
        "1 box reaches beyond its picture and is cut at the edges, such as [-9, 2, 30, 4] in a picture of 60 x 40.",
        "3 boxes are left out: 1 inverted, 1 without a label, 1 of a label that no training box has; such as "
        "[1, 2, 3, 4] in a picture of 60 x 40: without a label.",
    ]


def test_a_second_run_finds_the_rows_again_and_other_rules_make_new_ones(spark, made):
    plan, prepared = made
    folder = prepared.uri.rpartition("/")[0]
    again = prepare(plan, folder)
    assert again.reused
    assert (again.inputs, again.classes, again.boxes) == (prepared.inputs, prepared.classes, prepared.boxes)
    other = lay_out(spark, f"{BY_SIDE}bad_boxes: drop", {"rows": frame_of(spark, [*ROWS, *BAD])}, STEPS)
    assert other.fingerprint() != plan.fingerprint()
    assert inspect(other).boxes.left["reaching beyond the picture"] == 1


def test_a_dry_run_says_what_the_boxes_are(spark):
    plan = lay_out(spark, BY_SIDE, {"rows": frame_of(spark, ROWS)}, STEPS)
    assert details(plan, inspect(plan))[:2] == [
        ("boxes", "13 in 9 rows, 2 of them background"),
        ("box sizes", "9 to 24 pixels, 10 in the median: the square root of the area, in 30 x 30"),
    ]


def test_boxes_in_another_format_than_said_are_doubted(spark):
    # Two of three lie in the right half: their widths are less than their lefts.
    boxes = [[4.0, 4.0, 20.0, 30.0], [35.0, 4.0, 20.0, 30.0], [40.0, 8.0, 18.0, 20.0]]
    rows = [(i, picture(shade=i), boxes, ["cat"] * 3, "trn") for i in range(4)]
    data = "train: rows\nvalidation: null\n"
    hint = "Are they what `format` and `units` say? Without these they are read as xyxy, corners, in pixels."
    found = inspect(lay_out(spark, data, {"rows": frame_of(spark, rows)}, STEPS))
    assert found.remarks == (f"many boxes are inverted or reach beyond their pictures. {hint}",)
    assert inspect(lay_out(spark, f"{data}format: xywh", {"rows": frame_of(spark, rows)}, STEPS)).remarks == ()
    said = inspect(lay_out(spark, f"{data}format: xyxy", {"rows": frame_of(spark, rows)}, STEPS))
    assert said.remarks == found.remarks  # who writes it can be wrong too
    shares = [(i, picture(shade=i), [[0.1, 0.1, 0.9, 0.8]], ["cat"], "trn") for i in range(4)]
    found = inspect(lay_out(spark, data, {"rows": frame_of(spark, shares)}, STEPS))
    assert found.remarks == (f"nearly all boxes are smaller than a pixel. {hint}",)
    assert inspect(lay_out(spark, f"{data}units: fractions", {"rows": frame_of(spark, shares)}, STEPS)).remarks == ()


def test_one_class_is_enough_and_structs_and_whole_numbers_are_read_too(spark, tmp_path):
    # Sorted by name, as Spark reads structs from JSON: height, width, x, y.
    rows = [(i, picture(shade=i), [(20, 30, 1, 2)], [7 + i % 4 * 5]) for i in range(8)]
    schema = "id int, image binary, what array<struct<height: int, Width: int, x: int, y: int>>, kinds array<int>"
    data = "train: rows\nvalidation: null\nboxes: what\nlabels: kinds\nformat: xywh"
    found = inspect(lay_out(spark, data, {"rows": frame_of(spark, rows, schema)}))
    assert found.classes == ("7", "12", "17", "22")
    assert found.inputs.sizes == (24.49,) * 5  # sqrt(30 * 20)
    prepared = prepare(lay_out(spark, data, {"rows": frame_of(spark, rows, schema)}), str(tmp_path))
    assert {tuple(boxes[0][1:]) for boxes in sample_rows(prepared, spark, TRAIN, 8)[1]} == {(1, 2, 31, 22)}
    one = [(i, picture(shade=i), [[1.0, 1.0, 9.0, 9.0]], ["only"], "trn") for i in range(4)]
    assert inspect(lay_out(spark, "train: rows\nvalidation: null", {"rows": frame_of(spark, one)})).classes == ("only",)


def test_fail_counts_the_bad_boxes_and_shows_one(spark):
    assert refusal(spark, [*ROWS, *BAD], f"{BY_SIDE}bad_boxes: fail") == (
        "line 5, column 14: 3 bad boxes: 1 inverted, 1 without a label, 1 reaching beyond the picture; such as "
        "[1, 2, 3, 4] in a picture of 60 x 40: without a label.\n"
        "`bad_boxes: clip` cuts boxes at the picture's edges and leaves other bad ones out; drop leaves out all."
    )


def test_fail_looks_at_test_rows_before_anything_is_learnt(spark, tmp_path):
    frames = {"rows": frame_of(spark, ROWS), "tests": frame_of(spark, BAD[:1])}
    words = (
        "line 6, column 14: the test rows have 2 bad boxes: 1 inverted, 1 reaching beyond the picture; such as "
        "[30, 2, 10, 4] in a picture of 60 x 40: inverted."
    )
    plan = lay_out(spark, f"{BY_SIDE}test: tests\nbad_boxes: fail", frames, STEPS)
    with pytest.raises(DataError) as dry:
        inspect(plan)
    with pytest.raises(DataError) as real:
        prepare(plan, str(tmp_path))
    assert str(dry.value).splitlines()[0] == str(real.value).splitlines()[0] == words
    frames["tests"] = frame_of(spark, ROWS[:1])
    assert inspect(lay_out(spark, f"{BY_SIDE}test: tests\nbad_boxes: fail", frames, STEPS)).boxes.dropped == 1


def test_validation_rows_without_any_box_are_told_of(spark):
    rows = [row if row[4] == "trn" else (*row[:2], [], [], "val") for row in ROWS]
    found = inspect(lay_out(spark, BY_SIDE, {"rows": frame_of(spark, rows)}, STEPS))
    assert found.remarks == ("no validation row has a box: AP50 cannot tell which epoch is best.",)
    unknown = [row if row[4] == "trn" else (*row[:3], ["bird"] * len(row[3] or []), "val") for row in ROWS]
    assert inspect(lay_out(spark, BY_SIDE, {"rows": frame_of(spark, unknown)}, STEPS)).remarks == found.remarks


@pytest.mark.parametrize(
    ("sql", "learnt"),
    [
        ("SELECT *, transform(boxes, b -> transform(b, n -> n / 2)) AS boxes FROM {data}", True),
        ("SELECT side, image, boxes, labels FROM {data}", True),
        ("SELECT side, image_bytes AS image, labels, boxes FROM {data}", True),
        ("SELECT side, image, transform(found, f -> f.box) AS boxes, found.label AS labels FROM {data}", False),
        ("SELECT side, image, boxes, labels FROM {data} LEFT JOIN (SELECT 1 AS found) USING (found)", True),
        ("SELECT side, image, found.* FROM {data}", False),
    ],
)
def test_sql_steps_that_make_boxes_do_not_keep_new_pictures_from_a_prediction(spark, sql, learnt):
    rows = frame_of(spark, ROWS[:6])
    if "found.*" in sql:
        rows = rows.selectExpr("side", "image", "struct(boxes, labels) AS found")
    elif "found, f" in sql:
        rows = rows.selectExpr("side", "image", "transform(boxes, b -> struct('cat' AS label, b AS box)) AS found")
    elif "found" in sql:
        rows = rows.withColumn("found", F.lit(1))
    if "image_bytes" in sql:
        rows = rows.withColumnRenamed("image", "image_bytes")
    data = "train: rows\nvalidation: null\ntest: null"
    plan = lay_out(spark, data, {"rows": rows}, f"preprocess: [{{sql: '{sql}'}}, {{letterbox: 30}}]")
    assert inspect(plan).classes
    assert (plan.queries[0].learnt["boxes"] is not None) is learnt
    steps = [StoredStep(**json.loads(json.dumps(step.to_plain()))) for step in plan.queries]
    name = "image_bytes" if "image_bytes" in sql else "image"
    new = spark.createDataFrame([(picture(shade=1), "trn")], f"{name} binary, side string")
    frame, done, left = predict_frame(new, steps, label="label", pictures=None)
    assert (done, left) == (0, 1 if "found" in sql else None)
    assert sorted(frame.columns) == ["image", "side"]
    assert [bytes(row.image) for row in frame.select("image").collect()] == [picture(shade=1)]


def test_on_rows_with_boxes_every_step_is_run_or_refused(spark):
    sql = "SELECT * EXCEPT (id), transform(boxes, b -> transform(b, n -> n * if(id < 0, 2, 1))) AS boxes FROM {data}"
    rows = frame_of(spark, ROWS[:6])
    plan = lay_out(spark, "train: rows\nvalidation: null", {"rows": rows}, f"preprocess: [{{sql: '{sql}'}}]")
    frame, _, left = predict_frame(rows, plan.queries, label="label", pictures=None)
    assert (left, frame.count()) == (None, 6)
    with pytest.raises(DataError, match=r"SQL step 1 of the model's preprocessing: .*`id`"):
        predict_frame(rows.drop("id"), plan.queries, label="label", pictures=None)


def test_boxes_in_structs_with_odd_names_are_null_in_new_rows_too(spark):
    sql = "SELECT *, transform(boxes, b -> array(b.`x min`, b.t, b.r, b.b)) AS boxes FROM {data}"
    kind = "array<struct<`x min`: double, t: double, r: double, b: double>>"
    rows = [(picture(shade=i), [(1.0, 2.0, 9.0, 9.0)], ["cat"]) for i in range(4)]
    frame = spark.createDataFrame(rows, f"image binary, boxes {kind}, labels array<string>")
    plan = lay_out(spark, "train: rows\nvalidation: null", {"rows": frame}, f"preprocess: [{{sql: '{sql}'}}]")
    found, _, left = predict_frame(frame.select("image"), plan.queries, label="label", pictures=None)
    assert (found.columns, left, found.count()) == (["image"], None, 4)


def test_a_step_that_makes_the_picture_of_a_missing_column_is_no_such_step(spark):
    rows = frame_of(spark, ROWS[:6])
    steps = "preprocess: [{sql: 'SELECT *, if(id > 0, image, NULL) AS image FROM {data}'}, {letterbox: 30}]"
    plan = lay_out(spark, "train: rows\nvalidation: null", {"rows": rows}, steps)
    with pytest.raises(DataError, match=r"SQL step 1 of the model's preprocessing: .*`id`"):
        predict_frame(rows.select("image"), plan.queries, label="label", pictures=None)


@pytest.mark.parametrize(
    ("fields", "format", "words", "hint"),
    [
        (
            "a: int, b: int, c: int, d: int",
            "",
            "the boxes in 'boxes' have the fields a, b, c, d, which do not say which number each is.",
            "Known are x1, y1, x2, y2; x_min, y_min, x_max, y_max; x, y, w, h. In SQL: transform(boxes, b -> array("
            "b.LEFT, b.TOP, b.RIGHT, b.BOTTOM)) AS boxes.",
        ),
        (
            "h: int, w: int, x: int, y: int",
            "",
            "the boxes in 'boxes' have the fields x, y, w, h, and are read as xyxy.",
            "`format: xywh or cxcywh` under data says what they are.",
        ),
        (
            "x1: int, x2: int, y1: int, y2: int",
            "format: cxcywh",
            "the boxes in 'boxes' have the fields x1, y1, x2, y2, and are read as cxcywh.",
            "`format: xyxy` under data says what they are.",
        ),
    ],
)  # fmt: skip
def test_fields_that_say_something_else_are_refused(spark, fields, format, words, hint):
    schema = f"image binary, boxes array<struct<{fields}>>, labels array<string>"
    said = refusal(spark, [], f"train: rows\n{format}", schema=schema).splitlines()
    assert said == [f"line 3, column 10: {words}", hint]


def test_rows_without_a_good_box_are_refused(spark):
    rows = [(i, picture(shade=i), [[30.0, 20.0, 10.0, 5.0]], ["a"], "trn") for i in range(4)]
    words = refusal(spark, rows, "train: rows\nvalidation: null")
    assert words == (
        "line 3, column 10: no training row has a good box in 'boxes': 4 are bad, such as [30, 20, 10, 5] in a picture "
        "of 60 x 40: inverted.\nAre they what `format` and `units` say? Without these they are read as xyxy, corners, "
        "in pixels."
    )
    rows = [(i, picture(shade=i), [[3.0, 2.0, 10.0, 5.0]], [None], "trn") for i in range(4)]
    words = refusal(spark, rows, "train: rows\nvalidation: null")
    assert words.endswith("4 are bad, such as [3, 2, 10, 5] in a picture of 60 x 40: without a label.")


@pytest.mark.parametrize(
    ("schema", "words", "hint"),
    [
        ("boxes string, labels array<string>", "column 'boxes' is string; boxes are array<array<number>>", ""),
        (
            "boxes array<double>, labels array<string>",
            "column 'boxes' is array<double>; boxes are",
            "For one box a row, in SQL: array(boxes) AS boxes.",
        ),
        (
            "boxes array<array<int>>, labels string",
            "column 'labels' is string; the labels of a row's boxes are array<string>.",
            "In SQL: array_repeat(labels, size(boxes)) AS labels.",
        ),
        (
            "boxes array<array<int>>, label array<string>",
            "data.train has no column 'labels' for the labels. Did you mean 'label'?",
            "Its columns are image, boxes, label. `labels: NAME` under data chooses one.",
        ),
    ],
)
def test_columns_of_other_types_are_refused_with_what_to_do(spark, schema, words, hint):
    frame = frame_of(spark, [], f"image binary, {schema}")
    with pytest.raises(DataError) as error:
        lay_out(spark, "train: rows", {"rows": frame})
    said = str(error.value).splitlines()
    assert said[0].startswith(f"line 3, column 10: {words}")
    assert hint in said[-1]


@pytest.mark.parametrize(
    ("data", "more", "words"),
    [
        ("label: x", "", "line 5, column 3: data.label is for tasks with one label a row; what is learnt of a picture"),
        ("text: x", "", "line 5, column 3: data.text is for texts; what is learnt of a picture"),
        ("test: {coco: x.json}\nunits: pixels", "", "line 6, column 3: data.test is coco, which says itself how"),
        ("", "metrics: {a: avg(x)}", "line 6, column 1: metrics are SQL over one label a row"),
        ("", "preprocess: [{resize: 8}, {sql: 'SELECT * FROM {data}'}]", "line 6, column 33: an SQL step stands after"),
    ],
)  # fmt: skip
def test_what_belongs_to_other_tasks_is_refused(spark, data, more, words):
    with pytest.raises(SparkNNError) as error:
        lay_out(spark, f"train: rows\nvalidation: null\n{data}", {"rows": frame_of(spark, ROWS)}, more)
    assert str(error.value).startswith(words)


def thumb():
    return lambda image: image.resize((10, 10))


def test_a_step_that_resizes_and_does_not_say_where_to_is_refused(spark):
    plan = lay_out(spark, BY_SIDE, {"rows": frame_of(spark, ROWS)}, STEPS)
    check_places(plan, 60, 40, ImageInputs(3, 30, 30))
    other = replace(plan, steps=(Part("tests.data.test_boxes_prepare:thumb"),))
    with pytest.raises(
        DataError, match=r"line 6, column 13: a step changes .* has no `place` and `size`, by which boxes"
    ):
        check_places(other, 60, 40, ImageInputs(3, 10, 10))
