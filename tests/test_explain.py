"""What answers hang on: weights against networks whose reasons are known, and how they are shown."""

import numpy as np
import pytest
import torch
from torch import nn

from sparknn_magic.explaining import around, box_weights, picture_weights, text_weights
from sparknn_magic.infer.worker import make_session
from sparknn_magic.show.example import Example, Row
from sparknn_magic.show.explained import BoxReason, box_reasons, heat, picture_reasons, text_reasons
from sparknn_magic.show.misses import Box
from sparknn_zoo.detection.explained import surest
from tests.benchmarks.rounds import export


class Corner(nn.Module):
    """The brighter the upper left quarter, the more it is class 1."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([-1.0, 1.0]))

    def forward(self, x):
        return x[:, :, :12, :12].mean((1, 2, 3))[:, None] * self.weight


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return make_session(str(export(Corner(), tmp_path_factory.mktemp("explain") / "corner.onnx", 24)))


def picture():
    pixels = np.full((24, 24, 3), 20, np.uint8)
    pixels[:12, :12] = 240
    return pixels


def test_the_part_that_decides_has_the_weight_and_the_rest_has_none(session):
    pixels = picture()
    score = session.run(["probabilities"], {"image": pixels[None]})[0][0, 1]
    assert score > 0.8
    weights = picture_weights(session, pixels, 1)
    assert weights.shape == (24, 24)
    assert weights[2:10, 2:10].min() > 0.02
    assert np.abs(weights[18:, 18:]).max() < 1e-6
    against = picture_weights(session, pixels, 0)
    np.testing.assert_allclose(against, -weights, atol=1e-5)  # of two classes


def refunds(rows):
    """Class 1 by 0.3 for each word `refund` and by 0.1 for each sign of wonder, from 0.2 on."""
    score = [0.2 + 0.3 * sum(t.count("refund") for t in row) + 0.1 * sum(t.count("!") for t in row) for row in rows]
    return np.array([[1 - s, s] for s in score], np.float32)


def test_a_words_weight_is_what_the_score_loses_without_it():
    ((*spans,),) = text_weights(refunds, ("I want a refund!",), 1)
    assert [("I want a refund!"[a:b], round(weight, 4)) for a, b, weight in spans] == [
        ("I", 0.0),
        ("want", 0.0),
        ("a", 0.0),
        ("refund", 0.3),
        ("!", 0.1),
    ]
    first, second = text_weights(refunds, ("no", "my refund"), 0)
    assert [round(weight, 4) for *_, weight in first] == [0.0]
    assert [round(weight, 4) for *_, weight in second] == [0.0, -0.3]


def test_scripts_without_spaces_are_hidden_letter_by_letter():
    def money(rows):
        return np.array([[0.9 - 0.5 * ("款" in text), 0.1 + 0.5 * ("款" in text)] for (text,) in rows], np.float32)

    ((*spans,),) = text_weights(money, ("我要退款 now",), 1)
    assert [("我要退款 now"[a:b], round(weight, 4)) for a, b, weight in spans] == [
        ("我", 0.0),
        ("要", 0.0),
        ("退", 0.0),
        ("款", 0.5),
        ("now", 0.0),
    ]
    assert text_weights(money, (" ",), 1) == [[]]


def test_what_speaks_for_an_answer_is_orange_and_what_speaks_against_it_blue():
    weights = np.zeros((24, 24), np.float32)
    weights[0, 0], weights[23, 23] = 0.4, -0.4
    shown = heat(picture(), weights)
    red, blue = shown[0, 0].astype(int), shown[-1, -1].astype(int)
    assert red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50
    assert (shown[60, 60] == shown[60, 60, 0]).all()  # grey where nothing hangs on it


def test_mistakes_are_told_in_words_and_escaped():
    evil = "<img src=x onerror=alert(1)>"
    row = Row({"text": f"refund {evil}"}, "refund", evil, 0.91)
    found = text_reasons([(row, [[(0, 6, 0.5), (7, 8, -0.2)]])], [False])
    assert "<img src=x" not in found.html
    assert "&lt;img src=x onerror=alert(1)&gt;" in found.html
    assert found.title == "1 mistake, the most confident first"
    assert found.text == f"  ✗ {evil} 91%, is refund: for it refund 50.0%; against it < 20.0%"
    weights = np.zeros((24, 24), np.float32)
    weights[12, 6] = 0.25
    seen = picture_reasons([(Example(picture(), "1", "1", 0.97), weights)])
    assert seen.title == "no mistakes on these rows, and 1 right answer"
    assert seen.text == "  ✓ 1 97%: hidden 25 % from the left, 50 % from the top, the score is 25.0% lower"
    assert seen.html.count("data:image/png;base64,") == 2


BOX = np.array([20.0, 20.0, 32.0, 32.0])


def lamps(images):
    """Find class 1 at `BOX`: by 0.5 for its own light, and by 0.4 for that of the lamp above it; and class 0 beside."""
    light, lamp = (images[:, rows, 20:32].mean((1, 2, 3)) / 255 for rows in (slice(20, 32), slice(8, 16)))
    boxes = np.tile(np.array([BOX, BOX + 1, BOX + 30], np.float32), (len(images), 1, 1))
    scores = np.stack([0.5 * light + 0.4 * lamp, np.full(len(images), 0.95), np.full(len(images), 0.9)], 1)
    count = (2 + (light > 0)).astype(np.int64)
    return boxes, scores.astype(np.float32), np.tile([1, 0, 1], (len(images), 1)), count


def test_a_boxs_weights_are_what_it_loses_and_other_classes_and_places_do_not_count():
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[20:32, 20:32] = pixels[8:16, 20:32] = 255
    weights = box_weights(lamps, pixels, 1, BOX)
    rows, columns = around(BOX, 64, 64)
    assert (rows, columns) == (slice(8, 45), slice(8, 45))
    outside = weights.copy()
    outside[rows, columns] = 0
    assert (outside == 0).all()
    assert weights[20:32, 20:32].mean() > 0.05
    assert weights[9:15, 22:30].mean() > 0.05  # the lamp above it
    assert np.abs(weights[41:45, 41:45]).max() < 0.02
    assert weights.shape == (64, 64)


@pytest.mark.parametrize(("side", "most"), [(64, 64), (640, 10), (2100, 1)])
def test_the_larger_pictures_are_the_fewer_go_to_the_network_at_once(side, most):
    asked = []

    def nothing(images):
        asked.append(images.shape)
        return tuple(np.zeros((len(images), *shape)) for shape in ((1, 4), (1,), (1,), ()))

    box_weights(nothing, np.zeros((side, side, 3), np.uint8), 0, BOX * side / 64)
    assert {shape[1:] for shape in asked} == {(side, side, 3)}
    assert max(shape[0] for shape in asked) == most
    assert sum(shape[0] for shape in asked) > 100


def test_false_boxes_come_first_and_say_what_is_there():
    cup, jug = Box("cup", 0, 0, 10, 10), Box("jug", 20, 20, 30, 30)
    right, twice = Box("cup", 0, 0, 10, 9, 0.8), Box("cup", 0, 0, 10, 8, 0.8)
    unsure = Box("jug", 0, 0, 9, 9, 0.2)  # below the score that divides them best
    other, nothing = Box("cup", 20, 20, 30, 29, 0.9), Box("cup", 50, 50, 60, 60, 0.95)
    both = [
        ((cup,), (right, unsure)),
        ((cup, jug), (right, other)),
        ((cup,), (right, twice)),
        ((), (nothing,)),
        ((), ()),
    ]
    wrong = [(3, nothing, False, ""), (1, other, False, "jug"), (2, twice, False, "")]
    assert surest(both) == [*wrong, (0, right, True, "")]


def test_boxes_are_told_in_words_and_drawn_twice():
    evil = "<img src=x onerror=alert(1)>"
    weights = np.zeros((24, 30), np.float32)
    weights[2, 3] = 0.4
    image = np.full((24, 30, 3), 90, np.uint8)
    box = Box(evil, 8, 8, 16, 20, 0.91)
    some = [
        BoxReason(image, box, weights, False),
        BoxReason(image[..., :1], Box("cup", 0, 0, 9, 9, 0.8), weights, True),
    ]
    found = box_reasons([*some, BoxReason(image, Box("cup", 0, 0, 9, 9, 0.7), weights, False, "jug")])
    assert "<img src=x" not in found.html
    assert found.html.count("data:image/png;base64,") == 6
    assert found.title == "2 mistakes, the most confident first, and 1 right answer"
    assert found.text.splitlines() == [
        f"  ✗ {evil} 91%, there is none: hidden beside its box, the score is 40.0% lower",
        "  ✓ cup 80%: hidden in its box, the score is 40.0% lower",
        "  ✗ cup 70%, is jug: hidden in its box, the score is 40.0% lower",
    ]
