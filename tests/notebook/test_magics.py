"""The cells of a notebook, run by IPython in this process on a real Spark session."""

import contextlib
import json
import re
import time
from pathlib import Path

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from sparknn_magic.errors import BundleError, DataError, InferenceError, SpecError, UnknownName
from sparknn_magic.model import Model
from tests.flow.small import views

BODY = """\
task: image-classification
data:
  train: SELECT image, label FROM products
  validation: 20%
  test: products_test
model: mlp
train:
  epochs: 1
  batch_size: 32
  workers: 2
"""


class Notebook:
    """One shell; `run` gives what the cell displayed, or raises what it failed with."""

    def __init__(self):
        self.shell = InteractiveShell.instance(display_pub_class=CapturingDisplayPublisher)
        self.names = self.shell.user_ns
        self.shell.run_line_magic("load_ext", "sparknn_magic")

    def run(self, cell: str) -> list[dict[str, str]]:
        self.shell.display_pub.outputs.clear()
        done = self.shell.run_cell(cell, store_history=True)
        if done.error_before_exec or done.error_in_exec:
            raise done.error_before_exec or done.error_in_exec
        return [output["data"] for output in self.shell.display_pub.outputs]

    def fails(self, cell: str, kind: type[Exception] = SpecError) -> str:
        with pytest.raises(kind) as caught:
            self.run(cell)
        assert type(caught.value) is kind
        return str(caught.value)


@pytest.fixture(scope="module")
def notebook(spark, tmp_path_factory):
    """A notebook in an empty folder; two views, a DataFrame and some variables."""
    views(spark)
    with contextlib.chdir(tmp_path_factory.mktemp("notebook")):
        notebook = Notebook()
        notebook.names.update(spark=spark, frame=spark.table("products"), rate=0.01, nothing={"a": object()})
        yield notebook
        InteractiveShell.clear_instance()


@pytest.fixture(scope="module")
def trained(notebook):
    """The notebook after its training cell, and what that cell printed."""
    assert notebook.run(f"%%sparknn train fashion\n{BODY}") == []  # in a terminal the result is printed
    return notebook


def test_a_training_cell_binds_the_model_and_writes_its_folder(trained):
    model = trained.names["fashion"]
    assert isinstance(model, Model)
    assert model.folder == Path.cwd() / "models" / "fashion"
    assert (model.folder / "model.onnx").is_file()
    assert model.report.is_file()
    assert model.meta["rows"]["train"] + model.meta["rows"]["validation"] == 400


def test_the_model_is_a_function_of_sql(trained):
    query = "SELECT fashion(image).label AS label, count(*) AS n FROM products_test GROUP BY 1"
    trained.run(f"counted = spark.sql({query!r}).collect()")
    counted = trained.names["counted"]
    assert sum(row.n for row in counted) == 100
    assert {row.label for row in counted} <= set(trained.names["fashion"].classes)


def test_the_text_of_a_model_names_paths_as_seen_from_here(trained):
    text = repr(trained.names["fashion"])
    assert "\nmodel folder  models/fashion\n" in text
    assert "\nreport        sparknn_runs/fashion/" in text
    html = trained.names["fashion"]._repr_html_()
    assert "<code>models/fashion</code>" in html
    assert 'href="sparknn_runs/fashion/' in html
    assert str(Path.cwd()) not in text + html


@pytest.mark.parametrize("body", ["SELECT id, image FROM products_test", "products_test", "  \n frame_of_test \n"])
def test_predict_takes_sql_a_view_or_the_name_of_a_dataframe(trained, body):
    trained.run("frame_of_test = spark.table('products_test')")
    (shown,) = trained.run(f"%%sparknn predict fashion --into scored\n{body}")
    scored, spark = trained.names["scored"], trained.names["spark"]
    assert scored.columns[-1] == "prediction"
    assert scored.count() == 100
    assert spark.table("scored").where("prediction.score BETWEEN 0.1 AND 1").count() == 100
    assert "scored: a DataFrame and a view of" in shown["text/plain"]
    assert "<table>" in shown["text/html"]
    assert len(shown["text/plain"].splitlines()) == 2 + 5


def test_predict_shows_ids_and_predictions_but_no_pictures(trained):
    (shown,) = trained.run("%%sparknn predict fashion --into scored\nSELECT id, image FROM products_test")
    assert shown["text/plain"].splitlines()[1].split() == ["id", "prediction", "score", "error"]


def test_predict_shows_so_many_pictures_as_it_is_asked_for_and_reasons_in_place(trained):
    (shown,) = trained.run(f"%%sparknn predict fashion --into scored --show 6\n{BROKEN} ORDER BY id")
    title, head, *lines = shown["text/plain"].splitlines()
    assert title == "scored: a DataFrame and a view of 3 columns; its first rows"
    assert head.split() == ["id", "prediction", "score"]
    assert [line.split()[:2][-1] == "✗" for line in lines] == [True, False] * 3
    assert shown["text/html"].count("data:image/png;") == 3
    assert trained.run("%%sparknn predict fashion --into scored --show 0\nproducts_test") == []
    said = trained.fails("%%sparknn predict fashion --into scored --show many\nproducts_test")
    assert said.startswith("show: 'many' is no number of rows.")
    assert "--show is for rows that are all there" in trained.fails(
        "%%sparknn predict fashion --stream --into a --show 3\nx"
    )


def test_predict_scores_another_column_when_it_is_told_to(trained):
    asked = "SELECT id, image AS photo FROM products_test"
    said = trained.fails(f"%%sparknn predict fashion --into scored\n{asked}", kind=DataError)
    assert said.startswith("the rows have no column 'image'.")
    trained.run(f"%%sparknn predict fashion --into scored --column photo\n{asked}")
    assert trained.names["scored"].columns == ["id", "photo", "prediction"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # py4j's sockets
def test_a_stream_goes_into_a_table_and_stays_under_a_name(trained, tmp_path, capsys):
    spark, folder = trained.names["spark"], str(tmp_path / "in")
    spark.table("products_test").limit(6).select("id", "image").coalesce(1).write.parquet(folder)
    assert trained.run(f"%%sparknn predict fashion --stream --into arrived\n{folder}") == []
    said = capsys.readouterr().out
    stream = trained.names["arrived_stream"]
    try:
        assert re.search(r"state +running: 1 batch done, with 6 rows", said)
        assert re.search(r"rows +the table arrived, Parquet in sparknn_runs/streams/arrived/rows", said)
        assert re.search(r"checkpoint +sparknn_runs/streams/arrived/checkpoint", said)
        assert re.search(r"stop it +arrived_stream.stop\(\); started again, it goes on where it was", said)
        assert spark.table("arrived").where("prediction.score BETWEEN 0.1 AND 1").count() == 6
        again = trained.fails(f"%%sparknn predict fashion --stream --into arrived\n{folder}")
        assert again.startswith("the stream fashion_into_arrived is running already.")
    finally:
        stream.stop()
    assert "stopped: 1 batch done" in repr(stream)
    trained.names["arrived_stream"] = "mine"
    try:
        trained.run(f"%%sparknn predict fashion --stream --once --into arrived\n{folder}")
        capsys.readouterr()
        assert trained.names["arrived_stream"] == "mine"
        assert "ended" in repr(trained.names["arrived_stream_2"]) or "stopped" in repr(
            trained.names["arrived_stream_2"]
        )
    finally:
        del trained.names["arrived_stream"]
    spark.sql("DROP TABLE arrived")
    usage = "Usage: %%sparknn predict NAME --into VAR"
    assert trained.fails("%%sparknn predict fashion --into x --once\nproducts").startswith(
        f"predict: --once is for a stream.\n{usage}"
    )
    assert trained.fails("%%sparknn predict fashion --stream\nproducts").startswith(
        f"predict: say into which table the rows go.\n{usage}"
    )


BROKEN = "SELECT id, IF(id % 2 = 0, substring(image, 1, 30), image) AS image FROM products_test"


def test_a_row_that_cannot_be_scored_has_its_reason(trained):
    trained.run(f"%%sparknn predict fashion --into scored\n{BROKEN}")
    bad = trained.names["scored"].where("id % 2 = 0").select("prediction.*").first()
    assert (bad.label, bad.score) == (None, None)
    assert bad.error


def test_dropmalformed_leaves_such_rows_out(trained):
    trained.run(f"%%sparknn predict fashion --into scored --mode dropmalformed\n{BROKEN}")
    assert trained.names["scored"].where("id % 2 = 0").count() == 0
    assert trained.names["scored"].count() > 0


def test_failfast_fails_the_cell_and_says_what_would_not(trained):
    said = trained.fails(f"%%sparknn predict fashion --into scored --mode failfast\n{BROKEN}", kind=InferenceError)
    message, hint = said.split("\n")
    assert message.startswith("a row cannot be scored: ")
    assert hint == "Mode 'permissive' gives such a row a null prediction and the reason in `error`."


def test_evaluate_takes_the_models_own_test_rows_or_the_ones_it_is_given(trained):
    (own,) = trained.run("%sparknn evaluate fashion")
    (same,) = trained.run("%%sparknn evaluate fashion\nproducts_test")
    (ten,) = trained.run("%%sparknn evaluate fashion\nSELECT image, label FROM products_test LIMIT 10")
    assert own == same
    accuracy = f"{trained.names['fashion'].metrics['accuracy']:.4f}"
    assert own["text/plain"].split()[:4] == ["rows", "100", "accuracy", accuracy]
    assert ten["text/plain"].split()[:2] == ["rows", "10"]
    assert "<table>" in own["text/html"]


def test_show_gives_the_model_as_html_and_text(trained):
    (shown,) = trained.run("%sparknn show fashion")
    assert shown["text/plain"].startswith("fashion: image-classification\n=====")
    assert "About the model" in shown["text/html"]


def test_show_gives_test_rows_with_what_the_model_says_of_them(trained, capsys, tmp_path):
    from sparknn_magic.cli import main

    (shown,) = trained.run("%sparknn show fashion --examples 4")
    lines = shown["text/plain"].splitlines()
    assert re.fullmatch(r"4 labelled rows, [0-4] of them right", lines[0])
    assert len(lines) == 2 + 4
    assert shown["text/html"].count("<figure") == 4
    assert repr(trained.names["fashion"].examples(4)).splitlines() == lines  # the same rows each time
    capsys.readouterr()
    page = tmp_path / "page.html"
    assert main(["show", "models/fashion", "--examples", "4", "--page", str(page)]) == 0
    assert capsys.readouterr().out.splitlines() == [*lines, f"page: {page}"]
    assert page.read_text("utf-8").count("<figure") == 4


@pytest.mark.parametrize("count", ["none", "0", "-3", "2.5"])
def test_examples_are_as_many_as_a_whole_number_says(trained, count):
    message = trained.fails(f"%sparknn show fashion --examples={count}")
    assert message == f"examples: '{count}' is no number of rows.\nWrite a whole number from 1 to 9999."


def test_load_binds_a_folders_model_under_another_name_in_python_and_sql(trained):
    (shown,) = trained.run("%sparknn load models/fashion shoes")
    assert shown["text/plain"].startswith("fashion: image-classification")
    assert isinstance(trained.names["shoes"], Model)
    one = trained.names["spark"].sql("SELECT shoes(image).label AS label FROM products_test LIMIT 1").first()
    assert one.label in trained.names["shoes"].classes


def test_a_model_in_the_models_folder_needs_no_loading(trained):
    model = trained.names.pop("fashion")
    try:
        assert trained.run("%sparknn show fashion")[0]["text/plain"].startswith("fashion: image-classification")
        assert trained.run("%sparknn evaluate fashion")[0]["text/plain"].split()[:2] == ["rows", "100"]
    finally:
        trained.names["fashion"] = model


def test_an_unknown_model_is_answered_with_the_nearest_one(trained):
    said = trained.fails("%sparknn show fashoin", kind=UnknownName)
    assert said == (
        "there is no trained model named 'fashoin'. Did you mean 'fashion'?\n"
        "`%%sparknn train fashoin` makes one, `%sparknn load FOLDER` reads one."
    )
    assert trained.fails("%sparknn show frame", kind=UnknownName) == "'frame' is a DataFrame, not a trained model."


def test_the_same_cell_again_gives_the_model_that_is_there_and_says_so(trained, capsys):
    made = trained.names["fashion"].meta["created"]
    started = time.monotonic()
    trained.run(f"%%sparknn train fashion\n{BODY}")
    assert time.monotonic() - started < 20  # a training takes longer; the bound is no benchmark
    printed = capsys.readouterr()
    assert f"nothing has changed since {made.replace('T', ' ')}: this is the model of then" in printed.err
    assert "epoch" not in printed.err
    assert trained.names["fashion"].meta["created"] == made
    assert trained.names["fashion"].evaluate()["rows"] == 100


def test_a_changed_training_reads_the_prepared_rows_again(trained, capsys):
    trained.run(f"%%sparknn train fashion train.seed=5\n{BODY}")
    printed = capsys.readouterr()
    assert "classes, read again from the last run" in printed.err
    assert "epoch   1 of 1: loss" in printed.err
    assert printed.out.startswith("fashion: image-classification\n=====")


# Without training


def test_a_dry_run_prints_the_plan_and_does_nothing(notebook):
    before = sorted(str(path) for path in Path.cwd().rglob("*"))
    (plan,) = notebook.run(f"%%sparknn train planned --dry-run\n{BODY}")
    assert "dry run of planned: image-classification" in plan["text/plain"]
    assert "columns     image binary, label string" in plan["text/plain"]
    assert "parameters  269,322" in plan["text/plain"]  # 784 * 256 + 256, 256 * 256 + 256 and 256 * 10 + 10
    assert "workers     2 of 2 slots" in plan["text/plain"]
    assert "export      models/planned" in plan["text/plain"]
    assert "Nothing was trained and nothing was written." in plan["text/html"]
    assert sorted(str(path) for path in Path.cwd().rglob("*")) == before
    assert "planned" not in notebook.names


def test_words_on_the_line_override_the_body(notebook):
    (plan,) = notebook.run(f"%%sparknn train planned --dry-run train.epochs=7 model.mlp.width=8 export=there\n{BODY}")
    assert "epochs: 7" in plan["text/plain"]
    assert "width: 8" in plan["text/plain"]
    assert "export      there" in plan["text/plain"]


def test_a_wrong_override_is_quoted(notebook):
    said = notebook.fails(f"%%sparknn train planned train.epoch=7\n{BODY}")
    assert said.startswith("in `train.epoch=7`:")
    assert "Did you mean 'epochs'?" in said


def test_variables_of_the_notebook_stand_for_whole_values(notebook):
    cell = BODY.replace("SELECT image, label FROM products", "${frame}").replace(
        "workers: 2", "optimizer: {adamw: {lr: '${rate}'}}"
    )
    (plan,) = notebook.run(f"%%sparknn train planned --dry-run\n{cell}")
    assert "lr: 0.01" in plan["text/plain"]
    assert "source      frame" in plan["text/plain"]
    said = notebook.fails(f"%%sparknn train planned\n{cell.replace('rate', 'raet')}")
    assert said == "line 11, column 27: there is no variable named 'raet'. Did you mean 'rate'?"


def test_the_name_of_a_dataframe_is_a_source(notebook):
    (plan,) = notebook.run(
        "%%sparknn train planned --dry-run\n" + BODY.replace("SELECT image, label FROM products", "frame")
    )
    assert "source      frame" in plan["text/plain"]


def test_ipython_expands_nothing_in_line_or_body(notebook):
    notebook.names["name"] = "changed"
    (plan,) = notebook.run("%%sparknn train planned --dry-run export='to/$name{name}'\n" + BODY)
    assert "export      to/$name{name}" in plan["text/plain"]


def test_lines_are_counted_as_the_notebook_shows_them(notebook):
    wrong = BODY.replace("model: mlp", "model: mpl")
    said = "there is no architecture named 'mpl'. Did you mean 'mlp'?"
    assert notebook.fails(f"%%sparknn train planned\n{wrong}", kind=UnknownName).startswith(f"line 7, column 8: {said}")
    assert notebook.fails(f"\n\n%%sparknn train planned\n\n{wrong}", kind=UnknownName).startswith(
        f"line 10, column 8: {said}"
    )


def test_a_name_that_spark_has_itself_is_refused(notebook):
    said = notebook.fails(f"%%sparknn train count\n{BODY}")
    assert "'count' is a function of Spark's own" in said


def test_a_wrong_query_gives_the_cells_line_and_sparks_words(notebook):
    said = notebook.fails("%%sparknn train planned\n" + BODY.replace("FROM products", "FROM prodcts"))
    assert said.startswith("line 4, column 10: ")
    assert "`prodcts`" in said
    assert "org.apache" not in said


def test_predict_says_where_the_rows_must_go(notebook):
    usage = "Usage: %%sparknn predict NAME --into VAR"
    assert notebook.fails("%%sparknn predict fashion\nproducts").startswith(f"predict: say where the rows go.\n{usage}")
    for wrong in ("1st", "my-rows", "class"):
        said = notebook.fails(f"%%sparknn predict fashion --into {wrong}\nproducts")
        assert said.startswith(f"predict: '{wrong}' is no variable's name.\n{usage}")


def test_zoo_lists_all_or_a_task_or_a_kind(notebook):
    (everything,) = notebook.run("%sparknn zoo")
    (task,) = notebook.run("%sparknn zoo image-classification")
    (losses,) = notebook.run("%sparknn zoo losses")
    assert "resnet18" in task["text/plain"]
    assert "resnet18" in task["text/html"]
    assert "fashion-mnist" in everything["text/plain"]
    assert "cross_entropy" in losses["text/plain"]
    assert "resnet18" not in losses["text/plain"]
    said = notebook.fails("%sparknn zoo image-clasification", kind=UnknownName)
    assert said.startswith("there is no task or kind 'image-clasification'. Did you mean 'image-classification'?")


def test_help_explains_a_plugin_a_command_and_itself(notebook, capsys):
    notebook.run("%sparknn help resnet18")
    assert "channels of the first stage" in capsys.readouterr().out
    notebook.run("%sparknn help predict")
    assert capsys.readouterr().out.startswith("%%sparknn predict NAME --into VAR")
    notebook.run("%sparknn")
    assert "%sparknn zoo [TASK or KIND] [--size small|medium|large] [--source NAME]" in capsys.readouterr().out
    said = notebook.fails("%sparknn help resnet81", kind=UnknownName)
    assert said.startswith("there is no plugin named 'resnet81'. Did you mean 'resnet18'?")


def test_an_error_shows_its_lines_and_no_traceback(notebook, capsys):
    notebook.fails("%sparknn zoo image-clasification", kind=UnknownName)
    shown = capsys.readouterr().out
    assert shown.startswith("UnknownName: there is no task or kind")
    assert "Traceback" not in shown
    assert len(shown.strip().splitlines()) == 2


def test_a_damaged_model_folder_is_one_line(trained):
    folder = Path("damaged")
    trained.names["fashion"].save(folder)
    meta = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(meta | {"format": 99}))
    said = trained.fails("%sparknn load damaged", kind=BundleError)
    assert said.startswith("'damaged' is a model of format 99")
