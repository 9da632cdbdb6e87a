"""Boxes follow the pixels of every step: compared with a drawn mask, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparknn_magic import registry
from sparknn_magic.data.boxes import geometry
from sparknn_magic.data.boxes.geometry import KEPT, corners, judged, moved, placed, placement
from sparknn_magic.data.boxes.job import BEYOND, EMPTY, INVERTED, NOT_FINITE, OUTSIDE, BoxRules

SIDE = st.integers(20, 90)
STEPS = st.one_of(
    st.tuples(st.just("resize"), st.fixed_dictionaries({"size": st.tuples(SIDE, SIDE)})),
    st.tuples(st.just("letterbox"), st.fixed_dictionaries({"size": st.tuples(SIDE, SIDE), "fill": st.just(0)})),
    st.tuples(st.just("center_crop"), st.fixed_dictionaries({"size": st.tuples(SIDE, SIDE)})),
    st.tuples(st.just("pad"), st.fixed_dictionaries({"padding": st.tuples(*[st.integers(0, 9)] * 4)})),
    st.tuples(st.sampled_from(["rgb", "grayscale"]), st.just({})),
)


def built(*steps):
    return [registry.get("preprocessor", name).build(**options) for name, options in steps]


@st.composite
def pictures(draw):
    """The size of a picture, and a box in it."""
    width, height = draw(SIDE), draw(SIDE)
    x1, y1 = draw(st.integers(0, width - 4)), draw(st.integers(0, height - 4))
    return width, height, (x1, y1, draw(st.integers(x1 + 4, width)), draw(st.integers(y1 + 4, height)))


@settings(max_examples=200, deadline=None)
@given(pictures(), STEPS)
def test_a_box_goes_where_a_step_moves_its_pixels(picture, step):
    width, height, (x1, y1, x2, y2) = picture
    mask = np.zeros((height, width), np.uint8)
    mask[y1:y2, x1:x2] = 255
    (function,) = built(step)
    image = function(Image.fromarray(mask))
    place, size = placement([function], width, height)
    assert size == image.size
    box = geometry.cut(moved(np.array([[x1, y1, x2, y2]], float), np.array(place)), *size)[0]
    if (box[2:] - box[:2]).min() < 3:
        return  # a few pixels are left, or none
    drawn = np.asarray(image.convert("L")) >= 128
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    assert np.abs(box - [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).max() < 1


@settings(max_examples=100, deadline=None)
@given(pictures(), st.lists(STEPS, min_size=2, max_size=4))
def test_a_box_goes_through_several_steps_as_through_one_after_the_other(picture, steps):
    width, height, box = picture
    functions = built(*steps)
    expected, size = np.array([box], float), (width, height)
    for function in functions:
        place, size = placement([function], *size)
        expected = moved(expected, np.array(place))
    place, last = placement(functions, width, height)
    assert last == size
    np.testing.assert_allclose(moved(np.array([box], float), np.array(place)), expected, atol=1e-9)


def test_places_are_composed_in_the_order_of_the_steps():
    steps = built(("pad", {"padding": 10}), ("resize", {"size": (60, 30)}), ("center_crop", {"size": (40, 40)}))
    # 100 x 40 -> 120 x 60 -> 30 x 60 -> 40 x 40: five columns are added on each side, ten rows cut at each end
    assert placed(steps, 100, 40) == (0.25, 1.0, 10 * 0.25 + 5, 10 - 10)


def test_a_letterbox_scales_both_sides_by_whole_pixels():
    assert placed(built(("letterbox", {"size": 64})), 100, 50) == (0.64, 0.64, 0, 16)
    assert placed(built(("letterbox", {"size": 64})), 99, 50) == pytest.approx((64 / 99, 32 / 50, 0, 16))


def test_the_three_formats_and_both_units_say_the_same_box():
    box = np.array([[10.0, 20.0, 40.0, 60.0]])
    same = {"xyxy": [10, 20, 40, 60], "xywh": [10, 20, 30, 40], "cxcywh": [25, 40, 30, 40]}
    for name, numbers in same.items():
        assert corners(np.array([numbers], float), 200, 100, BoxRules(name)) == pytest.approx(box)
        shares = np.array([numbers], float) / [200, 100, 200, 100]
        assert corners(shares, 200, 100, BoxRules(name, "fractions")) == pytest.approx(box)


BAD = {
    (10, 10, 30, 30): (KEPT, False, [10, 10, 30, 30]),
    (0, 0, 60, 40): (KEPT, False, [0, 0, 60, 40]),
    (-0.3, 0, 60.4, 40): (KEPT, False, [0, 0, 60, 40]),  # rounding
    (-5, 10, 30, 45): (KEPT, True, [0, 10, 30, 40]),
    (30, 10, 10, 30): (INVERTED, False, None),
    (10, 10, 10, 30): (EMPTY, False, None),
    (70, 10, 90, 30): (OUTSIDE, False, None),
    (-9, 0, 0, 30): (OUTSIDE, False, None),
    (10, np.nan, 20, 30): (NOT_FINITE, False, None),
    (10, 10, np.inf, 30): (NOT_FINITE, False, None),
}


@pytest.mark.parametrize("box", BAD)
def test_each_bad_box_of_a_60_x_40_picture_has_its_reason(box):
    found, reasons, clipped = judged(np.array([box], float), 60, 40, BoxRules())
    reason, was_clipped, kept = BAD[box]
    assert (reasons[0], clipped[0]) == (reason, was_clipped)
    if kept is not None:
        assert found[0].tolist() == kept


def test_drop_leaves_out_what_clip_cuts():
    boxes = np.array([[-5.0, 10, 30, 45], [-0.3, 0, 60.4, 40]])
    _, reasons, clipped = judged(boxes, 60, 40, BoxRules(bad="drop"))
    assert reasons.tolist() == [BEYOND, KEPT]
    assert not clipped.any()
