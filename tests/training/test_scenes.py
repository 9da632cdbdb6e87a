"""Pictures with boxes through the training loop: the front, the figure, losses of the architecture's own, two ranks."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from sparknn_magic import registry
from sparknn_magic.plugin import DetectionInputs, Part, Target
from sparknn_magic.training.job import TRAIN, VALIDATION, TrainJob, scene_rows
from sparknn_magic.training.picture_ap import PictureAp50, average_precision, keep_apart, overlap
from sparknn_magic.training.scenes import Scenes, packed
from sparknn_magic.training.steps import choose_precision, cpu_has_bfloat16
from tests.training.ranks import fit

INPUTS = DetectionInputs(1, 32, 48, (8.0, 9.0, 10.0, 11.0, 12.0))
SMALL = {"width": 8, "channels": 16, "stride": 4}


def job(folder, **changes):
    values = {
        "attempt": "a",
        "folder": str(folder),
        "fingerprint": "f",
        "architecture": Part("sparknn_zoo.detection.centernet:centernet", SMALL),
        "rows": scene_rows(INPUTS, (0.3,), (0.3,)),
        "outputs": 1,
        "loss": Part("sparknn_magic.spec.resolve:nothing", {}),
        "optimizer": Part("sparknn_zoo.optimizers.adamw:adamw", {"lr": 0.003}),
        "schedule": Part("sparknn_zoo.schedules.constant:constant", {}),
        "target": Target(("bright",), (10,)),
        "figure": "picture_ap50",
        "measure": Part("sparknn_magic.training.picture_ap:picture_ap50"),
        "watch": "validation_picture_ap50",
        "augment": (Part("sparknn_zoo.augment.flip:random_horizontal_flip", {}),),
        "epochs": 2,
        "batch_size": 8,
        "precision": "float32",
    }
    return TrainJob(**(values | changes))


def scenes(count, *, seed=0, split=TRAIN):
    """Grey noise with none to two bright squares, and where they are."""
    draw = np.random.default_rng(seed)
    pictures = draw.integers(0, 90, (count, 32, 48, 1)).astype(np.uint8)
    rows = []
    for picture in pictures:
        found = []
        for half in range(int(draw.integers(0, 3))):
            side, x, y = int(draw.integers(8, 13)), int(draw.integers(0, 11)) + 24 * half, int(draw.integers(0, 19))
            picture[y : y + side, x : x + side] += 140
            found.append([0, x, y, x + side, y + side])
        rows.append(np.array(found, np.float32).tobytes())
    return pa.RecordBatch.from_pydict(
        {
            "split": pa.array(np.full(count, split, np.int32)),
            "row": pa.array(draw.integers(-(2**62), 2**62, count)),
            "image": pa.array([p.tobytes() for p in pictures], pa.binary()),
            "boxes": pa.array(rows, pa.binary()),
        }
    )


def test_a_detector_learns_bright_squares_and_the_best_epoch_is_that_of_the_figure(tmp_path):
    schedule = Part("sparknn_zoo.schedules.one_cycle:one_cycle", {})
    task = job(tmp_path, epochs=12, schedule=schedule)
    done = fit(task, [scenes(96), scenes(24, seed=1, split=VALIDATION)])
    figures = [epoch["validation_picture_ap50"] for epoch in done.history]
    assert max(figures) > 0.8
    assert figures[done.said["best_epoch"] - 1] == max(figures)
    assert [epoch["train_picture_ap50"] for epoch in done.history] == [None] * 12


def test_pictures_without_boxes_do_not_choose_the_epoch(tmp_path):
    def validation(keep):
        rows = scenes(24, seed=1, split=VALIDATION)
        boxes = [box if i < keep else b"" for i, box in enumerate(rows.column("boxes").to_pylist())]
        return rows.set_column(3, "boxes", pa.array(boxes, pa.binary()))

    learnt = scenes(96)
    # Where nothing is found anywhere, as at first, background is never wrong: it must have no say.
    some = fit(job(tmp_path / "some", epochs=6), [learnt, validation(4)])
    figures = [epoch["validation_picture_ap50"] for epoch in some.history]
    assert figures[some.said["best_epoch"] - 1] == max(figures) > figures[0]
    none = fit(job(tmp_path / "none", epochs=3, patience=1), [learnt, validation(0)])
    assert [epoch["validation_picture_ap50"] for epoch in none.history] == [None] * 3
    assert none.said["best_epoch"] == 3


def test_two_ranks_train_together_and_one_may_have_background_alone(tmp_path):
    background = scenes(9, seed=3)
    nothing = background.set_column(3, "boxes", pa.array([b""] * 9, pa.binary()))
    done = fit(job(tmp_path), [scenes(8)], [nothing])
    assert done.said["history"][-1]["train_loss"] < done.said["history"][0]["train_loss"] * 1.5
    assert all(value.isfinite().all() for value in done.state().values())


def test_the_same_seed_gives_the_same_weights(tmp_path):
    mosaic = Part("sparknn_zoo.augment.mosaic:mosaic", {"p": 0.5})
    first, again = (fit(job(tmp_path / n, epochs=1, augment=(mosaic,)), [scenes(16)]) for n in "ab")
    assert first.weights == again.weights


def test_rows_without_any_box_give_no_boxes_and_others_are_read_whole():
    front = Scenes(mean=(0.5,), std=(0.25,)).eval()
    x, boxes = front(torch.full((2, 4, 6, 1), 255, dtype=torch.uint8), torch.tensor([[-1.0], [-1.0]]))
    assert boxes.shape == (2, 0, 5)
    assert torch.allclose(x, torch.tensor(2.0))
    flat = torch.tensor([[1.0, 0, 1, 2, 3, 0, 1, 1, 4, 4], [2, 0, 0, 6, 4, -1, -1, -1, -1, -1]])
    assert front(torch.zeros(2, 4, 6, 1, dtype=torch.uint8), flat)[1].tolist() == flat.reshape(2, 2, 5).tolist()
    assert front.target is not None


def test_places_without_a_box_in_any_picture_are_left_out():
    boxes = torch.full((2, 4, 5), -1.0)
    boxes[0, 1], boxes[0, 3], boxes[1, 2] = 1.0, 3.0, 2.0
    assert packed(boxes)[..., 0].tolist() == [[1, 3], [2, -1]]
    assert packed(boxes[:, :1]).shape == (2, 0, 5)


@pytest.mark.parametrize("name", ["scale_jitter", "random_affine", "random_rotation", "random_resized_crop", "mixup"])
def test_pictures_and_boxes_move_alike_whatever_the_network_computes_in(name):
    """bfloat16 has eight bits: a place beyond 256 pixels would be wrong by one, and the boxes beside their things."""
    draw = np.random.default_rng(0)
    images = torch.from_numpy(draw.integers(0, 256, (2, 320, 300, 3)).astype(np.uint8))
    boxes = torch.tensor([[0.0, 201, 203, 259, 301], [1.0, 31, 150, 290, 311]])
    front = Scenes(mean=(0.5,) * 3, std=(0.25,) * 3).train()
    front.augment = (registry.get("augmentation", name).build(),)
    found = []
    for enabled in (False, True):
        torch.manual_seed(4)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(front(images, boxes))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


class Fixed:
    """A detector that has found something already."""

    def __init__(self, nms=None):
        self.nms = nms

    def detections(self, raw):
        return raw


def test_average_precision_is_that_of_the_ranked_detections():
    truth = np.array([[0, 0, 0, 10, 10], [1, 20, 20, 40, 40], [0, 50, 50, 60, 60]], np.float32)
    found = np.array(
        [
            [0, 0, 0, 10, 9, 0.9],  # right
            [0, 0, 0, 10, 10, 0.8],  # the same again: wrong
            [0, 20, 20, 40, 40, 0.7],  # another class: wrong
            [1, 20, 20, 40, 38, 0.6],  # right
        ],
        np.float32,
    )
    # Precision 1 at the first true box, 2/4 at the second, 0 at the third.
    assert average_precision(found, truth) == pytest.approx((1 + 0.5 + 0) / 3)
    assert average_precision(found[:0], truth) == 0
    assert np.isnan(average_precision(found, truth[:0]))
    assert np.isnan(average_precision(found[:0], truth[:0]))


def test_the_figure_is_taken_of_each_picture_with_nms_within_a_class_alone():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 9.5], [30, 30, 40, 40]]]).repeat(2, 1, 1)
    scores = torch.tensor([[[0.9, 0], [0.8, 0], [0, 0.7]]]).repeat(2, 1, 1)
    target = torch.tensor([[[0.0, 0, 0, 10, 10], [1, 30, 30, 40, 40]], [[-1.0] * 5, [-1.0] * 5]])
    apart = PictureAp50()((boxes, scores), target, Fixed(0.6))
    assert apart.tolist() == pytest.approx([1.0, np.nan], nan_ok=True)
    doubled = PictureAp50()((boxes, scores), target, Fixed())
    assert float(doubled[0]) == pytest.approx((1 + 2 / 3) / 2)
    many = torch.tensor([[20.0 * x, 0, 20 * x + 9, 9] for x in range(150)])[None]
    truth = torch.cat([torch.zeros(1, 150, 1), many], 2)
    for nms in (None, 0.6):
        repeated = many.repeat_interleave(8, 1)  # as cells around a centre give it
        once = torch.zeros(1, 150, 8).index_fill(2, torch.tensor([0]), 0.8)
        heights = once if nms is None else once + 0.1
        figure = PictureAp50()((repeated, heights.reshape(1, -1, 1)), truth, Fixed(nms))
        assert figure.tolist() == pytest.approx([1.0])
    found = np.array([[0, 0, 0, 10, 10, 0.9], [1, 0, 0, 10, 10, 0.8], [0, 0, 0, 10, 9, 0.7]], np.float32)
    assert keep_apart(found, 0.6).tolist() == [0, 1]
    assert float(overlap(found[:1, 1:5], found[2:, 1:5])[0, 0]) == pytest.approx(0.9)


def test_auto_is_bfloat16_on_a_cpu_for_networks_that_say_so_where_it_has_it(tmp_path):
    class Says(torch.nn.Module):
        bfloat16_on_cpu = True

    auto, cpu = replace(job(tmp_path), precision="auto"), torch.device("cpu")
    assert choose_precision(auto, cpu, torch.nn.Module()) == torch.float32
    wanted = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    assert choose_precision(auto, cpu, Says()) == wanted
    assert choose_precision(job(tmp_path), cpu, Says()) == torch.float32
