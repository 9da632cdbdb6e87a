"""Boxes move with their pictures: random boxes through every augmentation, compared with a mask drawn of each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparknn_magic import registry

HEIGHT, WIDTH, PICTURES, BOXES = 48, 64, 3, 2
NAMES = [
    name for name in registry.names("augmentation") if registry.get("augmentation", name).serves("object-detection")
]
MOVING = {
    "mixup": {"alpha": 1.0},
    "mosaic": {"p": 0.7},
    "random_affine": {"degrees": 15.0, "translate": 0.2, "scale": (0.7, 1.4), "shear": 10.0},
    "random_crop": {"padding": 12},
    "random_horizontal_flip": {},
    "random_resized_crop": {"scale": (0.3, 1.0)},
    "random_rotation": {"degrees": 25.0},
    "random_vertical_flip": {},
    "scale_jitter": {"scale": (0.5, 2.0), "stretch": 0.3},
}
TURNS = ("random_affine", "random_rotation")  # whose boxes are those around turned ones
CASES = [(name, options, name in TURNS) for name, options in MOVING.items()]
CASES.append(("random_affine", {"degrees": 0.0, "translate": 0.3, "scale": (0.7, 1.6), "shear": 0.0}, False))
SIDE = st.integers(8, 30)


@st.composite
def boxes(draw):
    """float32[PICTURES, BOXES, 5] of whole pixels, each of a class of its own; some places have none."""
    found = torch.full((PICTURES, BOXES, 5), -1.0)
    for n in range(PICTURES * BOXES):
        if draw(st.integers(0, 5)):
            wide, tall = draw(SIDE), draw(SIDE)
            x, y = draw(st.integers(0, WIDTH - wide)), draw(st.integers(0, HEIGHT - tall))
            found[n // BOXES, n % BOXES] = torch.tensor([n, x, y, x + wide, y + tall])
    return found


def drawn(target):
    """float32[PICTURES, a channel for each class, HEIGHT, WIDTH]: 1 inside the boxes of the class, else 0."""
    y, x = torch.arange(HEIGHT)[:, None] + 0.5, torch.arange(WIDTH) + 0.5
    masks = torch.zeros(len(target), PICTURES * BOXES, HEIGHT, WIDTH)
    for picture, rows in enumerate(target):
        for of, x1, y1, x2, y2 in rows.tolist():
            if of >= 0:
                inside = (x > x1) & (x < x2) & (y > y1) & (y < y2)
                masks[picture, int(of)] = torch.maximum(masks[picture, int(of)], inside.float())
    return masks


def around(mask):
    """x1, y1, x2, y2 around what a mask marks."""
    y, x = mask.nonzero().unbind(1)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]


def at_edge(box, slack=1.0):
    return box[0] < slack or box[1] < slack or box[2] > WIDTH - slack or box[3] > HEIGHT - slack


def test_no_augmentation_that_moves_boxes_is_left_out_here():
    assert {name for name in NAMES if hasattr(registry.get("augmentation", name).build(), "boxed")} == set(MOVING)


@pytest.mark.parametrize(("name", "options", "turned"), CASES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(target=boxes(), seed=st.integers(0, 1000))
def test_boxes_are_where_the_drawn_masks_are(name, options, turned, target, seed):
    step = registry.get("augmentation", name).build(**options)
    torch.manual_seed(seed)
    images, found = step.boxed(drawn(target), target, PICTURES)
    level = 0.25 - 1e-5 if name == "mixup" else 0.5
    seen, told = images >= level, drawn(found) > 0
    # Masks end at the picture's edges: a box that did not would look like one that does.
    assert found[..., 1:].max() <= WIDTH
    assert found[..., [2, 4]].max() <= HEIGHT
    assert (found[found[..., 0] >= 0] >= 0).all()
    for picture in range(PICTURES):
        for of in range(PICTURES * BOXES):
            mask, boxes_told = seen[picture, of], found[picture][found[picture, :, 0] == of][:, 1:]
            if not len(boxes_told):
                # Only of what is cut off to less than a quarter there may be no box.
                whole = mask.any() and not at_edge(around(mask))
                assert not (whole and mask.sum() > 4), (picture, of)
            elif turned:
                (box,), pixels = boxes_told.tolist(), around(mask)
                outside = [box[0] - pixels[0], box[1] - pixels[1], pixels[2] - box[2], pixels[3] - box[3]]
                assert max(outside) < 1.5, (box, pixels)
                if not at_edge(box):
                    assert min(outside) > -3, (box, pixels)
            else:
                # Along the outline a pixel may be on either side.
                outline = float((boxes_told[:, 2:] - boxes_told[:, :2]).sum() * 2)
                assert int((mask ^ told[picture, of]).sum()) <= outline + 4, (picture, of)


@pytest.mark.parametrize("name", MOVING)
def test_boxes_really_move_and_with_them_the_pixels(name):
    step = registry.get("augmentation", name).build(**MOVING[name])
    target = torch.tensor([[[n, 6.0 + 2 * n, 5, 30, 25]] for n in range(PICTURES)])
    images, pixels, moved = drawn(target), [], []
    torch.manual_seed(0)
    for _ in range(20):
        changed, found = step.boxed(images, target, PICTURES)
        for n in range(PICTURES):
            pixels.append(not torch.equal(changed[n], images[n]))
            moved.append(found[n][found[n, :, 0] >= 0].tolist() != target[n].tolist())
            assert pixels[-1] or not moved[-1]
    assert sum(pixels) >= sum(moved) > 0.3 * len(moved)


@pytest.mark.parametrize("name", NAMES)
def test_without_boxes_there_are_none_afterwards(name):
    step = registry.get("augmentation", name).build()
    if not hasattr(step, "boxed"):
        assert name in ("color_jitter", "gaussian_blur")
        return
    images = torch.rand(4, 3, HEIGHT, WIDTH)
    for nothing in (torch.zeros(4, 0, 5), torch.full((4, 3, 5), -1.0)):
        changed, found = step.boxed(images, nothing, 4)
        assert changed.shape == images.shape
        assert (found == -1).all()


@pytest.mark.parametrize("name", ["mosaic", "mixup"])
def test_rows_without_weight_are_in_no_other_picture_and_stay_as_they_are(name):
    images = torch.zeros(6, 1, 16, 16)
    images[4:] = 1
    target = torch.tensor([[[0.0, 2, 2, 12, 12]]]).repeat(6, 1, 1)
    target[4:, :, 0] = 7
    step = registry.get("augmentation", name).build(**({"p": 1.0} if name == "mosaic" else {"alpha": 1.0}))
    for seed in range(10):
        torch.manual_seed(seed)
        changed, found = step.boxed(images, target, 4)
        assert float(changed[:4].max()) == 0
        assert set(found[:4, :, 0].unique().tolist()) <= {-1.0, 0.0}
        assert torch.equal(changed[4:], images[4:])
        assert found[4, found[4, :, 0] >= 0].tolist() == target[4].tolist()


def test_a_mosaic_has_four_pictures_at_half_their_size_with_their_boxes():
    images = torch.arange(1, 5)[:, None, None, None].float().expand(4, 1, 8, 8) / 10
    target = torch.stack([torch.tensor([[float(n), 0, 0, 8, 4]]) for n in range(4)])
    torch.manual_seed(1)
    changed, found = registry.get("augmentation", "mosaic").build(p=1.0).boxed(images, target, 4)
    for picture in range(4):
        rows = found[picture][found[picture, :, 0] >= 0]
        assert len(rows) == 4
        for of, x1, y1, x2, y2 in rows.tolist():
            assert (x2 - x1, y2 - y1) == (4, 2)
            tile = changed[picture, 0, int(y1) : int(y1) + 4, int(x1) : int(x1) + 4]
            assert torch.allclose(tile, torch.tensor((of + 1) / 10))
        assert float(picture) in rows[:, 0].tolist()


def test_a_box_that_keeps_less_than_a_quarter_of_its_area_is_none():
    step = registry.get("augmentation", "random_crop").build(padding=8)
    target = torch.tensor([[[0.0, 0, 0, 10, 10]]]).repeat(300, 1, 1)
    torch.manual_seed(0)
    _, found = step.boxed(torch.zeros(300, 1, 20, 20), target, 300)
    kept = found[:, 0, 0] >= 0
    left = (found[kept, 0, 3:] - found[kept, 0, 1:3]).prod(1)
    assert 0.5 < kept.float().mean() < 1
    assert left.min() >= 25
    assert left.max() == 100
