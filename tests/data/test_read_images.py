"""Columns of every type that holds pictures -> the same pixels; a row that is no picture costs no other."""

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from sparknn_magic.data.worker import picture_header
from sparknn_magic.errors import DataError
from sparknn_magic.plugin import Part
from tests.data.pictures import COLOUR, GREY, SPARK_IMAGE, encode, flat, nested, read, save, spark_image


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda p: (pa.array([encode(x) for x in p], pa.binary()), None), id="binary"),
        pytest.param(lambda p: (pa.array([encode(x) for x in p], pa.large_binary()), None), id="large_binary"),
        pytest.param(lambda p: (pa.array([encode(x) for x in p], pa.binary_view()), None), id="binary_view"),
        pytest.param(lambda p: (pa.array([spark_image(x) for x in p], SPARK_IMAGE), None), id="image struct"),
        pytest.param(lambda p: (pa.array(p.tolist(), nested(pa.int32(), 3)), None), id="nested ints"),
        pytest.param(lambda p: (pa.array(p.tolist(), nested(pa.uint8(), 3)), None), id="nested bytes"),
        pytest.param(lambda p: (pa.array((p / 255).tolist(), nested(pa.float64(), 3)), None), id="nested doubles"),
        pytest.param(lambda p: (pa.array((p / 255).tolist(), nested(pa.float32(), 3)), None), id="nested floats"),
        pytest.param(lambda p: (pa.array(flat(p).tolist(), nested(pa.int16(), 1)), p.shape[1:]), id="flat ints"),
        pytest.param(lambda p: (pa.array([x.tobytes() for x in p], pa.binary()), p.shape[1:]), id="raw bytes"),
        pytest.param(lambda p: (pa.array([x.tobytes() for x in p], pa.binary(p[0].size)), p.shape[1:]), id="fixed"),
        pytest.param(
            lambda p: (pa.array(flat(p).tolist(), pa.list_(pa.int32(), p[0].size)), p.shape[1:]), id="fixed l"
        ),
    ],
)
def test_every_column_type_gives_the_same_pixels(make, channels):
    expected = COLOUR if channels == 3 else GREY
    array, shape = make(expected)
    pictures = read(array, channels, shape=shape)
    np.testing.assert_array_equal(pictures.pixels, expected)
    assert pictures.pixels.dtype == np.uint8
    assert pictures.pixels.flags.c_contiguous
    assert pictures.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert pictures.errors == [None] * 6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["binary", "struct", "nested", "flat", "raw", "raw fixed"])
def test_a_slice_with_nulls_is_read_from_its_own_rows(kind, channels):
    expected = COLOUR if channels == 3 else GREY
    shape = expected.shape[1:] if kind in ("flat", "raw", "raw fixed") else None
    values, of = {
        "binary": ([encode(x) for x in expected], pa.binary()),
        "struct": ([spark_image(x) for x in expected], SPARK_IMAGE),
        "nested": (expected.tolist(), nested(pa.int32(), 3)),
        "flat": (flat(expected).tolist(), nested(pa.int32(), 1)),
        "raw": ([x.tobytes() for x in expected], pa.binary()),
        "raw fixed": ([x.tobytes() for x in expected], pa.binary(expected[0].size)),
    }[kind]
    values[3] = None
    whole = pa.array([None, None, *values, None], of)
    pictures = read(whole.slice(3, 5), channels, shape=shape)
    np.testing.assert_array_equal(pictures.pixels, expected[[1, 2, 4, 5]])
    assert pictures.rows.tolist() == [0, 1, 3, 4]
    assert pictures.errors == [None, None, "null", None, None]


@pytest.mark.parametrize("of", [pa.binary(), SPARK_IMAGE, nested(pa.int32(), 3), nested(pa.float32(), 2)])
def test_no_rows_and_only_nulls_give_no_pixels(of):
    for values in ([], [None, None]):
        pictures = read(pa.array(values, of))
        assert pictures.pixels.shape == (0, 9, 7, 3)
        assert len(pictures.rows) == 0
        assert pictures.errors == ["null"] * len(values)


@pytest.mark.parametrize(("made", "wanted"), [(COLOUR, 1), (GREY, 3)])
def test_pictures_are_turned_into_the_channels_of_the_model(made, wanted):
    # ITU-R 601-2 luma, which is what Pillow documents for "L"
    luma = np.rint(made @ [0.299, 0.587, 0.114])[..., None] if made is COLOUR else made
    expected = luma if wanted == 1 else np.repeat(luma, 3, axis=3)
    struct = pa.array([spark_image(x) for x in made], SPARK_IMAGE)
    for array in (pa.array([encode(x) for x in made]), struct, pa.array(made.tolist())):
        assert np.abs(read(array, wanted).pixels - expected.astype(float)).max() <= 1


def test_alpha_in_structs_and_arrays_is_laid_on_white():
    pixels = np.broadcast_to(np.array([100, 0, 200, 51], np.uint8), (9, 7, 4))
    for array in (pa.array([spark_image(pixels)], SPARK_IMAGE), pa.array([pixels.tolist()])):
        assert read(array).pixels[0, 0, 0].tolist() == [224, 204, 244]


# Steps.


def test_steps_run_in_order_on_every_column_type():
    steps = [
        Part("sparknn_zoo.preprocess.center_crop:center_crop", {"size": 4}),
        Part("sparknn_zoo.preprocess.resize:resize", {"size": 2, "interpolation": "area"}),
    ]
    expected = COLOUR[:, 2:6, 1:5].reshape(6, 2, 2, 2, 2, 3).mean(axis=(2, 4))
    struct = pa.array([spark_image(x) for x in COLOUR], SPARK_IMAGE)
    for array in (pa.array([encode(x) for x in COLOUR]), struct, pa.array(COLOUR.tolist())):
        pictures = read(array, size=(2, 2), steps=steps)
        assert np.abs(pictures.pixels - expected).max() <= 1.01


def test_pictures_of_several_sizes_meet_in_a_resize_step():
    steps = [Part("sparknn_zoo.preprocess.resize:resize", {"size": (9, 7)})]
    odd = np.full((30, 20, 3), 77, np.uint8)
    for array in (pa.array([encode(COLOUR[0]), encode(odd)]), pa.array([spark_image(COLOUR[0]), spark_image(odd)])):
        pictures = read(array, steps=steps)
        assert pictures.errors == [None, None]
        np.testing.assert_array_equal(pictures.pixels[0], COLOUR[0])
        assert (pictures.pixels[1] == 77).all()


def test_a_picture_of_another_size_is_an_error_of_its_row():
    odd = np.zeros((3, 4, 3), np.uint8)
    reason = "size 3x4 where the model takes 9x7: add a resize step"
    for array in (
        pa.array([encode(COLOUR[0]), encode(odd)]),
        pa.array([spark_image(COLOUR[0]), spark_image(odd)]),
        pa.array([COLOUR[0].tolist(), odd.tolist()]),
    ):
        pictures = read(array)
        assert pictures.errors == [None, reason]
        np.testing.assert_array_equal(pictures.pixels, COLOUR[:1])
    assert read(pa.array([odd.tolist()] * 2)).errors == [reason] * 2


# Bad rows.


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mode": -1, "height": -1, "width": -1, "nChannels": -1, "data": b""}, "undefined image"),
        ({"data": b"123"}, "3 bytes where a 9x7x3 image has 189"),
        ({"data": None}, "undefined image"),
        ({"height": None}, "undefined image"),
        ({"mode": 21}, "image of 3 channels and mode 21: 8-bit grey, BGR and BGRA are supported"),
        ({"nChannels": 2, "mode": 8}, "image of 2 channels and mode 8"),
    ],
)
def test_a_bad_image_struct_says_why_and_costs_no_other_row(changed, reason):
    values = [spark_image(x) for x in COLOUR[:3]]
    values[1] |= changed
    pictures = read(pa.array(values, SPARK_IMAGE))
    assert pictures.errors[1].startswith(reason)
    assert pictures.errors[::2] == [None, None]
    np.testing.assert_array_equal(pictures.pixels, COLOUR[[0, 2]])


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        ([[0, 256]], pa.int32(), "pixels outside 0..255"),
        ([[0, -1]], pa.int32(), "pixels outside 0..255"),
        ([[0, 1.5]], pa.float32(), "floating-point pixels outside 0..1 (cast them to int where they are 0..255)"),
        ([[0, float("nan")]], pa.float64(), "floating-point pixels outside 0..1"),
        ([[0, None]], pa.int32(), "a null among the pixels"),
        ([[0, 1], None], pa.int32(), "a null among the pixels"),
        ([[0, 1], [2]], pa.int32(), "rows of different lengths"),
        ([], pa.int32(), "empty"),
        ([[]], pa.int32(), "empty"),
    ],
)
def test_bad_pixels_say_why_and_cost_no_other_row(value, kind, reason):
    good = [[5, 6], [7, 8]] if kind != pa.float32() and kind != pa.float64() else [[0.0, 1.0], [0.5, 0.25]]
    pictures = read(pa.array([good, value, good], nested(kind, 2)), channels=1, size=(2, 2))
    assert pictures.errors[1].startswith(reason)
    assert pictures.rows.tolist() == [0, 2]


def test_pixels_as_floats_are_fractions():
    pictures = read(pa.array([[[0.0, 1.0], [0.5, 0.25]]]), channels=1, size=(2, 2))
    assert pictures.pixels[0, :, :, 0].tolist() == [[0, 255], [128, 64]]


def test_channels_first_arrays_are_told_how_to_be_laid_out():
    pictures = read(pa.array([np.zeros((3, 9, 7), int).tolist()]))
    assert pictures.errors == ["array of 3x9x7: [height][width][channels] has 1, 3 or 4 channels"]


def test_raw_pixels_of_another_length_say_what_the_shape_needs():
    assert read(pa.array([[1, 2, 3]]), 1, (2, 2), shape=(2, 2)).errors == ["3 pixels where a 2x2 image has 4"]
    assert read([b"123"], 1, (2, 2), shape=(2, 2)).errors == ["3 bytes where a 2x2x1 image has 4"]


@pytest.mark.parametrize("of", [pa.string(), pa.int32(), nested(pa.string(), 2), nested(pa.int32(), 4), pa.bool_()])
def test_a_column_of_another_type_is_an_error(of):
    with pytest.raises(DataError, match="holds no pictures"):
        read(pa.array([None], of))


# Headers.


def test_headers_give_the_upright_size_without_decoding(monkeypatch):
    turned = Image.Exif()
    turned[0x0112] = 6
    values = [
        encode(COLOUR[0]),
        encode(GREY[0], "JPEG"),
        encode(COLOUR[0], "JPEG", exif=turned),
        save(Image.new("P", (5, 4)), "GIF"),
        save(Image.fromarray(np.zeros((4, 6), np.uint16))),
        None,
        b"text",
    ]

    def decoded(self, *args):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    got = picture_header(pa.array(values)).to_pylist()
    assert [tuple(row[k] for k in ("height", "width", "channels")) for row in got] == [
        (9, 7, 3),
        (9, 7, 1),
        (7, 9, 3),
        (4, 5, 3),
        (4, 6, 1),
        (None, None, None),
        (None, None, None),
    ]
    assert [row["error"] for row in got] == [None] * 5 + ["null", "not an image (JPEG, PNG, WebP, BMP or GIF)"]


def test_headers_of_structs_and_arrays_are_their_sizes():
    struct = picture_header(pa.array([spark_image(COLOUR[0]), spark_image(GREY[0], mode=-1)], SPARK_IMAGE)).to_pylist()
    assert struct[0] == {"height": 9, "width": 7, "channels": 3, "error": None}
    assert struct[1]["error"].startswith("undefined image")
    array = picture_header(pa.array([[[1, 2, 3], [4, 5, 6]]])).to_pylist()
    assert array[0] == {"height": 2, "width": 3, "channels": 1, "error": None}
    raw = picture_header(pa.array([bytes(24)]), shape=(2, 3, 4)).to_pylist()
    assert raw[0] == {"height": 2, "width": 3, "channels": 3, "error": None}
