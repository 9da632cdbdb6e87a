"""SQL steps: what a prediction keeps of them, columns that are given again, and errors with their place in the cell."""

import pytest

from sparknn_magic.data.plan import plan
from sparknn_magic.data.query_plan import without_choice
from sparknn_magic.data.sql_steps import predict_frame
from sparknn_magic.errors import DataError, SparkNNError, SpecError
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve

CELL = """\
task: image-classification
data: {{train: step_rows, validation: null}}
preprocess:
{steps}
model: mlp
"""


@pytest.fixture(scope="module")
def rows(spark):
    frame = spark.createDataFrame(
        [(1, "A", 2.0, b"x", ["a", "b"], "cat"), (2, "B", 5.0, b"y", [], "dog"), (3, "C", 9.0, b"z", ["c"], "cat")],
        "id long, name string, price double, image binary, tags array<string>, label string",
    )
    frame.createOrReplaceTempView("step_rows")
    spark.sql("SELECT 1L AS id, 7 AS weight UNION ALL SELECT 9L, 8").createOrReplaceTempView("step_weights")
    return frame


def planned(spark, steps):
    experiment = Experiment.parse(CELL.format(steps=steps))
    return plan(spark, experiment, resolve(experiment))


def stored(spark, sql, params=""):
    (step,) = planned(spark, f"- sql: >-\n    {sql}\n{params}").queries
    return step


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT *, lower(name) AS small FROM {data}",
        "SELECT *, (SELECT max(weight) FROM step_weights) AS most FROM {data}",
        "SELECT d.*, weight FROM {data} AS d LEFT JOIN step_weights USING (id)",
        "WITH named AS (SELECT *, 1 AS one FROM {data}) SELECT * FROM named",
        "FROM {data} |> EXTEND price * 2 AS twice",
        "SELECT /*+ REPARTITION(2) */ * FROM {data}",
    ],
)
def test_what_computes_columns_row_by_row_is_run_on_new_rows_too(spark, rows, sql):
    step = stored(spark, sql)
    assert (step.predict, step.skipped, step.changes) == (sql, "", [])


@pytest.mark.parametrize(
    ("sql", "kept", "cut"),
    [
        (
            "SELECT *, lower(name) AS small FROM {data} WHERE price > 3",
            "SELECT *, lower(name) AS small FROM {data}",
            "WHERE price > 3",
        ),
        (
            "SELECT *, 'where' AS w FROM {data} WHERE name = 'limit' ORDER BY id LIMIT 4",
            "SELECT *, 'where' AS w FROM {data}",
            "WHERE name = 'limit' ORDER BY id LIMIT 4",
        ),
        ("SELECT DISTINCT id, image, label FROM {data}", "SELECT  id, image, label FROM {data}", "DISTINCT"),
        (
            "SELECT d.*, weight FROM {data} d LEFT JOIN (SELECT * FROM step_weights WHERE id>0) USING (id) WHERE id<9",
            "SELECT d.*, weight FROM {data} d LEFT JOIN (SELECT * FROM step_weights WHERE id>0) USING (id)",
            "WHERE id<9",
        ),
    ],
)
def test_what_chooses_rows_is_cut_out_for_new_rows(spark, rows, sql, kept, cut):
    step = stored(spark, sql)
    assert (step.predict, step.skipped) == (kept, cut)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT d.* FROM {data} d JOIN step_weights USING (id)", "a join that can drop rows"),
        ("SELECT *, explode(tags) AS tag FROM {data}", "explode"),
        ("SELECT first(image) AS image, label FROM {data} GROUP BY label", "GROUP BY"),
        ("SELECT *, price / (SELECT max(price) FROM {data}) AS share FROM {data}", "a subquery over all rows"),
        ("SELECT *, row_number() OVER (ORDER BY price) AS place FROM {data}", "a window"),
        ("SELECT * FROM {data} UNION ALL SELECT * FROM {data}", "UNION"),
        ("WITH dear AS (SELECT * FROM {data} WHERE price > 3) SELECT * FROM dear", "WHERE"),
        ("FROM {data} |> WHERE price > 3 |> EXTEND price * 2 AS twice", "WHERE"),
        ("SELECT * FROM {data} TABLESAMPLE (50 PERCENT)", "TABLESAMPLE"),
    ],
)
def test_a_step_of_which_nothing_row_by_row_remains_is_left_out_whole(spark, rows, sql, why):
    step = stored(spark, sql)
    assert (step.predict, step.skipped) == (None, f"the whole step, for its {why}")


def test_a_line_break_in_a_text_is_no_operator(spark, rows):
    step = stored(spark, r"SELECT *, 'one\n+- two' AS lines, '{\"a\": 1}' AS json FROM {data} WHERE id > 0")
    assert step.predict == r"SELECT *, 'one\n+- two' AS lines, '{\"a\": 1}' AS json FROM {data}"


def test_columns_of_the_model_that_a_step_changes_are_known(spark, rows):
    assert stored(spark, "SELECT * EXCEPT (image), nn_decode(image) AS image FROM {data}").changes == ["image"]
    assert stored(spark, "SELECT *, unhex(hex(image)) AS Image FROM {data}").changes == ["image"]


def test_a_step_that_reads_a_missing_column_is_refused_with_and_without_labels(spark, rows):
    step = stored(spark, "SELECT *, price * 2 AS twice, upper(label) AS loud FROM {data}")
    for few in (rows.select("id", "image", "label"), rows.select("id", "image")):
        with pytest.raises(DataError, match=r"SQL step 1 of the model's preprocessing: .*`price`"):
            predict_frame(few, [step], label="label", pictures=None)
    found, _, left = predict_frame(rows.select("id", "image", "price"), [step], label="label", pictures=None)
    assert (found.columns, left) == (["id", "image", "price", "twice", "loud"], None)


def test_a_column_that_is_given_again_replaces_the_first(spark, rows):
    found = planned(spark, "- sql: SELECT *, lower(name) AS name, price * 2 AS PRICE FROM {data} WHERE id = 2")
    assert found.train.columns == ["id", "name", "PRICE", "image", "tags", "label"]
    assert [(r.name, r.PRICE) for r in found.train.collect()] == [("b", 10.0)]


def test_parameters_are_sparks_own_and_never_text_of_the_query(spark, rows):
    found = planned(spark, "- sql: SELECT * FROM {data} WHERE name = :who\n  params: {who: \"A' OR 'x' = 'x\"}")
    assert found.train.count() == 0


def test_steps_and_a_changed_row_give_another_fingerprint(spark, rows):
    one, other, same = (
        planned(
            spark, f"- sql: SELECT * FROM {{data}} WHERE price > :floor\n  params: {{floor: {floor}}}"
        ).fingerprint()
        for floor in (3, 6, 3)
    )
    assert one == same
    assert one != other


def test_a_cached_frame_stays_cached(spark, rows):
    cached = rows.where("id > 0").cache()
    cached.count()
    cached.createOrReplaceTempView("step_rows")
    try:
        planned(spark, "- sql: SELECT * FROM {data} WHERE price > 3").train.count()
        assert cached.storageLevel.useMemory
    finally:
        cached.unpersist()
        rows.createOrReplaceTempView("step_rows")


@pytest.mark.parametrize(
    ("steps", "kind", "words"),
    [
        (
            "- sql: SELECT nope FROM {data}",
            SpecError,
            "line 4, column 8: Spark refuses this step: A column, variable, or function parameter with name `nope`",
        ),
        ("- sql: SELECT a b c FROM {data}", SpecError, "line 4, column 8: Spark refuses this step: Syntax error at"),
        ("- sql: SELECT * FORM {data}", SpecError, "'{data}'"),
        ("- sql: DROP TABLE {data}", SpecError, "line 4, column 8: 'DROP' does not begin a query"),
        ("- sql: SELECT * FROM {data} WHERE price > :floor", SpecError, "floor"),
        ("- sql: SELECT id, label FROM {data}", DataError, "data.train has no column 'image'"),
        ("- sql: SELECT * FROM {data.schema}", SpecError, "does not say where the rows go: write {data} for them."),
        (
            "- resize: 8\n- sql: SELECT image.nope FROM {data}",
            SpecError,
            "line 5, column 8: Spark refuses this step: ",
        ),
    ],
)
def test_an_error_is_two_lines_with_the_place_in_the_cell(spark, rows, steps, kind, words):
    with pytest.raises(kind) as caught:
        planned(spark, steps)
    assert words in str(caught.value)
    assert str(caught.value).count("\n") <= 1


def test_a_step_on_columns_stands_behind_all_sql(spark):
    spark.sql("SELECT 1.0D AS a, 2.0D AS b, 'x' AS label").createOrReplaceTempView("step_numbers")
    cell = "task: vector-classification\ndata: {train: step_numbers}\npreprocess:\n- standardize\n"
    experiment = Experiment.parse(cell + "- sql: SELECT *, a * b AS c FROM {data}\nmodel: mlp\n")
    resolved = resolve(experiment)
    with pytest.raises(SparkNNError) as caught:
        resolved.task.build().plan(spark, experiment, resolved, ())
    assert str(caught.value) == (
        "line 5, column 8: an SQL step stands after 'standardize', which is applied when all SQL has been.\n"
        "Write the SQL steps before 'standardize'."
    )


def test_a_vector_task_learns_from_the_columns_that_sql_makes(spark):
    spark.sql("SELECT 1.0D AS a, 2.0D AS b, 'x' AS label").createOrReplaceTempView("step_numbers")
    cell = "task: vector-classification\ndata: {train: step_numbers}\npreprocess:\n"
    experiment = Experiment.parse(cell + "- sql: SELECT *, a * b AS c FROM {data}\n- standardize\nmodel: mlp\n")
    resolved = resolve(experiment)
    found = resolved.task.build().plan(spark, experiment, resolved, ())
    assert [feature.name for feature in found.features] == ["a", "b", "c"]
    assert found.queries[0].changes == ["c"]


@pytest.mark.parametrize(
    ("sql", "rest"),
    [
        ("SELECT a FROM t", None),
        ("SELECT a FROM t WHERE x IN (SELECT y FROM u WHERE z) GROUP BY a", "SELECT a FROM t GROUP BY a"),
        ("SELECT a FROM t -- where\nWHERE b", "SELECT a FROM t -- where"),
        ("SELECT `where` FROM t WHERE b;", "SELECT `where` FROM t ;"),
        ("SELECT 'unfinished FROM t", None),
    ],
)
def test_clauses_are_cut_by_their_place_in_the_text(sql, rest):
    found = without_choice(sql)
    assert (found and found.sql) == rest
