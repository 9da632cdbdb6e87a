"""What may stand under `data.train`, and what is said where it cannot be read."""

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import Row

from sparknn_magic.data.sources import open_source
from sparknn_magic.errors import DataError, SparkNNError, SpecError
from sparknn_magic.spec.models import Source, read_source
from tests.data.rows import SCHEMA, lay_out, png, rows


@pytest.fixture(scope="module")
def frame(spark):
    made = spark.createDataFrame(rows(6), SCHEMA)
    made.createOrReplaceTempView("source_rows")
    return made


@pytest.fixture(scope="module")
def parquet(spark, frame, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sources") / "rows 1% [old]"
    frame.coalesce(1).write.parquet(f"file://{folder}")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Folders of pictures whose names are hard on whoever takes them for patterns or URLs."""
    root = tmp_path_factory.mktemp("photos") / "my photos [1]"
    for i, name in enumerate(CLASSES):
        file = root / "deeper" / name / f"p {i}.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(png(i))
    (root / "deeper" / "cat" / "LOUD.JPG").write_bytes(png(99, kind="JPEG"))
    (root / "deeper" / "cat" / "Mixed.Jpeg").write_bytes(png(98, kind="JPEG"))
    (root / "deeper" / "cat" / "notes.txt").write_text("not a picture")
    (root / "stray.gif").write_bytes(png(97, kind="GIF"))
    return root


CLASSES = ("cat", "two words", "50% off", "a%20b", "größe 猫", "x[1]", "{y}", "co:lon", "que?ry", "a+b", "#1", "st*r")


def read(spark, text, names=(), **options):
    source = Source.model_validate(options or read_source(text))
    return open_source(spark, source, lambda message, hint=None: SpecError(message, hint=hint), names)


def refusal(spark, text, names=(), **options) -> str:
    with pytest.raises(SparkNNError) as error:
        read(spark, text, names, **options)
    assert len(str(error.value).splitlines()) <= 2
    return str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "source_rows",
        "`source_rows`",
        "SELECT * FROM source_rows",
        "-- all of them\n /* really */ (select * from source_rows)",
        "WITH t AS (SELECT * FROM source_rows) SELECT * FROM t",
        "FROM source_rows",
        "TABLE source_rows",
    ],
)
def test_a_bare_text_is_a_query_or_a_view(spark, frame, text):
    assert read(spark, text).columns == ["id", "image", "label"]


def test_a_query_takes_parameters(spark, frame):
    found = read(
        spark, "", sql="SELECT id FROM source_rows WHERE id > :low AND label = :who", params={"low": 1, "who": "cat"}
    )
    assert {row.id for row in found.collect()} == {2, 4}


def test_a_table_may_be_named_with_its_schema_or_quoted(spark):
    spark.sql("CREATE TABLE source_table AS SELECT 1 AS id")
    spark.sql("CREATE TEMPORARY VIEW `odd-name` AS SELECT 1 AS id")
    try:
        for text in ("default.source_table", "spark_catalog.default.`source_table`", "odd-name", "`odd-name`"):
            assert read(spark, text).columns == ["id"]
    finally:
        spark.sql("DROP TABLE source_table")
        spark.sql("DROP VIEW `odd-name`")


def test_parquet_is_found_by_absolute_and_relative_path_and_by_file_url(spark, parquet, monkeypatch):
    monkeypatch.chdir(parquet.parent)
    file = next(parquet.glob("*.parquet"))
    for text in (str(parquet), f"./{parquet.name}", f"file://{parquet}", f"file:{parquet}/", str(file)):
        assert read(spark, text).count() == 6
    assert read(spark, "", path=parquet.name).count() == 6
    assert read(spark, "", path=str(parquet), format="parquet").count() == 6


def test_parquet_can_be_queried_in_place(spark, frame, tmp_path):
    frame.coalesce(1).write.parquet(str(tmp_path / "rows"))
    assert read(spark, f"parquet.`{tmp_path}/rows`").count() == 6


def test_a_picture_s_label_is_the_name_of_its_folder(spark, photos):
    found = {(row.path.rpartition("/")[2], row.label, bytes(row.image)) for row in read(spark, str(photos)).collect()}
    expected = {(f"p {i}.png", name, png(i)) for i, name in enumerate(CLASSES)}
    expected |= {("LOUD.JPG", "cat", png(99, kind="JPEG")), ("Mixed.Jpeg", "cat", png(98, kind="JPEG"))}
    assert found == expected | {("stray.gif", None, png(97, kind="GIF"))}


def test_a_relative_folder_of_pictures_is_read_from_where_python_is(spark, photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert read(spark, "./deeper/").count() == len(CLASSES) + 2
    assert read(spark, "../my photos [1]/deeper/cat").select("label").distinct().collect() == [Row(label=None)]
    assert read(spark, "./deeper/cat/LOUD.JPG").collect()[0].label == "cat"
    message = refusal(spark, "deeper")
    assert message.startswith("there is no table, view or DataFrame named 'deeper'.")
    assert message.endswith("To read the folder or file of that name, write ./deeper.")


def test_what_is_neither_parquet_nor_a_picture_is_refused_at_once(spark, tmp_path):
    (tmp_path / "rows.csv").write_text("a,b")
    (tmp_path / "empty").mkdir()
    expected = (
        "is neither Parquet nor pictures (jpg, jpeg, png, webp, bmp, gif).\nOther files: read them with spark.read"
    )
    assert expected in refusal(spark, str(tmp_path / "rows.csv"))
    assert f"'{tmp_path}/empty' holds neither" in refusal(spark, f"{tmp_path}/empty")


def test_a_delta_table_is_not_read_as_parquet(spark, parquet, tmp_path):
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    (tmp_path / "t" / "a.parquet").write_bytes(next(parquet.glob("*.parquet")).read_bytes())
    assert "is a Delta table, not plain Parquet.\nWrite delta.`" in refusal(spark, str(tmp_path / "t"))


def test_a_missing_path_names_the_nearest(spark, parquet, photos):
    assert refusal(spark, f"{photos.parent}/my photo") == (
        f"there is no file or folder '{photos.parent}/my photo'. Did you mean 'my photos [1]'?"
    )
    assert refusal(spark, "", path="nowhere.parquet").startswith("there is no file or folder 'nowhere.parquet'.")
    assert refusal(spark, "file:///no/such/place") == "there is no file or folder 'file:///no/such/place'."


def test_a_damaged_parquet_file_is_named_in_one_line(spark, tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no parquet PAR1")
    message = refusal(spark, str(tmp_path / "bad.parquet"))
    assert "bad.parquet" in message
    assert "org.apache" not in message


def test_an_unknown_table_names_the_nearest_table_or_dataframe(spark, frame):
    assert refusal(spark, "source_row") == (
        "there is no table, view or DataFrame named 'source_row'. Did you mean 'source_rows'?\n"
        "A source is SQL, a table, a view, a DataFrame of the notebook, or a path (with a / in it)."
    )
    assert "Did you mean 'sneakers'?" in refusal(spark, "snaekers", ["sneakers"])
    query = refusal(spark, "SELECT image FROM source_row")
    assert query.startswith(
        "The table or view `source_row` cannot be found. Did you mean 'source_rows'? (line 1, position 19"
    )
    assert "Did you mean 'lower'?" in refusal(spark, "SELECT lowre(label) FROM source_rows")
    assert "sneakers.createOrReplaceTempView('sneakers')" in refusal(spark, "SELECT * FROM sneakers", ["sneakers"])
    assert "named 'nodb.t'" in refusal(spark, "nodb.t")
    assert "single-part namespace" in refusal(spark, "a.b.c.d")


def test_broken_sql_is_one_line_with_its_place(spark, frame):
    message = refusal(spark, "SELECT id FORM source_rows")
    assert message.startswith("Syntax error at or near 'source_rows'")
    assert "position 16 of the query" in message
    assert refusal(spark, "SELEC id FROM source_rows").startswith("Syntax error at or near 'SELEC'")
    message = refusal(spark, "SELECT lable FROM source_rows")
    assert "`lable` cannot be resolved" in message
    assert "label" in message


def test_a_command_is_not_a_source(spark, frame):
    frame.createOrReplaceTempView("keep_me")
    message = refusal(spark, "", sql="DROP VIEW keep_me")
    assert message == "'DROP' does not begin a query; SELECT, WITH, FROM, TABLE and VALUES do."
    assert spark.table("keep_me").count() == 6


def test_a_dataframe_of_the_notebook_wins_over_a_table_of_its_name(spark, frame):
    other = frame.withColumnRenamed("id", "number")
    assert lay_out(spark, "train: source_rows", {"source_rows": other}).train.columns == ["number", "image", "label"]
    assert lay_out(spark, "train: {table: source_rows}", {"source_rows": other}).train.columns[0] == "id"


def test_a_pandas_dataframe_is_told_the_next_step(spark):
    with pytest.raises(SpecError) as error:
        lay_out(spark, "train: products", {"products": pd.DataFrame({"image": [b""], "label": ["a"]})})
    assert str(error.value) == (
        "line 3, column 10: products is a pandas DataFrame, not a Spark DataFrame.\n"
        "spark.createDataFrame(products) makes one."
    )


def test_an_error_has_the_place_of_its_own_source(spark, frame):
    with pytest.raises(SpecError, match=r"^line 5, column 9: there is no table, view or DataFrame named 'tset_rows'"):
        lay_out(spark, "train: source_rows\nvalidation: null\ntest: tset_rows")
    with pytest.raises(SpecError, match=r"^line 4, column 12: "):
        lay_out(spark, "train:\n  table: nowhere")


def test_a_stream_is_refused_for_training(spark):
    stream = spark.readStream.format("rate").load().selectExpr("BINARY('a') AS image", "'b' AS label")
    with pytest.raises(
        DataError, match=r"^line 3, column 10: stream is a stream, and training needs rows that come to an"
    ):
        lay_out(spark, "train: stream", {"stream": stream})


# Columns


def columns_of(spark, select: str, data: str = ""):
    return lay_out(spark, f"train: SELECT {select}\n{data}")


def complaint(spark, select: str, data: str = "") -> str:
    with pytest.raises(SparkNNError) as error:
        columns_of(spark, select, data)
    return str(error.value)


def test_columns_may_have_dots_spaces_and_backticks_in_their_names(spark):
    plan = columns_of(
        spark,
        "BINARY('x') AS `my.image`, 'a' AS `the label`, 1 AS `k``ey`, 'v' AS `s.p l`",
        "image: my.image\nlabel: the label\nkey: k`ey\nvalidation: {column: s.p l, is: v}",
    )
    assert plan.validation.count() == 1
    assert plan.rows.columns == ["split", "row", "label", "image", "extra"]
    assert len(plan.fingerprint()) == 64


def test_columns_are_found_whatever_their_case_as_in_spark(spark):
    assert columns_of(spark, "BINARY('x') AS IMAGE, 'a' AS Label").rows.count() == 1
    message = complaint(spark, "BINARY('x') AS image, BINARY('y') AS Image, 'a' AS label")
    assert message == (
        "line 3, column 10: data.train has more than one column 'image': 'image' and 'Image'.\n"
        "Rename one of them in the query: SELECT ... AS ..."
    )
    other = "BINARY('x') AS image, 'a' AS label, 1 AS id, 2 AS id"
    assert columns_of(spark, other).rows.count() == 1  # which nobody asks for
    assert "more than one column 'id'" in complaint(spark, other, "key: id")


def test_a_missing_column_names_the_nearest_and_all_others(spark):
    assert complaint(spark, "BINARY('x') AS imgae, 'a' AS label") == (
        "line 3, column 10: data.train has no column 'image' for the image. Did you mean 'imgae'?\n"
        "Its columns are imgae, label. `image: NAME` under data chooses one."
    )
    assert complaint(spark, "BINARY('x') AS image, 'a' AS label", "label: clas").startswith(
        "line 4, column 10: data.train has no column 'clas' for the label."
    )


@pytest.mark.parametrize("label", ["'a'", "1Y", "1S", "1", "1L", "true"])
def test_labels_are_text_whole_numbers_or_booleans(spark, label):
    assert (
        columns_of(spark, f"BINARY('x') AS image, {label} AS label").rows.schema["label"].dataType.typeName()
        == "string"
    )


@pytest.mark.parametrize(
    ("label", "kind", "cast"),
    [("1.5D", "double", "INT"), ("1.5", "decimal(2,1)", "INT"), ("now()", "timestamp", "STRING")],
)
def test_other_labels_are_refused_with_the_cast_that_helps(spark, label, kind, cast):
    assert complaint(spark, f"BINARY('x') AS image, {label} AS `my label`", "label: my label") == (
        f"line 3, column 10: the label column 'my label' is {kind}; classes are strings, whole numbers or booleans.\n"
        f"In SQL: CAST(`my label` AS {cast}) AS `my label`."
    )


def test_a_column_without_pictures_is_refused(spark):
    message = complaint(spark, "'x.png' AS image, 'a' AS label")
    assert message.startswith(
        "line 3, column 10: column 'image' is string, which holds no pictures.\nText is no picture."
    )


def test_two_sources_must_hold_pictures_in_the_same_way(spark):
    data = "validation: SELECT array(array(1, 2)) AS image, 'a' AS label"
    assert complaint(spark, "BINARY('x') AS image, 'a' AS label", data) == (
        "line 4, column 15: column 'image' of data.validation is array<array<int>>, and binary in data.train.\n"
        "Both sources must hold their pictures in the same way."
    )
    assert "in the same way" in complaint(spark, "array(array(1D, 2D)) AS image, 'a' AS label", data)
    assert columns_of(spark, "array(array(1L, 2L)) AS image, 'a' AS label", data).rows.count() == 2
