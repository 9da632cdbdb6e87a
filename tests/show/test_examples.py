"""Examples of labelled rows: as HTML, as a page and as text, whatever the rows are."""

import numpy as np

from sparknn_magic.show.boxes import Scenes
from sparknn_magic.show.entities import tagged_text
from sparknn_magic.show.example import Example, Row
from sparknn_magic.show.examples import picture_examples, row_examples, scene_examples, tagged_examples
from tests.show.box_cases import box, scene
from tests.show.conftest import HOSTILE
from tests.show.test_report import Reader

PICTURE = np.zeros((28, 28, 1), np.uint8)


def test_pictures_say_what_was_seen_and_what_is_true():
    found = picture_examples([Example(PICTURE, "Bag", "Bag", 0.987), Example(PICTURE, HOSTILE, "Coat", 0.61)])
    assert repr(found).split("\n")[:3] == [
        "2 labelled rows, 1 of them right",
        "  true                          predicted  score",
        "  Bag                           Bag        98.7%",
    ]
    read = Reader(found._repr_html_())
    assert f"✗ Coat 61%, is {HOSTILE}" in read.text
    assert read.handlers == []


def test_a_page_of_examples_loads_nothing():
    html = picture_examples([Example(PICTURE, "Bag", "Bag", 0.9)]).page()
    read = Reader(html)
    assert html.startswith("<!doctype html>")
    assert all(address.startswith("data:image/") for address in read.loads)
    assert "script" not in read.tags


def test_rows_have_classes_with_scores_or_numbers_with_errors():
    classes = row_examples([Row({"text": "hello"}, "a", "b", 0.5), Row({"text": None}, "a", "a", 0.75)])
    assert repr(classes) == (
        "2 labelled rows, 1 of them right\n  true  predicted  score  text\n  a     b          50.0%  hello\n"
        "  a     a          75.0%"
    )
    numbers = row_examples([Row({"age": 3.0}, 10.0, 12.5), Row({"age": 4.0}, None, 1.0)])
    assert repr(numbers).split("\n")[2].split() == ["10", "12.5", "2.5", "3"]
    assert Reader(numbers._repr_html_()).text.count("\n10\n") == 1


def test_texts_have_their_entities_in_two_lines():
    found = tagged_examples([tagged_text("Ada met Bob", [(0, 3, "PER"), (8, 11, "PER")], [(0, 3, "PER")])])
    assert repr(found).split("\n") == [
        "1 labelled row, 0 of them right",
        "  Ada met Bob",
        "    true       Ada (PER), Bob (PER)",
        "    predicted  Ada (PER)",
    ]
    assert "Bob" in Reader(found._repr_html_()).text


def test_scenes_are_drawn_from_their_score_on():
    right, wrong = box("cat", 0, 0, score=0.7), box("cat", 100, 100, score=0.2)
    found = scene_examples(Scenes([scene([box("cat", 0, 0)], [right, wrong])], score=0.7, classes=["cat"]))
    assert repr(found) == (
        "1 labelled row; boxes with a score of 70% or more\npicture 1: 1 of 1 object found\n  cat 70% (0, 0, 40, 40)"
    )
    read = Reader(found._repr_html_())
    assert "cat 70%" in read.text
    assert "cat 20%" not in read.text


def test_the_worst_misses_stand_below_the_other_scenes():
    plain, missed = scene([box("cat", 0, 0)], [box("cat", 0, 0, score=0.9)]), scene([box("dog", 50, 50)], [])
    found = scene_examples(Scenes([plain], [missed], looked_at=72))
    before, after = repr(found).split("The worst misses of 72 rows: ")
    assert "cat 90%" in before
    assert after.splitlines()[1:] == ["picture 1: 0 of 1 object found", "  dog (50, 50, 90, 90)  (missed)"]
    text = Reader(found._repr_html_()).text
    assert text.index("cat 90%") < text.index("The worst misses of 72 rows") < text.index("missed dog")


def test_no_rows_are_no_error():
    for make in (picture_examples, row_examples, tagged_examples, lambda rows: scene_examples(Scenes(rows))):
        assert repr(make([])).startswith("0 labelled rows")
        Reader(make([])._repr_html_())
