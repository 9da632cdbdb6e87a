"""The native detectors: losses against numbers computed by hand, assignment, decoding, sizes, backbones, learning."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from sparknn_magic import registry
from sparknn_magic.errors import BundleError, SpecError
from sparknn_magic.plugin import DetectionInputs, ImageInputs
from sparknn_magic.training.picture_ap import PictureAp50
from sparknn_magic.training.pretrained import fitting, head_of
from sparknn_zoo.detection import backbones
from sparknn_zoo.detection.boxes import giou, iou
from sparknn_zoo.detection.centernet import (
    Platt,
    box_loss,
    certainty_loss,
    class_loss,
    class_scores,
    focal,
    gaussians,
    heat_target,
    owners,
    peaks,
)
from sparknn_zoo.detection.fcos import assign, quality_focal
from sparknn_zoo.vision.compact import stages

SMALL = {"width": 8, "channels": 16}
BOTH = pytest.mark.parametrize("name", ["centernet", "fcos"])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def build(name, inputs=None, outputs=3, **options):
    inputs = inputs or DetectionInputs(3, 64, 96, (8.0, 12.0, 20.0, 30.0, 40.0))
    return registry.get("architecture", name).build(inputs, outputs, **{**SMALL, **options})


def test_overlaps_are_those_of_the_formula():
    a, b = torch.tensor([0.0, 0, 10, 10]), torch.tensor([5.0, 5, 15, 15])
    assert float(iou(a, b)[0]) == pytest.approx(25 / 175)
    assert float(giou(a, b)) == pytest.approx(25 / 175 - 50 / 225)
    assert float(giou(a, torch.tensor([20.0, 0, 30, 10]))) == pytest.approx(-1 / 3)
    assert float(giou(a, a)) == pytest.approx(1)
    assert float(iou(a, torch.tensor([3.0, 3, 3, 9]))[0]) == 0


def test_a_bump_is_one_at_the_centres_cell_and_falls_as_a_gaussian_of_the_boxs_sides():
    boxes = torch.tensor([[[16.0, 8, 80, 40]]])
    (bump,) = gaussians(boxes, torch.ones(1, 1, dtype=torch.bool), 8, 12, 8).reshape(1, 8, 12)
    assert bump[3, 6] == 1  # the centre is at 48, 24
    assert (bump == 1).sum() == 1
    deviation = 0.54 * (64 / 8) / 6
    assert float(bump[3, 8]) == pytest.approx(np.exp(-(2**2) / (2 * deviation**2)), rel=1e-4)
    assert bump[5, 6] < bump[3, 8]  # the box is wider than high
    target = heat_target(bump.reshape(1, 1, -1), torch.tensor([[2.0]]), 3)
    assert target[0, :2].sum() == 0
    assert torch.equal(target[0, 2], bump.flatten())


def test_heat_maps_of_one_class_keep_the_higher_bump():
    spread = torch.tensor([[[1.0, 0.3, 0.1], [0.2, 0.4, 1.0], [0.9, 0.9, 0.9]]])
    target = heat_target(spread * torch.tensor([1.0, 1, 0])[:, None], torch.tensor([[1.0, 1, -1]]), 2)
    assert target.tolist() == [[[0, 0, 0], [1, pytest.approx(0.4), 1]]]


def test_the_focal_loss_is_cornernets():
    logits, wanted = torch.tensor([0.3, 0.3, -2.0]), torch.tensor([1.0, 0.8, 0.0])
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    by_hand = [
        -((1 - p[0]) ** 2) * np.log(p[0]),
        -(0.2**4) * p[1] ** 2 * np.log(1 - p[1]),
        -(p[2] ** 2) * np.log(1 - p[2]),
    ]
    np.testing.assert_allclose(focal(logits, wanted).numpy(), by_hand, rtol=1e-5)


def test_the_quality_focal_loss_is_the_papers_and_least_at_the_quality():
    logits = torch.linspace(-4, 4, 81)
    losses = quality_focal(logits, torch.full_like(logits, 0.7))
    assert float(logits[losses.argmin()].sigmoid()) == pytest.approx(0.7, abs=0.02)
    p = 1 / (1 + np.exp(-1.0))
    expected = abs(0.2 - p) ** 2 * -(0.8 * np.log(1 - p) + 0.2 * np.log(p))
    assert float(quality_focal(torch.tensor(1.0), torch.tensor(0.2))) == pytest.approx(expected, rel=1e-5)


def test_right_boxes_cost_nothing_and_a_cell_in_two_learns_the_smaller():
    boxes = torch.tensor([[[0.0, 0, 64, 64], [16, 16, 48, 48]]])
    spread = gaussians(boxes, torch.ones(1, 2, dtype=torch.bool), 8, 8, 8)
    which, share = owners(spread, boxes)
    found, wanted = boxes[:, :1].repeat(1, 64, 1), boxes[0][which]
    assert float(box_loss(found, wanted, share)) == pytest.approx(0.75, abs=1e-5), "1 - GIoU of the smaller one"
    found[0, 4 * 8 + 4] = boxes[0, 1]  # the cell of both centres
    assert float(box_loss(found, wanted, share)) == pytest.approx(0, abs=1e-5)


def test_the_cells_around_a_centre_learn_its_class_each_object_as_much_as_another():
    boxes = torch.tensor([[[0.0, 0, 64, 64], [72, 8, 88, 24]], [[8.0, 8, 40, 40], [0, 0, 0, 0]]])
    classes = torch.tensor([[2.0, 0], [1, -1]])
    spread = gaussians(boxes, classes >= 0, 8, 12, 8)
    logits = torch.zeros(2, 3, 8 * 12)
    logits[0, 2, spread[0, 0] > 0.05] = 4.0  # the first object's cells know it; the others know nothing
    knows = -np.log(np.exp(4) / (np.exp(4) + 2))
    found = class_loss(logits, classes, *owners(spread, boxes))
    np.testing.assert_allclose(found.numpy(), [knows + np.log(3), np.log(3)], rtol=1e-5)
    logits += 7.0  # how high all classes are above the background is the heat map's
    torch.testing.assert_close(class_loss(logits, classes, *owners(spread, boxes)), found)


def test_each_object_takes_at_least_the_cheapest_place_near_it_and_none_takes_anothers():
    network = build("fcos", stride=8).eval()
    with torch.no_grad():
        raw = network(torch.randn(2, 3, 64, 96))
    truth = torch.tensor([[[2.0, 2, 30, 26], [50, 20, 90, 60]], [[1, 1, 5, 5], [-1, -1, -1, -1]]])
    classes = torch.tensor([[0, 2], [1, -1]])
    owner, learns = assign(raw["logits"], network.boxes(raw), raw["places"], classes, truth)
    assert learns[0, owner[0] == 0].any()
    assert learns[0, owner[0] == 1].any()
    assert not learns[1, owner[1] == 1].any(), "what is no box learns nothing"
    places = raw["places"][learns[0] & (owner[0] == 0)]
    centre = torch.tensor([16.0, 14])
    inside = (places[:, :2] > 2).all(1) & (places[:, 0] < 30) & (places[:, 1] < 26)
    near = ((places[:, :2] - centre).abs() < 2.5 * places[:, 2:]).all(1)
    assert (inside | near).all()


@BOTH
def test_a_picture_of_boxes_that_are_all_found_has_a_small_loss_and_an_ap_of_one(name):
    inputs = DetectionInputs(3, 64, 96, (20.0, 24.0, 28.0, 32.0, 36.0))
    target = torch.tensor([[[0.0, 8, 8, 40, 36], [1, 50, 20, 86, 56], [-1, -1, -1, -1, -1]]])
    network = build(name, inputs, stride=8).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    x = torch.randn(1, 3, 64, 96).repeat(2, 1, 1, 1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = network.loss(network(x), target.repeat(2, 1, 1)).sum()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        raw = network(x)
    assert PictureAp50()(raw, target.repeat(2, 1, 1), network).tolist() == [1.0, 1.0]
    boxes, scores = network.detections(raw)
    best = scores[0, :, 1].argmax()
    assert float(iou(boxes[0, best], target[0, 1, 1:])[0]) > 0.8


@BOTH
def test_small_boxes_ask_for_a_finer_map(name):
    few = [build(name, DetectionInputs(3, 64, 64, (size,) * 5)) for size in (10.0, 40.0)]
    cells = [network.detections(network(torch.zeros(1, 3, 64, 64)))[0].shape[1] for network in few]
    assert cells[0] > 3.5 * cells[1]


@BOTH
def test_pictures_that_are_too_small_are_refused_with_the_next_step(name):
    with pytest.raises(SpecError, match=f"{name} needs pictures of at least 32x32 pixels, these are 20x90"):
        build(name, DetectionInputs(3, 20, 90))


@pytest.mark.parametrize(
    ("backbone", "options"),
    [("resnet18", {"width": 8}), ("mobilenet_v2", {"width": 0.35}), ("convnext-atto", {"width": 8})],
)
def test_backbones_of_the_classification_zoo_give_a_map_of_each_stride(backbone, options):
    network = build("fcos", DetectionInputs(3, 65, 97), backbone=backbone, backbone_options=options)
    assert network.pyramid.strides == [8, 16, 32]
    maps = network.pyramid(torch.zeros(2, 3, 65, 97))
    assert [list(m.shape[2:]) for m in maps[:2]] in ([[9, 13], [5, 7]], [[8, 12], [4, 6]])
    target = torch.tensor([[[0.0, 8, 8, 40, 36]], [[-1.0] * 5]])
    network.loss(network(torch.randn(2, 3, 65, 97)), target).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_a_stride_that_a_backbone_has_no_map_of_is_named_with_those_it_has():
    chain = stages(3, 8)[:3]
    with pytest.raises(SpecError, match="no feature map of stride 16; it has 4"):
        backbones.Pyramid(chain, 3, 16)


def classifier(folder, options, width, name="resnet18"):
    """A model folder as training leaves it: weights, and what bundle.json says of them."""
    from sparknn_magic.bundle.folder import sha256

    folder.mkdir()
    network = registry.get("architecture", name).build(ImageInputs(3, 32, 32), 5, width=width)
    save_file(network.state_dict(), folder / "model.safetensors")
    (folder / "model.onnx").write_bytes(b"nothing")
    files = {name: sha256(folder / name) for name in ("model.safetensors", "model.onnx")}
    meta = {"format": 1, "name": "c", "task": "image-classification", "files": files}
    (folder / "bundle.json").write_text(json.dumps(meta | {"model": {"name": name, "options": options}}))
    return network


def test_a_classifiers_weights_are_taken_and_executors_need_not_see_its_folder(tmp_path):
    older = classifier(tmp_path / "old", {"width": 8, "stem": "auto"}, 8)
    network = build("centernet", backbone="resnet18", pretrained=str(tmp_path / "old"))
    own = network.state_dict()
    name = "blocks.4.conv1.weight"
    assert torch.equal(own["pyramid.chain.5.conv1.weight"], older.state_dict()[name])
    assert network.note == "stem.0 of the backbone start anew: their shapes are others there."
    again = build("centernet", backbone="resnet18", **network.rebuild)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in own.items()}


@BOTH
def test_the_usual_backbone_starts_from_a_compact_classifier(name, tmp_path):
    older = classifier(tmp_path / "old", {"width": 8}, 8, "compact")
    network = build(name, pretrained=str(tmp_path / "old"))
    learnt = {k: v for k, v in older.state_dict().items() if not k.startswith("head.")}
    taken = network.pyramid.state_dict()
    assert {k.replace("features", "chain"): v.tolist() for k, v in learnt.items()} == {
        k: v.tolist() for k, v in taken.items()
    }
    assert (network.note, network.rebuild) == ("", {"pretrained": None})
    with pytest.raises(SpecError, match="has width 8, and the backbone 16"):
        build(name, width=16, pretrained=str(tmp_path / "old"))


def test_a_classifier_of_another_architecture_is_refused(tmp_path):
    classifier(tmp_path / "old", {"width": 8}, 8)
    with pytest.raises(BundleError, match="is a resnet18, and the backbone is mobilenet_v2"):
        build("fcos", backbone="mobilenet_v2", pretrained=str(tmp_path / "old"))
    with pytest.raises(BundleError, match="is a resnet18, and the backbone is compact"):
        build("fcos", pretrained=str(tmp_path / "old"))
    with pytest.raises(SpecError, match="`backbone_options` are for the other backbones; of compact there is `width`"):
        build("fcos", backbone_options={"width": 8})


@BOTH
def test_only_the_classes_layers_start_anew_with_other_classes(name):
    three, four = build(name, outputs=3), build(name, outputs=4)
    shapes = {key: list(value.shape) for key, value in three.state_dict().items()}
    fresh = fitting(four, shapes, head_of(four, 4), same_classes=False)
    differing = {key for key, value in four.state_dict().items() if list(value.shape) != shapes[key]}
    assert set(fresh) == differing


def test_a_centernets_score_is_that_of_an_object_times_the_classs_probability():
    logits, sure = 4 * torch.randn(2, 3, 5, 6), torch.randn(2, 1, 5, 6)
    scores = class_scores(logits, sure)
    torch.testing.assert_close(scores.sum(1, keepdim=True), sure.sigmoid())
    odds = (logits[:, 0] - logits[:, 2]).exp()
    torch.testing.assert_close(scores[:, 0] / scores[:, 2], odds, rtol=1e-4, atol=0)


def test_what_makes_scores_of_heat_is_the_logistic_regression_of_which_peaks_are_objects():
    heat = torch.randn(6, 1, 20, 20)
    peak = peaks(heat).flatten(1)
    right = torch.rand(6, 400) < (3 * heat.flatten(1) - 4).sigmoid()
    assert 0.1 < right[peak].float().mean() < 0.9
    which = torch.arange(400).repeat(6, 1)  # each cell has an object of its own
    platt = Platt()
    optimizer = torch.optim.LBFGS(platt.parameters(), max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = certainty_loss(platt(heat), which, right, 400).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    reference = LogisticRegression(C=np.inf).fit(heat.flatten(1)[peak][:, None], right[peak])
    found = [platt.log_slope.exp().item(), platt.offset.item()]
    np.testing.assert_allclose(found, [reference.coef_[0, 0], reference.intercept_[0]], rtol=0.01)


def test_of_an_objects_peaks_the_highest_is_right_and_the_others_are_too_much():
    sure = torch.full((1, 1, 3, 9), -9.0)
    sure[0, 0, 1, [1, 4, 7]] = torch.tensor([2.0, 3.0, 1.0])
    which = torch.zeros(1, 27, dtype=torch.long)
    which[0, [7 + 9]] = 1
    right = torch.zeros(1, 27, dtype=torch.bool)
    right[0, [9 + 1, 9 + 4, 9 + 7]] = True
    flat = int((peaks(sure) & (sure == -9)).sum())  # of the background, where all cells are alike
    expected = np.log1p(np.exp(2.0)) + np.log1p(np.exp(-3.0)) + np.log1p(np.exp(-1.0)) + flat * np.log1p(np.exp(-9.0))
    assert float(certainty_loss(sure, which, right, 2)) == pytest.approx(expected, rel=1e-5)
    # Where their boxes are wrong all are.
    expected += 3.0 + 1.0
    assert float(certainty_loss(sure, which, right & False, 2)) == pytest.approx(expected, rel=1e-5)


def test_heat_learns_nothing_by_its_scaling_and_sure_scores_have_one_peak_each():
    network = build("centernet", outputs=1)
    x = torch.randn(1, 3, 64, 96)
    network(x)[2].sum().backward()
    assert network.heat[3].weight.grad is None
    assert network.certainty.offset.grad is not None
    heat = torch.full((1, 1, 8, 12), -5.0)
    heat[0, 0, 2:5, 4:7] = torch.tensor([[7.5, 7.6, 7.5], [7.6, 7.7, 7.6], [7.5, 7.6, 7.5]])
    raw = heat, torch.zeros(1, 4, 8, 12), network.certainty(heat)
    scores = network.detections(raw)[1][0, :, 0].detach()
    assert (class_scores(heat, raw[2]) == 1).sum() == 9, "equal in float32"
    assert (scores > 0.5).nonzero().tolist() == [[3 * 12 + 5]]
