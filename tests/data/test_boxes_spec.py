"""What a cell says of boxes: the keys under `data`, and the sources that bring boxes of their own."""

import pytest

from sparknn_magic.data.boxes.job import BoxRules, columns_of, rules_of
from sparknn_magic.errors import SpecError
from sparknn_magic.spec import Experiment

KEYS = {"boxes", "labels", "format", "units", "bad_boxes"}


def load(data, task="object-detection"):
    return Experiment.load({"task": task, "data": {"train": "rows"} | data, "model": "any"})


def test_an_experiment_that_says_nothing_of_boxes_says_nothing_of_them_in_its_folder():
    plain = load({}, "image-classification").to_dict()["data"]
    assert not KEYS & plain.keys()
    assert rules_of(plain) == BoxRules("xyxy", "pixels", "clip")
    assert columns_of(plain) == ("boxes", "labels")


def test_what_a_cell_says_of_boxes_is_kept_and_read_back():
    said = {"boxes": "where", "labels": "what", "format": "cxcywh", "units": "fractions", "bad_boxes": "drop"}
    plain = load(said).to_dict()
    assert {key: plain["data"][key] for key in KEYS} == said
    assert Experiment.load(plain).to_dict() == plain
    assert rules_of(plain["data"]) == BoxRules("cxcywh", "fractions", "drop")
    assert columns_of(plain["data"]) == ("where", "what")


@pytest.mark.parametrize(
    "source",
    [{"coco": "a/b.json"}, {"coco": "b.json", "images": "photos"}, {"voc": "a"}, {"yolo": "a", "images": "b"}],
)
def test_annotated_pictures_are_a_source(source):
    found = load({"train": source, "validation": None})
    assert found.data.train.kind == next(iter(source))
    assert found.data.train.value == next(iter(source.values()))
    assert found.to_dict()["data"]["train"] == source


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("format: xyhw", "line 4, column 11: data.format must be 'xyxy', 'xywh' or 'cxcywh', not 'xyhw'."),
        ("units: pixel", "line 4, column 10: data.units must be 'pixels' or 'fractions', not 'pixel'."),
        ("bad_boxes: 3", "line 4, column 14: data.bad_boxes must be 'clip', 'drop' or 'fail', not 3."),
        ("boxes: labels", "line 4, column 10: data.boxes and data.labels are both the column 'labels'."),
        ("labels: image", "line 4, column 11: data.labels and data.image are both the column 'image'."),
        ("box: a", "line 4, column 3: unknown key 'box' in 'data'. Did you mean 'boxes'?"),
        ("test: {coco: a, voc: b}", "line 4, column 19: data.test has both 'coco' and 'voc'; write one of them."),
        (
            "test: {table: a, images: b}",
            "line 4, column 20: data.test has 'images', which only coco, voc and yolo take.",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(data, words):
    with pytest.raises(SpecError) as error:
        Experiment.parse(f"task: object-detection\ndata:\n  train: rows\n  {data}\nmodel: any\n")
    assert str(error.value).startswith(words)
    assert len(str(error.value).splitlines()) <= 2
