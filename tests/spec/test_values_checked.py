"""Wrong keys and values: the line, the column, what is allowed, the nearest."""

import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.spec import Experiment

HEAD = "task: image-classification\ndata:\n  train: products\nmodel: resnet18\n"


def message(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        Experiment.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train:\n  epoch: 3", "line 6, column 3: unknown key 'epoch' in 'train'. Did you mean 'epochs'?"),
        ("modle: x", "line 5, column 1: unknown key 'modle'. Did you mean 'model'?"),
        (
            "train: {epoch: 3}\nmodle: x",
            "line 5, column 9: unknown key 'epoch' in 'train'. Did you mean 'epochs'? (and 1 more)",
        ),
        ("epochs: 3", "line 5, column 1: unknown key 'epochs'. It belongs under 'train'."),
        ("epoch: 3", "line 5, column 1: unknown key 'epoch'. Did you mean 'train.epochs'?"),
        (
            "train: {epochs:3}",
            "line 5, column 9: unknown key 'epochs:3' in 'train'. Write 'epochs: 3', with a space after the colon.",
        ),
        (
            "train:\n  batch_size: -3",
            "line 6, column 15: train.batch_size must be 'auto' or a whole number greater than 0, not -3.",
        ),
        (
            "train:\n  epochs: ten",
            "line 6, column 11: train.epochs must be a whole number greater than 0, not 'ten'.",
        ),
        ("train:\n  epochs: '10'", "line 6, column 11: train.epochs must be a whole number greater than 0, not '10'."),
        ("train:\n  epochs: 1.5", "line 6, column 11: train.epochs must be a whole number greater than 0, not 1.5."),
        ("train:\n  epochs: true", "line 6, column 11: train.epochs must be a whole number greater than 0, not true."),
        (
            "train:\n  epochs:",
            "line 6, column 3: train.epochs has no value; it must be a whole number greater than 0.",
        ),
        (
            "train:\n  workers: all",
            "line 6, column 12: train.workers must be 'auto' or a whole number greater than 0, not 'all'.",
        ),
        (
            "train:\n  workers:",
            "line 6, column 3: train.workers has no value; it must be 'auto' or a whole number greater than 0.",
        ),
        (
            "train:\n  workers: 0",
            "line 6, column 12: train.workers must be 'auto' or a whole number greater than 0, not 0.",
        ),
        (
            "train:\n  precision: float23",
            "line 6, column 14: train.precision must be 'auto', 'float32', 'bfloat16' or 'float16', not 'float23'. "
            "Did you mean 'float32'?",
        ),
        ("train:\n  clip_norm: 0", "line 6, column 14: train.clip_norm must be greater than 0, not 0."),
        ("train:\n  seed: -1", "line 6, column 9: train.seed must be at least 0, not -1."),
        ("train:\n  seed: 4294967296", "line 6, column 9: train.seed must be less than 4294967296, not 4294967296."),
        (
            "train:\n  warmup: 10",
            "line 6, column 11: train.warmup (10 epochs) must be shorter than train.epochs (10).",
        ),
        (
            "train:\n  early_stopping: {patience: 0}",
            "line 6, column 30: train.early_stopping.patience must be greater than 0, not 0.",
        ),
        (
            "train: 3",
            "line 5, column 8: train must have lines such as 'key: value' (epochs, batch_size, optimizer, schedule, "
            "...), not 3.",
        ),
        (
            "train:\n  epochs:3\n  seed:1",
            "line 6, column 3: train must have lines such as 'key: value' (epochs, batch_size, optimizer, schedule, "
            "...), not 'epochs:3 seed:1'. A space belongs after each colon.",
        ),
        ("augment: random_crop", "line 5, column 10: augment must be a list: start each step with '- '."),
        (
            "augment:\n- 3",
            "line 6, column 3: augment.0 must be a name, or one name with its options, not 3.",
        ),
        (
            "augment:\n- random_crop:\n  padding: 4",
            "line 7, column 3: augment.0 takes one name; 'padding' is a second.\n"
            "The options of 'random_crop' are indented under it, or stand in braces: `random_crop: {option: value}`.",
        ),
        (
            "name: my-model",
            "line 5, column 7: 'my-model' cannot name a model: use letters, digits and _, and start with a letter. "
            "Did you mean 'my_model'?",
        ),
        ("name: class", "line 5, column 7: 'class' is a word of Python's own and cannot name a model."),
        (
            "export: 3",
            "line 5, column 9: export must be a folder, or keys with their values such as `folder: models/m`, not 3.",
        ),
        (
            "train:\n  batch_size: -3\n  epochs: x\n  seed: 1.5",
            "line 6, column 15: train.batch_size must be 'auto' or a whole number greater than 0, not -3. (and 2 more)",
        ),
    ],
)
def test_a_wrong_key_or_value_is_answered_at_its_place(text, words):
    assert message(HEAD + text) == words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "{validation: 10%}",
            "column 1: the key 'train' is missing in 'data'.\nFor example: `train: SELECT image, label FROM products`.",
        ),
        (
            "products",
            "column 7: data must have lines such as 'key: value' (train, validation, test, image, ...), "
            "not 'products'.",
        ),
        ('{train: ""}', "column 15: data.train is empty; write SQL, a table, a path or a DataFrame's name."),
        ("{train: [a]}", "column 15: data.train must be SQL, a table, a path or a DataFrame's name, not ['a']."),
        (
            "{train: SELECT image, label FROM t}",
            "column 29: unknown key 'label FROM t': between { and } a text with a comma needs quotes.",
        ),
        ("{train: {tabel: a}}", "column 16: unknown key 'tabel' in 'data.train'. Did you mean 'table'?"),
        ("{train: {sql: 3}}", "column 21: data.train.sql must be text, not 3."),
        ("{train: {sql: a, table: b}}", "column 24: data.train has both 'sql' and 'table'; write one of them."),
        (
            "{train: {format: parquet}}",
            "column 15: data.train does not say where the rows are; "
            "write one of sql, table, path, frame, coco, voc or yolo.",
        ),
        (
            "{train: {table: a, params: {x: 1}}}",
            "column 26: data.train has 'params', which only a query ('sql') takes.",
        ),
        (
            "{train: {sql: a, params: {x: [1]}}}",
            "column 36: data.train.params.x must be text, a number or true/false, not [1].",
        ),
        (
            "{train: {path: a, format: csv}}",
            "column 33: data.train.format must be 'auto', 'parquet' or 'images', not 'csv'.",
        ),
        ("{train: a, validation: 10}", "column 30: data.validation must be a percentage such as 10%, not 10."),
        (
            "{train: a, validation: 100%}",
            "column 30: data.validation must be more than 0% and less than 100%, not '100%'.",
        ),
        (
            "{train: a, validation: 60%, test: 40%}",
            "column 41: data.validation and data.test together leave no rows to train on.",
        ),
        ("{train: a, validation: {column: s}}", "column 18: the key 'is' is missing in 'data.validation'."),
        (
            "{train: a, validation: {sql: s, parms: 1}}",
            "column 39: unknown key 'parms' in 'data.validation'. Did you mean 'params'?",
        ),
        ("{train: a, key: [1, b]}", "column 23: data.key must be a list of texts, not [1, 'b']."),
        (
            "{train: a, shape: [28, 28, 2]}",
            "column 25: data.shape must be [height, width] or [height, width, channels] in pixels, "
            "with 1, 3 or 4 channels, not [28, 28, 2].",
        ),
        ("{train: a, image: label}", "column 25: data.image and data.label are both the column 'label'."),
    ],
)
def test_wrong_data_is_answered_at_its_place(data, words):
    assert message(f"task: t\nmodel: m\ndata: {data}\n") == f"line 3, {words}"


def test_a_missing_section_is_named_with_an_example():
    assert message("task: object-detection\nmodel: centernet\n") == "line 1, column 1: the key 'data' is missing."
    assert message("data: {train: a}\nmodel: resnet18\n") == (
        "line 1, column 1: the key 'task' is missing.\nFor example: `task: image-classification`."
    )


def test_a_missing_architecture_is_named_with_where_those_of_the_task_are_listed():
    assert message("task: object-detection\ndata: {train: a}\n") == (
        "line 1, column 1: the key 'model' is missing.\n"
        "`%sparknn zoo object-detection` lists the architectures of this task."
    )


def test_a_misspelt_task_is_told_before_what_is_missing():
    assert message("task: object-detektion\ndata: {train: a}\n").startswith(
        "line 1, column 7: there is no task named 'object-detektion'. Did you mean 'object-detection'?\n"
    )


def test_a_misspelt_key_is_told_before_the_missing_one():
    assert message("task: t\ndata: {train: a}\nmodle: m\n") == (
        "line 3, column 1: unknown key 'modle'. Did you mean 'model'? (and 1 more)"
    )


def test_the_forms_of_a_source():
    def source(text: str):
        return Experiment.parse(f"task: t\nmodel: m\ndata:\n  train: {text}\n").data.train

    assert (source("products").kind, source("products").value) == ("auto", "products")
    assert source(">\n    SELECT *\n    FROM t\n").value == "SELECT * FROM t"
    query = source("{sql: SELECT * FROM t WHERE day = :day, params: {day: 2024-01-01}}")
    assert (query.kind, query.value, query.params) == (
        "sql",
        "SELECT * FROM t WHERE day = :day",
        {"day": "2024-01-01"},
    )
    assert (source("{table: a.b}").kind, source("{table: a.b}").value) == ("table", "a.b")
    folder = source("{path: s3://bucket/pictures, format: images}")
    assert (folder.kind, folder.value, folder.format) == ("path", "s3://bucket/pictures", "images")
    assert (source("{frame: df}").kind, source("{frame: df}").value) == ("frame", "df")


def test_short_forms_mean_the_long_ones():
    data = Experiment.parse("task: t\nmodel: m\ndata: {train: a, key: id, shape: [28, 28], validation: 0.2}\n").data
    assert (data.key, data.shape, data.validation.share) == (("id",), (28, 28, 1), 0.2)
    train = Experiment.parse(HEAD + "train: {early_stopping: 5}\n").train
    assert (train.early_stopping.patience, train.early_stopping.metric) == (5, None)
    test = Experiment.parse("task: t\nmodel: m\ndata: {train: a, test: {column: fold, is: 3}}\n").data.test
    assert (test.column, test.equals) == ("fold", 3)
