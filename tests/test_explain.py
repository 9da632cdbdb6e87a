"""What answers hang on: weights against networks whose reasons are known, and how they are shown."""

import numpy as np
import pytest
import torch
from torch import nn

from sparknn_magic.explaining import picture_weights, text_weights
from sparknn_magic.infer.worker import make_session
from sparknn_magic.show.example import Example, Row
from sparknn_magic.show.explained import heat, picture_reasons, text_reasons
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
