"""The form of `%sparknn new`: what it comes to, what it finds of the rows, and what it shows. No browser here."""

import sys
import threading

import ipywidgets
import pytest
from IPython.core.interactiveshell import InteractiveShell

from sparknn_magic import registry
from sparknn_magic.errors import DataError
from sparknn_magic.notebook.completion import complete
from sparknn_magic.notebook.completion_rows import NoCatalog, SparkCatalog
from sparknn_magic.notebook.form import IF_NONE, Form
from sparknn_magic.notebook.form_cell import Choices, body_of, cell_of, complaint, roles_of, starting_choices
from sparknn_magic.notebook.form_columns import Column, fitting, guess
from sparknn_magic.notebook.form_rows import columns_of, samples_html, sources
from sparknn_magic.notebook.form_script import writing
from sparknn_magic.show.starter import starter
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import DataSpec
from tests.notebook.kernels import until

TASKS = registry.names("task")
EVIL = "<img src=x onerror=alert(1)>"
TYPES = [
    ("picture", "binary"),
    ("nested", "array<array<tinyint>>"),
    ("flat", "array<float>"),
    ("words", "array<string>"),
    ("name", "string"),
    ("kind", "int"),
    ("price", "decimal(10,2)"),
    ("corners", "array<array<double>>"),
    ("rectangles", "array<struct<x:float,y:float,w:float,h:float>>"),
    ("spans", "array<struct<start:int,end:int,label:string>>"),
    ("day", "date"),
    ("vector", "vector"),
]


@pytest.fixture
def form():
    made = []

    def make(task="image-classification", names=None, **options):
        options = {"catalog": NoCatalog(), "session": lambda: None, **options}
        made.append(Form(task, names or {}, **options))
        return made[-1]

    InteractiveShell.instance()
    yield make
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("task", TASKS)
def test_the_form_of_a_task_starts_from_the_cell_that_init_writes(task):
    choices = starting_choices(task)
    assert complaint(choices) is None
    ours, theirs = (Experiment.parse(text).to_dict() for text in (body_of(choices), starter(task)))
    assert [ours["data"][key] for key in ("train", "validation")] == ["my_table", theirs["data"]["validation"]]
    assert {**ours, "data": {}} == {**theirs, "data": {}}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_tells_which_keys_of_the_cell_name_its_columns(task):
    roles = roles_of(task)
    assert roles
    assert set(roles) <= set(DataSpec.model_fields)
    # In the words that columns are found by.
    columns = [Column(*each) for each in TYPES]
    assert all(0 < len(fitting(holds, columns)) < len(columns) for holds in roles.values())


def test_what_is_chosen_stands_in_the_cell():
    choices = Choices(
        "vector-regression",
        name="prices",
        source="SELECT * FROM houses",
        columns={"label": "price", "features": ("area", "city")},
        validation="",
        test="houses_test",
        model="resnet_mlp",
        knobs={"epochs": "3", "batch_size": "auto", "lr": "3e-3", "workers": "2"},
    )
    assert complaint(choices) is None
    cell = cell_of(choices)
    assert cell.startswith("%%sparknn train prices\ntask: vector-regression\n")
    found = Experiment.parse(cell.partition("\n")[2])
    assert found.data.train.auto == "SELECT * FROM houses"
    assert found.data.validation is None
    assert found.data.test.auto == "houses_test"
    assert (found.data.label, found.data.features) == ("price", ("area", "city"))
    assert found.model.to_plain() == "resnet_mlp"
    assert (found.train.epochs, found.train.batch_size, found.train.workers) == (3, "auto", 2)
    assert found.train.optimizer.options["lr"] == 0.003


def test_an_empty_knob_is_the_default_of_the_task_or_the_optimizer():
    plain = Choices("image-classification", validation="10%")
    found = Experiment.parse(body_of(plain)).to_dict()["train"]
    assert found["epochs"] == 10
    assert "lr" not in found["optimizer"]["adamw"]
    detector = Choices("object-detection", validation="10%")
    assert Experiment.parse(body_of(detector)).train.epochs == 100
    assert "train:\n  epochs: 5\n" in body_of(Choices("object-detection", knobs={"epochs": "5"}))


def test_the_options_of_inits_model_stay_with_it_and_pretrained_files_are_its_option():
    assert "model:\n  resnet9:\n    width: 16\n" in body_of(Choices("image-classification", model="resnet9"))
    assert "model: resnet18\n" in body_of(Choices("image-classification", model="resnet18"))
    cell = body_of(Choices("text-classification", model="minilm", pretrained="./minilm"))
    assert "model:\n  minilm:\n    pretrained: ./minilm\n" in cell


def test_a_wrong_choice_is_told_with_its_place_and_the_next_step():
    error = complaint(Choices("image-classification", model="resnet81"))
    assert str(error).split("\n")[0] == (
        "line 12, column 8: there is no architecture named 'resnet81'. Did you mean 'resnet18'?"
    )
    assert error.excerpt == "    model: resnet81\n           ^"
    assert "must be a whole number greater than 0, not 'many'" in str(
        complaint(Choices("image-classification", knobs={"epochs": "many"}))
    )
    assert "cannot name a model" in str(complaint(Choices("image-classification", name="my model")))
    assert "Did you mean 'text-embedding'" in str(complaint(Choices("text-embeding")))


@pytest.mark.parametrize(
    ("holds", "columns"),
    [
        ("a picture", ["picture", "nested", "corners"]),
        ("a class", ["name", "kind"]),
        ("a class, or several", ["words", "name", "kind"]),
        ("a number", ["kind", "price"]),
        ("a text", ["name"]),
        ("a text, or words", ["words", "name"]),
        ("entities, or tags of words", ["words", "spans"]),
        ("boxes", ["nested", "corners", "rectangles"]),
        ("the boxes' classes", ["words"]),
        ("features", ["flat", "name", "kind", "price", "vector"]),
        ("something of a third party", [name for name, _ in TYPES]),
    ],
)
def test_a_column_fits_by_what_its_type_can_hold(holds, columns):
    assert fitting(holds, [Column(*each) for each in TYPES]) == columns


def test_the_usual_name_is_guessed_and_else_the_last_column_for_the_label():
    pictures = {"image": "a picture", "label": "a class"}
    columns = [
        Column("id", "bigint"),
        Column("thumbnail", "binary"),
        Column("Photo", "binary"),
        Column("kind", "string"),
    ]
    assert guess(pictures, columns) == {"image": "Photo", "label": "kind"}
    assert guess(pictures, columns[:2]) == {"image": "thumbnail", "label": "id"}
    assert guess(pictures, [Column("x", "date")]) == {"image": "", "label": ""}
    texts = {"text": "a text", "label": "a class"}
    assert guess(texts, [Column("a", "string"), Column("b", "string")]) == {"text": "a", "label": "b"}
    assert guess({"sound": "a sound"}, columns) == {"sound": ""}


def test_the_form_shows_the_cell_as_it_stands_and_what_is_wrong_with_it(form):
    shown = form()
    shown.draw()
    assert "task: image-classification" in shown.text.value
    assert "A valid cell" in shown.said.value
    assert "ResNet of 9 layers" in shown.fields.about.value
    shown.fields.knobs["epochs"].value = "0"
    assert "train.epochs must be greater than 0, not 0." in shown.said.value
    shown.fields.task.value = "text-classification"
    assert list(shown.fields.columns) == ["text", "label"]
    assert "model: fasttext" in shown.cell
    assert shown.fields.knobs["epochs"].value == "40"
    assert "A valid cell" in shown.said.value
    assert "No Spark session is running" in shown.fields.note.value
    assert shown.fields.again.description == "Start Spark"


def test_columns_can_be_written_by_hand_where_none_is_known(form):
    shown = form("vector-regression")
    shown.fields.columns["label"].value = "price"
    shown.fields.columns["features"].value = "area, city"
    assert "  label: price\n  features:\n  - area\n  - city\n" in shown.cell


def test_rows_that_are_chosen_stay_chosen_when_the_form_looks_again(form):
    class Catalog(NoCatalog):
        def tables(self, database=""):
            return ["products"]

    fields = form(catalog=Catalog()).fields
    fields.source.value, fields.typed.value = "", "SELECT * FROM houses"
    fields.refresh()
    assert fields.choices().source == "SELECT * FROM houses"
    fields.source.value = "products"  # what was written before stays in its field, out of sight
    fields.refresh()
    assert fields.choices().source == "products"


def test_what_a_model_is_stands_below_it_without_the_shapes_that_all_have(form):
    shown = form()
    shown.draw()
    assert "ResNet of 9 layers that trains in few epochs<" in shown.fields.about.value
    assert "float32" not in shown.fields.about.value


def test_what_a_user_writes_is_text_wherever_it_is_shown(form):
    shown = form()
    shown.fields.typed.value = EVIL
    shown.fields.model.options = [EVIL]
    shown.draw()
    assert EVIL in shown.cell
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown.text.value
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown.said.value
    assert not [w for w in (shown.text, shown.said, shown.fields.note, shown.fields.about) if EVIL in w.value]
    script = writing("</script>" + EVIL, "form", "done")
    assert script.count("<") == 2  # of the element itself
    assert "\\u003c/script\\u003e" in script


def test_a_click_hands_the_cell_to_the_page_and_says_what_to_do_where_none_appears(form):
    shown = form()
    shown.show()
    shown.write.click()
    (sent,) = shown.channel.outputs
    assert "application/vnd.jupyter.cells" in sent["data"]["text/html"]
    assert IF_NONE[:40] in shown.said.value
    shown.fields.knobs["epochs"].value = "4"
    assert shown.channel.outputs == ()
    shown.done.click()
    assert not shown.open


def test_a_terminal_and_a_missing_ipywidgets_are_told_in_two_lines(monkeypatch):
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "sparknn_magic")
    try:
        done = shell.run_cell("%sparknn new text-classification")
        assert str(done.error_in_exec) == (
            "new: a form needs a notebook, and this is a terminal.\n"
            "`%sparknn init text-classification` writes a cell to start from."
        )
        assert "Did you mean 'text-embedding'?" in str(shell.run_cell("%sparknn new text-embeding").error_in_exec)
        monkeypatch.setattr(shell, "kernel", object(), raising=False)
        monkeypatch.delitem(sys.modules, "sparknn_magic.notebook.form")
        monkeypatch.setitem(sys.modules, "ipywidgets", None)
        lines = str(shell.run_cell("%sparknn new").error_in_exec).split("\n")
        assert lines[0].startswith("new: a form needs ipywidgets, which is not installed")
        assert lines[1:] == [
            "pip install ipywidgets; or `%sparknn init image-classification` writes a cell to start from."
        ]
    finally:
        InteractiveShell.clear_instance()


def test_completion_offers_the_command_and_its_tasks():
    offers = complete("%sparknn ne", len("%sparknn ne"), {}, NoCatalog())
    assert "new" in offers.texts
    offers = complete("%sparknn new text-", len("%sparknn new text-"), {}, NoCatalog())
    assert set(offers.texts) >= {"text-classification", "text-embedding"}


def test_rows_are_found_in_the_session_and_a_few_are_shown(spark, form):
    rows = spark.createDataFrame(
        [(n, f"{EVIL} Letter {n}", "new" if n % 2 else "old") for n in range(40)], "id int, body string, kind string"
    )
    rows.createOrReplaceTempView("form_letters")
    names = {"letters": rows, "_hidden": rows}
    found = dict(reversed(pair) for pair in sources(names, SparkCatalog(wait=30.0, session=lambda: spark)))
    assert found["letters"] == "letters (DataFrame)"
    assert found["form_letters"] == "form_letters (table)"
    assert columns_of(spark, "form_letters", names) == [("id", "int"), ("body", "string"), ("kind", "string")]
    with pytest.raises(DataError, match=r"no table, view or DataFrame named 'leters'\. Did you mean 'letters'"):
        columns_of(spark, "leters", names)

    shown = form("text-classification", names, catalog=NoCatalog(), session=lambda: spark)
    assert shown.fields.source.value == "letters"
    assert {role: widget.value for role, widget in shown.fields.columns.items()} == {"text": "body", "label": "kind"}
    assert "  train: letters\n  validation: 10%\n  text: body\n  label: kind\n" in shown.cell
    shown.samples.click()
    assert until(lambda: not shown.samples.disabled, 120)
    assert "of the first 24 rows of letters" in shown.shown.value
    assert "after preprocessing" in shown.shown.value
    assert "&lt;img src=x" in shown.shown.value
    assert EVIL not in shown.shown.value
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "sparknn-form"], 10)

    shown.fields.columns["text"].value = "id"
    shown.samples.click()
    assert until(lambda: not shown.samples.disabled, 120)
    assert "column &#x27;id&#x27; is int; texts are strings." in shown.shown.value
    choices = Choices("text-classification", source="form_letters", columns={"text": "body", "label": "nothing"})
    with pytest.raises(DataError, match="no column 'nothing'"):
        samples_html(spark, choices, names)
    spark.catalog.dropTempView("form_letters")
    assert isinstance(shown.box, ipywidgets.VBox)
