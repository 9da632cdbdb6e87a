"""Scored rows as HTML and as text, whatever the rows are."""

import numpy as np
import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.looking import read_count
from sparknn_magic.show.entities import tagged_text
from sparknn_magic.show.predictions import (
    Answer,
    entity_answers,
    picture_answers,
    scene_answers,
    table_answers,
    text_answers,
)
from tests.show.box_cases import box
from tests.show.conftest import HOSTILE
from tests.show.test_report import Reader

SMALL = np.zeros((28, 28, 1), np.uint8)
PHOTO = (np.add.outer(np.arange(600), np.arange(400))[..., None] + np.array([0, 40, 80])) % 256
PHOTO = PHOTO.astype(np.uint8)


def test_a_picture_has_its_label_and_score_or_the_reason_in_place():
    found = picture_answers(
        "scored",
        [
            Answer({"id": 7}, label="Bag", score=0.987, picture=SMALL),
            Answer({"id": 8}, label="Coat", score=0.512, picture=SMALL),
            Answer({"id": 9}, error="the file is cut short"),
        ],
    )
    assert repr(found) == (
        "scored\n"
        "  id  prediction                           score\n"
        "  7   Bag                      ██████████  98.7%\n"
        "  8   Coat                     █████░░░░░  51.2%\n"
        "  9   ✗ the file is cut short"
    )
    read = Reader(found._repr_html_())
    for words in ("Bag", "98.7%", "id 7", "no picture", "✗ the file is cut short"):
        assert words in read.text
    assert 'style="width: 51%"' in found._repr_html_()
    assert [address[:15] for address in read.loads] == ["data:image/png;"] * 2


def test_a_hundred_photos_stay_small():
    html = picture_answers("", [Answer(label="x", score=0.5, picture=PHOTO)] * 100)._repr_html_()
    assert "data:image/jpeg;" in html
    assert len(html) < 3_000_000


def test_a_picture_may_have_a_number_for_an_answer():
    found = picture_answers("", [Answer(value=12.5, picture=SMALL)])
    assert repr(found).split("\n")[2].split() == ["12.5"]
    assert "12.5" in Reader(found._repr_html_()).text


def test_texts_have_their_label_with_a_bar_and_a_tint_that_deepens_with_the_score():
    sure = Answer({"id": 1}, label="refund", score=0.96, texts=["I want my money back"])
    unsure = Answer({"id": 2}, label="other", score=0.31, texts=["hello", "second"])
    failed = Answer({"id": 3}, error="empty text", texts=[""])
    found = text_answers("scored", [sure, unsure, failed])
    assert repr(found) == (
        "scored\n"
        "  id  prediction                score  text\n"
        "  1   refund        ██████████  96.0%  I want my money back\n"
        "  2   other         ███░░░░░░░  31.0%  hello | second\n"
        "  3   ✗ empty text"
    )
    html = found._repr_html_()
    assert "✗ empty text" in Reader(html).text
    assert html.index("rgba(0, 114, 178, 0.46)") < html.index("refund") < html.index("rgba(0, 114, 178, 0.20)")


def test_entities_are_marked_in_the_text():
    tagged = tagged_text("Ada met Bob", [], [(0, 3, "PER 98%"), (8, 11, "PER 61%")])
    found = entity_answers("scored", [Answer({"id": 1}, tagged=tagged), Answer({"id": 2}, error="null text")])
    assert repr(found) == ("scored\n  id 1: Ada met Bob\n    Ada (PER 98%), Bob (PER 61%)\n  id 2:\n    ✗ null text")
    html = found._repr_html_()
    assert "<mark>Ada<small>PER 98%</small></mark> met <mark>Bob" in html
    assert "✗ null text" in Reader(html).text


def test_boxes_are_drawn_in_the_picture_that_is_shown_and_told_in_the_one_that_is_stored():
    objects = [box("cat", 100, 60, score=0.91), box("cat", 0, 0, score=0.55), box("dog", 8, 8, score=0.2)]
    answers = [
        Answer({"id": 1}, objects=objects, picture=PHOTO[:240, :320], scale=0.5),
        Answer({"id": 2}, error="null"),
    ]
    found = scene_answers("scored", answers, ["cat", "dog"])
    assert repr(found) == (
        "scored; boxes with a score of 50% or more\n"
        "picture 1 (id 1): 2 objects: 2 cat\n"
        "  cat 91% (100, 60, 140, 100)\n"
        "  cat 55% (0, 0, 40, 40)\n"
        "picture 2 (id 2): ✗ null"
    )
    html = found._repr_html_()
    # 320 pixels across are 360 on the page: the corner at 100 is at 50 of the smaller picture.
    assert f'x="{50 * 360 / 320:.1f}"' in html
    assert "cat 91%" in Reader(html).text
    assert "dog" not in Reader(html).text


def test_a_picture_whose_boxes_are_all_unsure_says_so():
    found = scene_answers("", [Answer(objects=[box("cat", 0, 0, score=0.2)], picture=SMALL)], ["cat"])
    assert "nothing found; 1 box below 50%" in repr(found)


def test_whatever_stands_in_a_row_shows_as_text():
    strange = {"columns": {HOSTILE: HOSTILE}, "label": HOSTILE, "score": 0.5}
    tagged = tagged_text(HOSTILE, [], [(0, 4, HOSTILE)])
    failed = Answer({HOSTILE: HOSTILE}, error=HOSTILE)
    for found in (
        picture_answers(HOSTILE, [Answer(**strange, picture=SMALL), failed]),
        text_answers(HOSTILE, [Answer(**strange, texts=[HOSTILE]), failed]),
        entity_answers(HOSTILE, [Answer({HOSTILE: HOSTILE}, tagged=tagged), failed]),
        scene_answers(HOSTILE, [Answer(objects=[box(HOSTILE, 0, 0, score=0.9)], picture=SMALL), failed], [HOSTILE]),
        table_answers(HOSTILE, [{HOSTILE: HOSTILE}]),
    ):
        read = Reader(found.page())
        assert read.handlers == []
        assert read.text.count("<img") >= 2
        assert all(address.startswith("data:image/") for address in read.loads)
        assert repr(found).count("<img") >= 2


def test_no_rows_are_no_error():
    for make in (picture_answers, text_answers, entity_answers, lambda t, a: scene_answers(t, a, [])):
        assert repr(make("none", [])).startswith("none")
        Reader(make("none", [])._repr_html_())


def test_a_number_of_rows_is_read_or_refused():
    assert [read_count(text) for text in ("0", "12", 100)] == [0, 12, 100]
    for wrong in ("101", "-1", "x", "1.5", ""):
        with pytest.raises(SpecError) as caught:
            read_count(wrong)
        assert str(caught.value) == f"show: '{wrong}' is no number of rows.\nWrite a whole number from 0 to 100."
