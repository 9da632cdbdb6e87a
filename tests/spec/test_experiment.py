"""The doors to an experiment, what it says, and what is worth remembering of it."""

import json

import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.spec import ColumnSplit, Experiment, Fraction, Step

CELL = """task: image-classification
data:
  train: SELECT image, label FROM products WHERE image IS NOT NULL
  validation: 10%
  test: products_test
preprocess:
- resize: 32
augment:
- random_horizontal_flip
- random_crop: {padding: 4}
model:
  resnet18: {width: 32}
train:
  epochs: 10
  batch_size: 256
  optimizer: {adamw: {lr: 1e-3, weight_decay: 0.05}}
  schedule: one_cycle
  workers: 2
export: models/fashion
"""
SMALL = {"task": "image-classification", "data": {"train": "products"}, "model": "resnet18"}


def test_the_first_cell_of_the_manual_says_what_it_says():
    experiment = Experiment.parse(CELL, name="fashion")
    assert experiment.name == "fashion"
    assert experiment.task == "image-classification"
    assert experiment.data.train.kind == "auto"
    assert experiment.data.train.value == "SELECT image, label FROM products WHERE image IS NOT NULL"
    assert experiment.data.validation == Fraction(share=0.1)
    assert experiment.data.test.value == "products_test"
    assert (experiment.data.image, experiment.data.label, experiment.data.key) == ("image", "label", None)
    assert experiment.preprocess == (Step(name="resize", value=32),)
    assert experiment.augment == (Step(name="random_horizontal_flip"), Step(name="random_crop", options={"padding": 4}))
    assert experiment.model == Step(name="resnet18", options={"width": 32})
    assert experiment.loss is None
    assert (experiment.train.epochs, experiment.train.batch_size, experiment.train.workers) == (10, 256, 2)
    assert experiment.train.optimizer == Step(name="adamw", options={"lr": 0.001, "weight_decay": 0.05})
    assert experiment.train.schedule == Step(name="one_cycle")
    assert experiment.export.folder == "models/fashion"


def test_what_is_not_written_has_its_default():
    experiment = Experiment.load(SMALL)
    train = experiment.train
    assert experiment.data.validation.share == 0.1
    assert experiment.data.test is None
    assert (train.epochs, train.batch_size, train.workers, train.warmup, train.seed) == (10, 256, "auto", 0.0, 0)
    assert (train.precision, train.device, train.clip_norm, train.early_stopping) == ("auto", "auto", None, None)
    assert (train.optimizer, train.schedule) == (Step(name="adamw"), Step(name="one_cycle"))


def test_a_section_with_nothing_under_it_is_as_if_not_written():
    text = "task: t\ndata:\n  train: products\nmodel: m\naugment:\n# - random_crop\ntrain:\n# epochs: 3\nexport:\n"
    assert Experiment.parse(text) == Experiment.load({"task": "t", "data": {"train": "products"}, "model": "m"})


def test_an_experiment_cannot_be_changed():
    experiment = Experiment.load(SMALL)
    with pytest.raises(ValueError, match="frozen"):
        experiment.train.epochs = 3


def test_plain_values_go_to_json_and_back():
    experiment = Experiment.parse(CELL, name="fashion", overrides=["data.test={column: split, is: test}"])
    again = Experiment.load(json.loads(json.dumps(experiment.to_dict())))
    assert again == experiment
    assert again.to_dict() == experiment.to_dict()
    assert experiment.to_dict()["preprocess"] == [{"resize": 32}]
    assert experiment.to_dict()["data"]["validation"] == "10%"
    assert again.data.test == ColumnSplit(column="split", equals="test")


@pytest.mark.parametrize("share", ["10%", "12.5%", "0.1%", "33.3%", "99.9%", "7 %"])
def test_percentages_come_back_as_they_were_written(share):
    experiment = Experiment.load({**SMALL, "data": {"train": "t", "validation": share}})
    assert experiment.to_dict()["data"]["validation"] == share.replace(" ", "")
    assert Experiment.load(experiment.to_dict()) == experiment


def test_the_fingerprint_is_of_the_content_and_not_of_the_layout():
    one = Experiment.parse("task: t\nmodel: m\ndata: {train: a, validation: 10%}\npreprocess: [{resize: 32}]\n")
    two = Experiment.parse("# moved\npreprocess:\n- resize: 32\ndata:\n  train: a\nmodel: other\ntask: t\n")
    assert one.fingerprint() == two.fingerprint()
    assert one.fingerprint(["model"]) != two.fingerprint(["model"])
    other = Experiment.load(one, overrides=["preprocess.0.resize=28"])
    assert other.fingerprint() != one.fingerprint()
    assert other.fingerprint(("data",)) == one.fingerprint(("data",))


def test_the_fingerprint_does_not_change_from_version_to_version():
    plain = '{"data":{"image":"image","label":"label","train":"products","validation":"10%"},"preprocess":[]}'
    import hashlib

    assert Experiment.load(SMALL).fingerprint() == hashlib.sha256(plain.encode()).hexdigest()


def test_a_fingerprint_of_an_unknown_part_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="no such parts"):
        Experiment.load(SMALL).fingerprint(["modle"])


def test_later_stages_point_into_the_cell():
    experiment = Experiment.parse(CELL)
    assert experiment.where("train", "epochs") == (14, 11)
    assert experiment.where("train", "epochs", key=True) == (14, 3)
    assert experiment.where("train", "seed") is None
    error = experiment.error(("data", "train"), "there is no table 'products'.", hint="Tables: products_test.")
    assert str(error) == "line 3, column 10: there is no table 'products'.\nTables: products_test."
    assert isinstance(error, SpecError)
    assert str(experiment.error(("train", "seed"), "x")) == "line 13, column 1: x"


def test_an_experiment_from_a_dict_has_errors_without_a_place():
    with pytest.raises(SpecError) as caught:
        Experiment.load({**SMALL, "train": {"batch_size": -3}})
    assert str(caught.value) == "train.batch_size must be 'auto' or a whole number greater than 0, not -3."


def test_an_experiment_with_overrides_keeps_its_places():
    experiment = Experiment.load(Experiment.parse(CELL), name="other", overrides=["train.epochs=3"])
    assert (experiment.name, experiment.train.epochs) == ("other", 3)
    assert experiment.where("train", "batch_size") == (15, 15)
    assert str(experiment.error(("train", "epochs"), "x")) == "in `train.epochs=3`: x"


def test_a_file_is_read_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fashion.yaml").write_text(CELL)
    assert Experiment.load("fashion.yaml") == Experiment.load(tmp_path / "fashion.yaml") == Experiment.parse(CELL)
    assert Experiment.load(CELL, name="other").name == "other"


def test_a_file_that_is_not_there_suggests_the_one_that_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fashion.yaml").write_text(CELL)
    with pytest.raises(SpecError) as caught:
        Experiment.load("fashon.yaml")
    assert str(caught.value) == "there is no file 'fashon.yaml'. Did you mean 'fashion.yaml'?"
    with pytest.raises(SpecError, match=r"^there is no file 'nowhere/at/all'\.$"):
        Experiment.load("nowhere/at/all")
    with pytest.raises(SpecError, match="is a folder; name the YAML file in it"):
        Experiment.load(tmp_path)


def test_a_file_that_is_not_utf_8_says_where(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("task: t\nname: caf\u00e9\n".encode("latin-1"))
    with pytest.raises(SpecError) as caught:
        Experiment.load(path)
    assert str(caught.value) == f"line 2, column 10: '{path}' is not UTF-8 text (byte 0xe9); save it as UTF-8."


def test_a_file_of_data_is_refused_by_its_size(tmp_path):
    path = tmp_path / "rows.yaml"
    path.write_bytes(b"x" * 1_000_000)
    with pytest.raises(SpecError, match=r"has 1,000,000 bytes; at most 65,536 characters are read\."):
        Experiment.load(path)


def test_what_is_neither_text_nor_dict_is_said_to_be():
    with pytest.raises(SpecError, match="an experiment is a dict, YAML text or a path, not a int"):
        Experiment.load(3)


def test_the_schema_describes_every_key():
    schema = Experiment.model_json_schema()
    for model in [schema, *schema["$defs"].values()]:
        for key, field in model["properties"].items():
            assert field.get("description"), key
