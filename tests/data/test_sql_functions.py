"""The SQL functions on pictures, nn_decode(image) and its like: in any query, null where there is no picture."""

import io

import numpy as np
import pytest
from PIL import Image

from sparknn_magic import registry, sessions
from tests.data.pictures import COLOUR, GREY, encode, spark_image

IMAGE = "struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>"


@pytest.fixture(scope="module")
def pictures(spark):
    whole = encode(COLOUR[0])
    rows = [
        (1, whole),
        (2, encode(GREY[1])),
        (3, whole[: len(whole) // 2]),
        (4, b"text"),
        (5, None),
    ]
    spark.createDataFrame(rows, "id int, image binary").createOrReplaceTempView("sql_pictures")


def select(spark, expression, where="true"):
    found = spark.sql(f"SELECT id, {expression} AS x FROM sql_pictures WHERE {where} ORDER BY id").collect()
    return {row.id: row.x for row in found}


def test_every_function_is_there_once_a_session_is_adopted(spark):
    assert sessions.adopt(spark) is spark
    for name in ("nn_decode", "nn_resize", "nn_crops", "nn_normalize", "nn_image_size", "nn_is_image"):
        assert spark.catalog.functionExists(name)


def test_decode_gives_sparks_image_struct_upright_and_null_where_there_is_no_picture(spark, pictures):
    found = select(spark, "nn_decode(image)")
    expected = spark_image(COLOUR[0], origin="")
    assert found[1].asDict() == expected
    assert (found[2].nChannels, found[2].mode) == (1, 0)
    assert [found[i] for i in (3, 4, 5)] == [None, None, None]
    turned = Image.fromarray(COLOUR[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    file = io.BytesIO()
    turned.save(file, "PNG", exif=exif)
    frame = spark.createDataFrame([(bytearray(file.getvalue()),)], "image binary")
    row = spark.sql("SELECT nn_decode(image) AS x FROM {frame}", frame=frame).collect()[0].x
    assert (row.height, row.width) == (COLOUR.shape[2], COLOUR.shape[1])


def test_resize_is_what_the_step_of_this_name_gives(spark, pictures):
    found = select(spark, "nn_resize(image, 5, 4)")
    step = registry.get("preprocessor", "resize").build(size=(5, 4))
    pixels = np.asarray(step(Image.fromarray(COLOUR[0])))
    assert found[1].asDict() == spark_image(pixels, origin="")
    assert found[4] is None
    assert select(spark, "nn_resize(nn_decode(image), 5, 4)")[1] == found[1]
    assert select(spark, "nn_resize(image, CAST(NULL AS INT), 4)")[1] is None
    sized = select(spark, "nn_resize(image, id + 1, 3).height", "id < 3")
    assert sized == {1: 2, 2: 3}


def test_crops_are_squares_around_the_boxes_black_beyond_the_picture_and_go_into_rows_of_their_own(spark):
    pixels = np.random.default_rng(0).integers(1, 256, (40, 60, 3), dtype=np.uint8)
    boxes = [[10.0, 5.0, 30.0, 15.0], [50.0, 30.0, 70.0, 50.0], [3.0, 3.0, 3.0, 9.0], [float("nan"), 0.0, 1.0, 1.0]]
    boxes += [[1.0, 2.0, 3.0], None, [9.0, 9.0, 2.0, 2.0]]
    labels = ["wide", "corner", "line", "nan", "three", "null", "swapped"]
    rows = [(encode(pixels), boxes, labels), (b"text", boxes, labels), (encode(pixels), None, labels)]
    frame = spark.createDataFrame(rows, "image binary, boxes array<array<double>>, labels array<string>")
    query = "SELECT nn_crops(image, boxes, 0.1, 24) AS x FROM {frame}"
    first, second, third = (row.x for row in spark.sql(query, frame=frame).collect())
    assert (second, third) == (None, None)
    assert [crop is None for crop in first] == [False, False, True, True, True, True, True]
    # 20 wide and 10 high: the square has sides of 24 about (20, 10); 2 of its rows are above the picture.
    expected = np.zeros((24, 24, 3), np.uint8)
    expected[2:] = pixels[:22, 8:32]
    assert first[0].asDict() == spark_image(expected, origin="")
    # Cut off at the corner it is 10x10 about (55, 35); the square has 12, of which one row and one column are beyond.
    corner = np.zeros((24, 24, 3), np.uint8)
    corner[:22, :22] = np.asarray(Image.fromarray(pixels[29:40, 49:60]).resize((22, 22), Image.Resampling.BILINEAR))
    found = np.frombuffer(first[1].data, np.uint8).reshape(24, 24, 3)[:, :, ::-1]
    # Its first row and column are blended with the pixels before them.
    assert np.array_equal(found[1:22, 1:22], corner[1:22, 1:22])
    assert not found[22:].any()
    assert not found[:, 22:].any()
    structs = "transform(boxes, b -> named_struct('x1', b[0], 'y1', b[1], 'x2', b[2], 'y2', get(b, 3)))"
    again = spark.sql(f"SELECT nn_crops(image, {structs}, 0.1, 24) AS x FROM {{frame}}", frame=frame).collect()[0].x
    assert again == first[:4] + [None] * 3, "what a detector's objects have"
    inline = "LATERAL VIEW inline(arrays_zip(nn_crops(image, boxes, 0.1, 24), labels)) AS picture, label"
    query = f"SELECT label FROM {{frame}} {inline} WHERE picture IS NOT NULL"
    assert [row.label for row in spark.sql(query, frame=frame).collect()] == ["wide", "corner"]


def test_normalize_gives_row_by_row_red_green_and_blue_of_each_pixel(spark, pictures):
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    found = select(spark, "nn_normalize(image, array(0.4, 0.5, 0.6), array(0.2, 0.25, 0.3))")
    assert np.allclose(found[1], ((COLOUR[0] / 255 - mean) / std).ravel(), atol=1e-5)
    assert np.allclose(found[2], ((np.repeat(GREY[1], 3, 2) / 255 - mean) / std).ravel(), atol=1e-5), "grey as colour"
    assert found[3] is None
    one = select(spark, "nn_normalize(image, 0.5, 0.25)")
    assert np.allclose(one[2], ((GREY[1] / 255 - 0.5) / 0.25).ravel(), atol=1e-5)
    assert len(one[1]) == COLOUR[0].size


def test_size_is_read_from_the_header_and_a_picture_is_what_decodes_to_its_end(spark, pictures):
    sizes = select(spark, "nn_image_size(image)")
    height, width = COLOUR.shape[1:3]
    assert sizes[1].asDict() == {"height": height, "width": width, "channels": 3}
    assert sizes[2].channels == 1
    assert sizes[3] is not None, "its header is whole"
    assert (sizes[4], sizes[5]) == (None, None)
    assert select(spark, "nn_is_image(image)") == {1: True, 2: True, 3: False, 4: False, 5: False}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("nn_resize(image, 0, 4)", "nn_resize: 0x4 is not a size"),
        ("nn_crops(image, array(array(0, 0, 9, 9)), 0, 0)", "nn_crops: a side has 1 to 1024 pixels, not 0"),
        ("nn_crops(image, array(0, 0, 9, 9), 0, 8)", "nn_crops: boxes are array<array<number>> or array<struct"),
        ("nn_crops(image, array(array(0, 0, 9, 9)), 1.5, 8)", "nn_crops: margin is a share of the box's side"),
        ("nn_normalize(image, 0.5, 0)", "nn_normalize: a std of 0 divides by nothing"),
        ("nn_normalize(image, array(0.5, 0.5), 1)", "nn_normalize: mean has 2 numbers"),
        ("nn_decode('text')", "the column is string, which holds no pictures"),
    ],
)
def test_an_argument_that_makes_no_sense_is_an_error_and_no_null(spark, pictures, expression, words):
    with pytest.raises(Exception, match=words):
        select(spark, expression)


def test_a_connect_client_has_them_too(run_script):
    done = run_script(
        """
        from sparknn_magic.sessions import adopt

        adopt(spark)
        row = spark.sql("SELECT nn_is_image(X'00') AS a, nn_decode(NULL) AS b, nn_mse(3, 1) AS c").collect()[0]
        print(row.a, row.b, row.c)

        from sparknn_magic.data.plan import plan
        from sparknn_magic.spec.experiment import Experiment
        from sparknn_magic.spec.resolve import resolve

        spark.sql("SELECT 1 AS id, X'00' AS image, 'a' AS label").createOrReplaceTempView("t")
        head = "task: image-classification\\ndata: {train: t}\\nmodel: mlp\\npreprocess:\\n- resize: 8\\n- sql: "
        experiment = Experiment.parse(head + "SELECT *, lower(label) AS label FROM {data} WHERE id > 0")
        found = plan(spark, experiment, resolve(experiment))
        print(found.queries[0].predict, "|", found.queries[0].skipped, found.queries[0].changes, found.train.columns)
        try:
            experiment = Experiment.parse(head + "SELECT id FORM {data}")
            plan(spark, experiment, resolve(experiment))
        except Exception as error:
            print(error)
        """,
        connect=True,
    )
    first, second, third = done.stdout.splitlines()
    assert first == "False None 4.0"
    assert second == "SELECT *, lower(label) AS label FROM {data} | WHERE id > 0 [] ['id', 'image', 'label']"
    assert third.startswith("line 6, column 8: Spark refuses this step: Syntax error at or near '{data}'")
