"""What `check_image_type` says of Spark's types on the driver, in the words that a user reads."""

import pyarrow as pa
import pytest

from sparknn_magic.data.job import check_image_type
from sparknn_magic.data.worker import image_kind
from sparknn_magic.errors import DataError

SPARK_IMAGE = "struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>"


@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [
        ("binary", None, "encoded"),
        ("binary", (28, 28), "flat"),
        (SPARK_IMAGE, None, "struct"),
        ("array<array<tinyint>>", None, "nested"),
        ("array<array<array<double>>>", None, "nested"),
        ("array<int>", (28, 28), "flat"),
        ("array<float>", (32, 32, 3), "flat"),
    ],
)
def test_columns_of_these_types_hold_pictures(kind, shape, expected):
    assert check_image_type(kind, shape=shape) == expected


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        ("string", None, r"column 'image' is string, which holds no pictures\.\n.*binaryFile"),
        ("vector", None, "vector_to_array"),
        ("int", None, r"is int, which holds no pictures\.\nPictures are binary"),
        ("array<string>", None, "is array<string>, which holds no pictures"),
        ("array<boolean>", (2, 2), "holds no pictures"),
        ("array<decimal(3,0)>", (2, 2), "holds no pictures"),
        ("array<array<array<array<int>>>>", None, "holds no pictures"),
        ("struct<data:binary>", None, "is struct<data:binary>, which holds no pictures"),
        (SPARK_IMAGE.replace("data:binary", "data:string"), None, "holds no pictures"),
        ("map<string,binary>", None, "holds no pictures"),
        ("array<int>", None, r"is a flat array<int> and its shape is not given\.\nGive the shape"),
        ("array<array<int>>", (2, 2), r"its rows have shapes of their own, \[2, 2\] has no use"),
        (SPARK_IMAGE, (2, 2), "has no use"),
        ("binary", (2,), r"the shape \[2\] is not that of a picture"),
        ("binary", (2, 2, 2), "is not that of a picture"),
        ("binary", (0, 2), "is not that of a picture"),
    ],
)
def test_other_types_say_what_is_wrong_and_what_to_do(kind, shape, words):
    with pytest.raises(DataError, match=words):
        check_image_type(kind, shape=shape, column="image")


def test_arrow_types_are_judged_as_sparks_are():
    assert image_kind(pa.large_binary()) == "encoded"
    assert image_kind(pa.list_(pa.list_(pa.uint8()))) == "nested"
    assert image_kind(pa.list_(pa.float16()), (2, 2)) == "flat"
    with pytest.raises(DataError, match="the column is a flat array<int> and its shape is not given"):
        image_kind(pa.list_(pa.int8()))
