"""What is offered while a cell is typed. `|` is the cursor; nothing here needs a kernel or Spark."""

import json
from dataclasses import dataclass, field

import pandas
import pytest

from sparknn_magic import registry
from sparknn_magic.notebook.completion import complete
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import DataSpec
from sparknn_magic.spec.training import TrainSpec
from sparknn_magic.spec.words import known_keys

HEAD = "%%sparknn train fashion\ntask: image-classification\n"


@dataclass
class Tables:
    """A catalog of a few tables."""

    held: dict[str, list[str]] = field(default_factory=dict)

    def tables(self, database: str = "") -> list[str]:
        return [] if database else list(self.held)

    def columns(self, table: str) -> list[str]:
        return self.held.get(table, [])

    def columns_of(self, frame) -> list[str]:
        return list(frame.columns)


CATALOG = Tables({"products": ["id", "image", "label", "price"], "products_test": ["id", "image"], "a table": ["x"]})


def offered(cell: str, names=None, catalog=CATALOG) -> list[str]:
    found = complete(cell.replace("|", "", 1), cell.index("|"), names or {}, catalog)
    assert found.end == cell.index("|")
    assert len(found.texts) == len(found.kinds)
    return list(found.texts)


def written(cell: str, **options) -> str:
    """The cell after the only completion there is has been taken."""
    at, text = cell.index("|"), cell.replace("|", "", 1)
    found = complete(text, at, {}, CATALOG, **options)
    (only,) = found.texts
    return text[: found.start] + only + text[at:]


def test_an_architecture_is_found_by_its_first_letters():
    assert {"resnet18", "resnet34", "resnet9"} <= set(offered(HEAD + "model: res|"))
    assert written(HEAD + "model: mobile|") == HEAD + "model: mobilenet_v2"


@pytest.mark.parametrize(
    ("task", "has", "has_not"),
    [
        ("image-classification", "resnet18", {"fasttext", "centernet", "wide_and_deep", "d_fine", "bert"}),
        ("object-detection", "d_fine", {"resnet18", "fasttext", "minilm"}),
        ("text-embedding", "minilm", {"resnet18", "fasttext", "d_fine"}),
        ("token-classification", "bilstm", {"fasttext", "resnet18"}),
        ("vector-regression", "ft_transformer", {"resnet18", "fasttext"}),
    ],
)
def test_only_architectures_of_the_cells_task_are_offered(task, has, has_not):
    found = set(offered(f"%%sparknn train m\ntask: {task}\nmodel: |"))
    assert has in found
    assert found.isdisjoint(has_not)


def test_without_a_task_every_architecture_is_offered():
    assert offered("%%sparknn train m\nmodel: |") == registry.names("architecture")


def test_a_model_s_options_and_their_values_stand_under_its_name():
    assert offered(HEAD + "model:\n  resnet18:\n    |") == ["width: ", "stem: "]
    assert offered(HEAD + "model:\n  resnet18: {width: 8, |}") == ["stem: "]
    assert offered(HEAD + "model:\n  resnet18: {stem: |") == ["auto", "cifar", "imagenet"]
    assert offered(HEAD + "model: {resnet18: {stem: im|") == ["imagenet"]
    assert "freeze_layers: " in offered("%%sparknn train m\nmodel:\n  minilm:\n    fr|")


def test_the_names_before_a_cursor_that_stands_in_the_middle_are_what_counts():
    cell = HEAD + "mo|: resnet18\ndata: {train: products}"
    assert written(cell) == HEAD + "model: resnet18\ndata: {train: products}"


def test_keys_of_the_top_and_of_each_section_are_those_of_the_spec():
    assert {text.rstrip(": ") for text in offered("%%sparknn train m\n|")} == set(known_keys(Experiment))
    assert {text.rstrip(": ") for text in offered("%%sparknn train m\ntrain:\n  |")} == set(known_keys(TrainSpec))
    assert {text.rstrip(": ") for text in offered("%%sparknn train m\ndata:\n  |")} == set(known_keys(DataSpec))
    assert offered("%%sparknn train m\ntrain:\n  early_stopping:\n    |") == ["patience: ", "metric: "]
    assert offered("%%sparknn train m\nexport: {to|") == ["tokenizer_in_graph: "]


def test_keys_that_stand_there_already_above_or_below_are_not_offered_again():
    cell = HEAD + "train:\n  epochs: 3\n  |\n  seed: 1\nmodel: resnet8\n"
    assert {"epochs: ", "seed: "}.isdisjoint(offered(cell))
    assert "device: " in offered(cell)
    assert {"task: ", "model: ", "train:"}.isdisjoint(offered(HEAD + "train:\n  epochs: 3\n|\nmodel: resnet8\n"))


def test_keys_of_other_tasks_are_left_out():
    pictures = offered(HEAD + "data:\n  |")
    assert "image: " in pictures
    assert {"boxes: ", "text: ", "features: ", "max_length: "}.isdisjoint(pictures)
    assert {"boxes: ", "labels: ", "bad_boxes: "} <= set(
        offered("%%sparknn train m\ntask: object-detection\ndata:\n  |")
    )
    assert "tokenizer: " not in offered(HEAD + "|")


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        ("task: |", registry.names("task")),
        ("train:\n  device: |", ["auto", "cpu", "cuda"]),
        ("train: {precision: b|}", ["bfloat16"]),
        ("train:\n  optimizer: ad|", ["adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw"]),
        ("train:\n  optimizer:\n    adamw:\n      |", ["lr: ", "weight_decay: ", "betas: ", "eps: ", "amsgrad: "]),
        ("train:\n  optimizer: {adamw: {amsgrad: |", ["true", "false"]),
        ("train:\n  schedule: one|", ["one_cycle"]),
        ("train:\n  early_stopping: {metric: |", ["validation_loss", "validation_accuracy"]),
        ("train:\n  workers:|", [" auto"]),
        ("export:\n  tokenizer_in_graph: |", ["true", "false"]),
        ("loss: fo|", ["focal"]),
        ("init: ortho|", ["orthogonal"]),
        ("data:\n  format: x|", ["xyxy", "xywh"]),
    ],
)
def test_values_of_enumerations_booleans_and_plugins(cell, values):
    head = "" if "task" in cell else "task: image-classification\n"
    assert offered(f"%%sparknn train m\n{head}{cell}") == values


def test_steps_of_a_list_are_offered_behind_the_dash_and_before_it():
    assert offered(HEAD + "preprocess:\n- resize: 32\n- cen|") == ["center_crop"]
    assert "- resize" in offered(HEAD + "preprocess:\n  |")
    assert offered(HEAD + "preprocess:\n-|")[0].startswith(" ")
    assert offered(HEAD + "preprocess:\n- sq|") == ["sql: "]
    assert offered(HEAD + "preprocess:\n- sql: SELECT * FROM {data}\n  |") == ["params: "]
    assert offered(HEAD + "augment: [mix|]") == ["mixup"]
    assert offered(HEAD + "augment:\n- random_crop: {pad|") == ["padding: "]
    assert "lowercase" not in offered(HEAD + "preprocess:\n- |")


def test_layers_and_the_layers_inside_them():
    assert offered(HEAD + "model:\n- conv2d: 32\n- max_p|") == ["max_pool1d", "max_pool2d"]
    assert "activation: " in offered(HEAD + "model:\n- conv2d:\n    |")
    assert offered(HEAD + "model:\n- conv2d: {filters: 8, padding: |") == ["valid", "same"]
    assert offered(HEAD + "model:\n- repeat:\n    times: 2\n    layers:\n    - batch|") == ["batch_norm"]
    assert offered(HEAD + "model:\n- residual:\n  - con|") == ["conv1d", "conv2d", "conv_transpose2d"]
    assert offered(HEAD + "model:\n- parallel: [[relu], [tan|") == ["tanh"]


def test_rows_come_from_tables_and_the_notebooks_dataframes():
    names = {"people": pandas.DataFrame({"age": [1]}), "_hidden": pandas.DataFrame(), "text": "no frame"}
    assert offered(HEAD + "data:\n  train: p|", names) == ["people", "products", "products_test"]
    assert offered(HEAD + "data: {train: products, test: pro|}", names) == ["products", "products_test"]
    assert offered(HEAD + "data: {train: products, validation: |}", names)[-2:] == ["10%", "20%"]
    assert offered(HEAD + "data:\n  train: {frame: |", names) == ["people"]
    assert offered(HEAD + "data:\n  train:\n    table: |", names) == ["products", "products_test", "`a table`"]
    assert "sql: " in offered(HEAD + "data:\n  train:\n    |")
    assert "column: " in offered(HEAD + "data:\n  test: {|")


@pytest.mark.parametrize(
    ("train", "columns"),
    [
        ("products", ["id", "image", "label", "price"]),
        (
            "SELECT image AS photo, label, price * 2 AS twice FROM products WHERE price > 3",
            ["photo", "label", "twice"],
        ),
        ("SELECT * FROM products_test", ["id", "image"]),
        ("people", ["age"]),
        ("/a/path", []),
        ("SELECT FROM WHERE products", []),
    ],
)
def test_columns_are_those_of_the_training_rows(train, columns):
    names = {"people": pandas.DataFrame({"age": [1]})}
    assert offered(f"{HEAD}data:\n  train: {train}\n  label: |", names) == columns
    assert offered(f"{HEAD}data:\n  train: {train}\n  key: [|", names) == columns


def test_columns_of_a_step_are_those_of_the_training_rows_too():
    cell = "%%sparknn train m\ntask: vector-classification\ndata:\n  train: products\npreprocess:\n"
    assert offered(cell + "- embed: [pr|") == ["price"]
    assert offered(cell + "- standardize: {columns: [l|") == ["label"]


def test_queries_get_tables_after_from_and_columns_elsewhere():
    assert offered(HEAD + "data:\n  train: SELECT image FROM pro|") == ["products", "products_test"]
    assert offered(HEAD + "data:\n  train: SELECT pr|, label FROM products") == ["price"]
    assert offered(HEAD + "data:\n  train: >-\n    SELECT id\n    FROM products WHERE pr|") == ["price"]
    assert offered("%%sparknn predict fashion --into scored\nSELECT p.i| FROM products p") == ["p.id", "p.image"]
    assert offered("%%sparknn predict fashion --into scored\nprod|") == ["products", "products_test"]
    assert offered("%%sparknn evaluate fashion\nSELECT *\nFROM products JOIN |")[0] == "products"
    assert offered(HEAD + "preprocess:\n- sql: SELECT * FROM {|") == ["{data}"]
    assert offered(HEAD + "data: {train: products}\nmetrics:\n  lost: sum(pr|")[:2] == ["prediction", "price"]
    assert offered(HEAD + "loss:\n  sql: -ln(prob|") == ["probability"]


def test_python_variables_after_a_dollar():
    names = {"rate": 0.1, "rows": [1], "function": print, "_private": 1}
    assert offered(HEAD + "train:\n  epochs: ${ra|", names) == ["${rate}"]
    assert offered(HEAD + "train: {epochs: ${|", names) == ["${rate}", "${rows}"]


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("%%sparknn tr|", ["train"]),
        ("%%sparknn train fashion --dr|", ["--dry-run"]),
        ("%%sparknn train fashion --dry-run --|", ["--fresh", "--runs ", "--help"]),
        ("%%sparknn train fashion train.ep|", ["epochs="]),
        ("%%sparknn train fashion train.opt|", ["optimizer="]),
        ("%%sparknn train fashion train.device=c|", ["cpu", "cuda"]),
        ("%%sparknn train fashion model=resnet1|", ["resnet18"]),
        ("%%sparknn train fashion model.resnet18.|", ["width=", "stem="]),
        ("%%sparknn predict fashion --mode drop|", ["dropmalformed"]),
        ("%sparknn zoo opti|", ["optimizers"]),
        ("%sparknn zoo image-|", ["image-classification"]),
        ("%sparknn help resnet1|", ["resnet18"]),
        ("x = 1\n%sparknn help lr|", ["lr-find"]),
    ],
)
def test_the_magics_own_line(line, texts):
    assert offered(line + "\ntask: image-classification\n" if line.startswith("%%") else line) == texts


def test_models_are_offered_to_the_commands_that_take_one(tmp_path, monkeypatch):
    (tmp_path / "models" / "shoes").mkdir(parents=True)
    (tmp_path / "models" / "shoes" / "bundle.json").write_text(json.dumps({}))
    monkeypatch.chdir(tmp_path)
    assert offered("%sparknn show s|") == ["shoes"]
    assert offered("%%sparknn predict |\nproducts") == ["shoes"]
    assert offered("%sparknn load m|") == ["models/shoes"]
    assert offered("%%sparknn train s|\ntask: x") == []


@pytest.mark.parametrize(
    "cell",
    [
        "%%sparknn|",
        "|%%sparknn train x\n",
        "x = 1\nmodel: res|",
        "%%sparkn train\nmodel: res|",
        "# %sparknn he|",
        "%%time\n|",
    ],
)
def test_nothing_is_offered_where_the_cell_is_not_ours(cell):
    assert offered(cell) == []


def test_leading_empty_lines_and_letters_beyond_ascii_keep_the_cursors_count():
    assert offered("\n\n%%sparknn train fashion\ntask: image-classification\nmodel: resnet1|") == ["resnet18"]
    assert (
        written("%%sparknn train m\n# größe 😀 é\ntrain: {dev|") == "%%sparknn train m\n# größe 😀 é\ntrain: {device: "
    )


HALF = """\
%%sparknn train fashion
task: image-classification
data:
  train: "SELECT 'a: b', # no comment
  label: [x, {y
preprocess:
- - resize: 32
-
- sql: >
    SELECT * FROM {data}
  params: {a: ${b
augment: [random_crop: {padding: 4}, ]]}}
model:
- residual:
  - - relu
  'dense': {units: 10
\tloss: !!x &y *z
train:
    epochs: : 3
  device:
"""


@pytest.mark.parametrize(
    "body", [HALF, HALF[::-1], HALF.replace("\n", "\n\n  "), "{[{[\"'" * 50, "- " * 200, ":\n" * 99]
)
def test_whatever_is_half_typed_raises_nothing_at_any_place(body):
    cell = "%%sparknn train m\n" + body.removeprefix("%%sparknn train fashion\n")
    for cursor in range(len(cell) + 1):
        found = complete(cell, cursor, {"b": 1}, CATALOG)
        assert found.start <= found.end == cursor
        assert "\n" not in cell[found.start : cursor]
