"""Boxes on pictures: which one finds which, what is worth a look, and how it is drawn."""

import re
from dataclasses import replace

import numpy as np
import pytest

from sparknn_magic.show.boxes import Box, Scene, Scenes, class_colours, scene_svg, scene_text
from sparknn_magic.show.misses import best_score, matched, missed, overlaps, picked
from sparknn_magic.show.report import report_html
from tests.show.box_cases import box, detector_meta, scene
from tests.show.test_report import Reader


def test_overlaps_are_those_computed_by_hand():
    # Two squares of 40, the second moved by 20: 20 * 40 common of 2 * 1600 - 800.
    found = overlaps([box("a", 0, 0), Box("a", 0, 0, 0, 0)], [box("b", 20, 0), box("b", 100, 0)])
    np.testing.assert_allclose(found, [[800 / 2400, 0], [0, 0]])


def test_the_surest_box_of_the_class_finds_a_true_one_and_none_finds_it_twice():
    true = [box("cat", 0, 0), box("cat", 100, 0)]
    predicted = [box("cat", 2, 0, score=0.6), box("cat", 0, 0, score=0.5), box("dog", 100, 0, score=0.9)]
    assert matched(true, predicted) == [0, None, None]
    predicted[1] = box("cat", 0, 0, score=0.7)
    assert matched(true, predicted) == [None, 0, None]


def test_a_box_finds_one_that_it_overlaps_by_half_and_no_less():
    true = [Box("cat", 0, 0, 100, 100)]
    assert matched(true, [Box("cat", 0, 0, 100, 50, 0.9)]) == [0]
    assert matched(true, [Box("cat", 0, 0, 100, 49, 0.9)]) == [None]


def test_nothing_matches_nothing():
    assert matched([], []) == []
    assert matched([], [box("cat", 0, 0, score=0.5)]) == [None]


def test_the_score_drawn_from_is_the_one_of_the_highest_f1():
    # Of three true boxes two are found above 0.6; all boxes below are wrong.
    true = [box("cat", 0, 0), box("cat", 100, 0), box("cat", 200, 0)]
    right = [box("cat", 0, 0, score=0.9), box("cat", 100, 0, score=0.6)]
    wrong = [box("cat", 0, 100 + 50 * n, score=0.3) for n in range(3)]
    assert best_score([(true, right + wrong)]) == pytest.approx(0.6)
    assert best_score([(true, wrong)]) == 0.5


def test_boxes_of_one_score_are_all_drawn_or_none():
    # With the true box alone F1 would be 1; its score is that of four wrong ones, and 0.9's single one is wrong.
    true = [box("cat", 0, 0)]
    level = [box("cat", 0, 0, score=0.4)] + [box("cat", 0, 60 * n, score=0.4) for n in range(1, 5)]
    assert best_score([(true, [box("dog", 0, 0, score=0.9), *level])]) == pytest.approx(0.4)


def test_the_worst_are_missed_objects_and_the_surest_false_boxes_by_turns():
    good = ([box("cat", 0, 0)], [box("cat", 0, 0, score=0.9)])
    blind = ([box("cat", 0, 0), box("dog", 100, 0)], [])
    small = ([box("dog", 100, 0, side=8)], [])
    sure = ([], [box("dog", 0, 0, score=0.95)])
    unsure = ([], [box("dog", 0, 0, score=0.91)])
    found = picked([good, small, unsure, blind, sure, good, good])
    assert found.score == pytest.approx(0.9)
    assert found.misses == [3, 4, 1, 2]
    assert picked([good] * 3).misses == []
    assert picked([]) == picked([], examples=3)


def test_a_box_of_another_class_on_an_object_is_no_miss_without_overlap():
    true = [box("cat", 0, 0)]
    assert missed(true, [box("dog", 4, 4, score=0.8)]) == []
    assert missed(true, [box("dog", 60, 60, score=0.8)]) == true
    assert missed([], [box("dog", 60, 60, score=0.8)]) == []


def test_examples_give_every_class_its_turn_and_keep_a_background():
    rows = [([box("cat", 0, 0)], [])] * 5 + [([box("dog", 0, 0)], []), ([], [])]
    assert picked(rows, examples=3).examples == [0, 5, 6]


def drawn(true, predicted, score=0.5, **more):
    shown = scene(true, predicted, **more)
    return scene_svg(shown, score, class_colours([shown], ["cat", "dog"]))


def test_predicted_boxes_are_solid_true_ones_dashed_and_unsure_ones_left_out():
    svg = drawn([box("cat", 0, 0)], [box("cat", 0, 0, score=0.876), box("dog", 100, 0, score=0.3)])
    boxes = re.findall(r'<rect [^>]*stroke="(#[0-9A-F]{6})"[^>]*>', svg)
    assert boxes == ["#E69F00", "#E69F00"]
    assert svg.count("stroke-dasharray") == 1
    assert Reader(svg).text.split("\n")[:-1] == ["cat 88%"]
    assert 'aria-label="1 of 1 object found"' in svg


def test_in_a_crowd_all_boxes_count_and_the_surest_are_drawn():
    places = [(30 * (n % 10), 30 * (n // 10)) for n in range(80)]
    true = [box("cat", *place, side=20) for place in places]
    svg = drawn(true, [box("cat", *place, side=20, score=0.9) for place in places])
    assert 'aria-label="80 of 80 objects found; the surest 60 are drawn"' in svg
    assert "missed" not in svg
    assert (svg.count("stroke-dasharray"), svg.count("cat 90%")) == (80, 60)


def test_what_is_wrong_is_said_beside_it_and_not_by_colour_alone():
    svg = drawn([box("cat", 0, 0)], [box("dog", 100, 0, score=0.9)])
    assert Reader(svg).text.split("\n")[:-1] == ["missed cat", "✗ dog 90%"]
    assert "0 of 1 object found, 1 false box" in svg


def test_boxes_lie_where_they_are_in_the_picture_at_the_size_of_the_page():
    # 720 pixels are drawn as 360: halves.
    svg = drawn([], [Box("cat", 100, 50, 300, 90, 0.9)], height=360, width=720)
    assert 'viewBox="0 0 360.0 180.0"' in svg
    assert svg.count('x="50.0" y="25.0" width="100.0" height="20.0"') == 2  # and its casing


def test_names_stay_on_the_page_and_in_the_language_of_the_label():
    svg = drawn([], [box("猫" * 30, 300, 0, score=0.9), box("<b>$&", 0, 200, score=0.8)])
    texts = [float(x) for x in re.findall(r'<text x="([-0-9.]+)"', svg)]
    widths = [float(w) for w in re.findall(r'width="([-0-9.]+)" height="13"', svg)]
    assert all(x >= 0 and x - 3 + w <= 360 for x, w in zip(texts, widths, strict=True))
    assert "&lt;b&gt;$&amp;" in svg
    assert "<b>" not in svg


@pytest.mark.parametrize("channels", [1, 3])
def test_small_pictures_are_kept_as_they_are_and_large_ones_shrunk(channels):
    small = drawn([], [], height=30, width=40, channels=channels)
    assert "data:image/png;base64," in small
    large = scene_svg(Scene(np.zeros((2000, 3000, channels), np.uint8), [], []), 0.5, {})
    assert "data:image/jpeg;base64," in large
    assert len(large) < 30_000


def test_a_scene_in_words_has_a_line_for_each_box():
    shown = scene([box("cat", 0, 0), box("dog", 90, 9)], [box("cat", 0, 0, score=0.9), box("dog", 1, 1, score=0.8)])
    assert scene_text(shown, 0.5).split("\n") == [
        "1 of 2 objects found, 1 false box",
        "  cat 90% (0, 0, 40, 40)",
        "  dog 80% (1, 1, 41, 41)  (false)",
        "  dog (90, 9, 130, 49)  (missed)",
    ]
    assert scene_text(scene([], []), 0.5) == "nothing there, nothing found"
    # Drawn at a quarter of its size: the words are of the picture itself.
    assert scene_text(replace(shown, scale=0.25), 0.5).split("\n")[1] == "  cat 90% (0, 0, 160, 160)"


def report(**changes):
    right = scene([box("cat", 0, 0)], [box("cat", 0, 0, score=0.93)])
    wrong = scene([box("dog", 20, 20)], [box("bird", 200, 100, score=0.88)])
    meta = detector_meta() | changes
    return report_html(meta, scenes=Scenes([right], [wrong], 0.42))


def test_the_report_of_a_detector_has_its_figures_pictures_and_misses():
    read = Reader(report())
    for words in (
        "mAP at IoU 0.5\n0.8213\n",
        "67 rows of test; 79 boxes, mean of the classes' average precision",
        "mAP, medium boxes\n0.5123\nup to 96 x 96 pixels",
        "Boxes with a score of 42% or more",
        "The worst misses\n",
        "missed dog\n✗ bird 88%",
        "Precision and recall\n",
        "dog\n0.6000\n0.8500\n39\n",
        "bird\n-\n-\n0\n",
        "Boxes to learn from\n1,234\n",
        "8 to 120 pixels in nine of ten, 40 in the median",
        "12 rows without any box",
        "5 at the picture's edges; one of them row 7: [-3, 2, 40, 50]",
        "3: 2 inverted, 1 without area; one of them row 9: [50, 2, 40, 50]",
        "With boxes that cannot be used\n2, not counted in any figure",
        "differ by at most 2.4e-06 in a score and 1.2e-03 pixels in a box on 812 detections in 67 rows, none changed",
    ):
        assert words in read.text
    assert "mAP, small boxes" not in read.text  # there are none
    assert all(address.startswith("data:image/") for address in read.loads)
    assert not {"script", "link", "iframe"} & set(read.tags)


def test_a_report_without_pictures_or_curves_leaves_these_parts_out():
    meta = detector_meta()
    meta["metrics"]["curves"] = {}
    text = Reader(report_html(meta)).text
    assert "Pictures" not in text
    assert "Precision and recall" not in text


def test_labels_of_any_kind_are_text_in_the_report(strange):
    shown = scene([box(strange[0], 0, 0)], [box(label, 20 * n, 0, score=0.9) for n, label in enumerate(strange)])
    html = report_html(detector_meta(strange), scenes=Scenes([shown], [shown], 0.5))
    assert Reader(html).handlers == []
    assert strange[0] not in html
