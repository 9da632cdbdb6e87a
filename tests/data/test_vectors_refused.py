"""Columns, labels and steps of a vector task that cannot be: refused before training, with their place."""

import pytest

from sparknn_magic.data.vectors.spark import inspect
from sparknn_magic.errors import SparkNNError
from tests.data.tables import frame, lay_out


@pytest.fixture(scope="module")
def wine(spark):
    found = frame(spark).persist()
    yield found
    found.unpersist()


def refusal(spark, table, data="", more="", kind="classification", label="grape", look=False) -> str:
    text = f"train: table\nlabel: {label}\n{data}"
    if look:
        plan = lay_out(spark, text, {"table": table}, more, kind)
        with pytest.raises(SparkNNError) as error:
            inspect(plan)
    else:
        with pytest.raises(SparkNNError) as error:
            lay_out(spark, text, {"table": table}, more, kind)
    assert len(str(error.value).splitlines()) <= 2
    return str(error.value)


def test_nulls_that_no_step_fills_name_the_column_and_the_step_to_add(spark, wine):
    said = refusal(spark, wine, "validation: null\nfeatures: [malic, alcohol]", look=True)
    assert said == (
        "line 3, column 10: 'alcohol' is null in 25 of 178 training rows, and no step fills it.\n"
        "Add `- fill_nulls: mean` under preprocess (or median, or a number), or `- fill_nulls: drop`."
    )
    more = "preprocess: [{fill_nulls: {value: 0, columns: [malic]}}]"
    assert refusal(spark, wine, "features: [malic, alcohol]", more, look=True).startswith(
        "line 7, column 13: 'alcohol' is"
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "features: [malic, alcohl]",
            r"line 5, column 13: data.train has no column 'alcohl' for the features. Did you mean 'alcohol'\?",
        ),
        (
            "features: [malic, grape]",
            "line 5, column 13: the label 'grape' is among the features: the network would read what",
        ),
        ("features: [malic, MALIC]", "line 5, column 13: data.features has the column 'malic' twice."),
        (
            "features: malic\ncategories: cellar",
            "line 6, column 15: data.categories has 'cellar', which is not among the features.",
        ),
        (
            "categories: alcohol",
            "line 5, column 15: column 'alcohol' is double; categories are strings, whole numbers or booleans.",
        ),
        (
            "image: malic",
            "line 5, column 3: data.image is for pictures; the columns of this task are listed under `features`.",
        ),
    ],
)
def test_columns_that_cannot_be_are_said_with_their_place(spark, wine, data, words):
    assert words.replace(r"\?", "?") in refusal(spark, wine, data)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("date", "In SQL: datediff(t, DATE'2000-01-01') AS t, month(t) AS month; or leave it out."),
        ("timestamp", "In SQL: unix_timestamp(t) AS t, hour(t) AS hour; or leave it out."),
        ("timestamp_ntz", "In SQL: unix_timestamp(CAST(t AS TIMESTAMP)) AS t, hour(t) AS hour; or leave it out."),
        ("binary", "Leave it out: `features: [...]` under data lists the columns to use, or SELECT * EXCEPT (t)."),
        (
            "array<string>",
            "Leave it out: `features: [...]` under data lists the columns to use, or SELECT * EXCEPT (t).",
        ),
    ],
)
def test_a_column_of_another_type_is_refused_with_a_way_in_sql(spark, kind, hint):
    table = spark.range(9).selectExpr("id", f"CAST(NULL AS {kind}) AS t", "id % 2 AS grape")
    assert refusal(spark, table).endswith(hint)
    assert f"column 't' is {kind}; features are numbers, booleans, strings, arrays of numbers" in refusal(spark, table)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (
            "[{standardize: {columns: [colour]}}]",
            "standardize: the column 'colour' is a category, and this step is for numeric ones.",
        ),
        ("[{one_hot: [malic]}]", "one_hot: the column 'malic' is a number, and this step is for categorical ones."),
        (
            "[{min_max: {columns: [malik]}}]",
            "min_max: 'malik' is not among the numeric features. Did you mean 'malic'?",
        ),
        (
            "[{clip_outliers: [0.9, 0.1]}]",
            "clip_outliers: quantiles is [0.9, 0.1]; it must be two shares, the smaller first",
        ),
        (
            "[{clip_outliers: {quantiles: [0, 1], deviations: 3}}]",
            "quantiles and deviations are two ways to say the same",
        ),
        ("[{fill_nulls: mode}]", "fill_nulls"),
        (
            "[{resize: 32}]",
            "the preprocessor 'resize' is for image-classification and object-detection, not for vector",
        ),
    ],
)
def test_steps_that_cannot_be_are_said_with_their_place(spark, wine, steps, words):
    said = refusal(spark, wine, more=f"preprocess: {steps}")
    assert words in said
    assert said.startswith("line 6, column ")


def test_labels_that_cannot_be_learnt_are_refused(spark, wine):
    said = refusal(spark, wine, label="alcohol")
    assert "the label column 'alcohol' is double; classes are strings, whole numbers or booleans." in said
    said = refusal(spark, wine, kind="regression")
    assert "the label column 'grape' is string; what is learnt here is a number." in said
    same = wine.selectExpr("malic", "1.5 AS y")
    said = refusal(spark, same, kind="regression", label="y", look=True)
    assert "every training row has the label 1.5; there is nothing to learn in 'y'." in said
    none = wine.selectExpr("malic", "CAST('NaN' AS DOUBLE) AS y")
    said = refusal(spark, none, kind="regression", label="y", look=True)
    assert "no training row has a number in the label column 'y'." in said


def test_a_column_without_any_value_is_to_be_left_out(spark):
    table = spark.range(20).selectExpr("id AS x", "CAST(NULL AS DOUBLE) AS nothing", "id % 2 AS grape")
    said = refusal(spark, table, more="preprocess: [{fill_nulls: mean}]", look=True)
    assert "no training row has a number in 'nothing': leave the column out." in said
    table = spark.range(20).selectExpr("id AS x", "CAST(NULL AS ARRAY<INT>) AS v", "id % 2 AS grape")
    assert "every training row's 'v' is null; leave it out." in refusal(spark, table, look=True)


def test_a_validation_source_of_another_kind_is_refused(spark, wine):
    other = wine.selectExpr("grape", "string(malic) AS malic")
    with pytest.raises(SparkNNError, match=r"column 'malic' of data.validation is string, and float in data.train"):
        lay_out(
            spark,
            "train: wine\nlabel: grape\nfeatures: malic\nvalidation: other",
            {"wine": wine, "other": other},
        )
