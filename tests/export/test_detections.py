"""Threshold, NMS and top-k in the graph: against numpy's reference, ONNX's own, and numbers by hand."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from sparknn_magic import registry
from sparknn_magic.errors import ExportError
from sparknn_magic.export.detections import (
    CANDIDATES,
    DETECTION,
    Detector,
    Rules,
    _renamed,
    append_choice,
    candidates_of,
    choose,
    export_detector,
)
from sparknn_magic.export.parity_detections import compare_detections, run_both
from sparknn_magic.plugin import DetectionInputs
from sparknn_magic.training.network import Pixels
from sparknn_magic.training.picture_ap import overlap
from tests.export.detectors import SIDE, Scattered

NAMES = ["cup", "box", "can"]


def front() -> Pixels:
    return Pixels(mean=[0.0] * 3, std=[1.0] * 3)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def exported(body, folder, rules=None, side=SIDE):
    model = Detector(front(), body).eval()
    rules = rules or Rules(nms=model.nms)
    path = folder / "model.onnx"
    export_detector(model, (side, side, 3), path, {"name": "m", "detections": rules.to_plain()}, rules)
    return model, path, rules


def run(path, images) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip(DETECTION, session.run(DETECTION, {"image": images}), strict=True))


def same(found, expected):
    for name in DETECTION:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("nms", "most"), [(None, 100), (0.5, 100), (0.3, 7)])
def test_the_file_chooses_as_numpy_does_in_batches_of_any_size(tmp_path, nms, most):
    rules = Rules(nms=nms, most=most)
    model, path, _ = exported(Scattered(nms), tmp_path, rules)
    for count in (1, 7):
        images = pictures(count, seed=count)
        with torch.inference_mode():
            boxes, scores = model(torch.from_numpy(images))
        expected = choose(boxes.numpy(), scores.numpy(), rules)
        found = run(path, images)
        same(found, expected)
        assert found["boxes"].shape == (count, most, 4)
        assert (np.diff(found["scores"], axis=1) <= 0).all()
        assert (found["count"] == (found["scores"] >= 0.01).sum(1)).all()
    assert found["count"].max() == most or most == 100


def test_nms_chooses_from_the_first_candidates_alone(tmp_path, monkeypatch):
    rules, images = Rules(nms=0.3, most=20), pictures(5)
    model, path, _ = exported(Scattered(0.3), tmp_path, rules)
    assert run(path, images)["count"].tolist() == [20] * 5
    monkeypatch.setattr("sparknn_magic.export.detections.BEFORE_NMS", 1)
    model, path, _ = exported(Scattered(0.3), tmp_path, rules)
    with torch.inference_mode():
        boxes, scores = (each.numpy() for each in model(torch.from_numpy(images)))
    found = run(path, images)
    same(found, choose(boxes, scores, rules))
    assert (found["count"] < 20).all()
    least = np.sort(scores.reshape(5, -1))[:, -20, None]
    there = np.arange(20) < found["count"][:, None]
    assert (found["scores"] >= least - 1e-6)[there].all()


@pytest.mark.parametrize("each", [10, 18])
def test_none_of_many_objects_is_lost_beside_the_candidates_of_others(each):
    draw = np.random.default_rng(0)
    corner = np.array([[30.0 * x, 30.0 * y] for x in range(12) for y in range(10)]).repeat(each, 0)
    corner += draw.uniform(-1, 1, corner.shape)
    boxes = np.concatenate([corner, corner + 20], 1)[None].astype(np.float32)
    scores = draw.uniform(0.02, 0.9, (1, len(corner), 1)).astype(np.float32)
    found = choose(boxes, scores, Rules(most=180, nms=0.6))
    assert found["count"].tolist() == [120]
    assert len(np.unique((found["boxes"][0, :120, :2] / 30).round(), axis=0)) == 120


def test_a_network_gives_no_more_objects_than_it_has_candidates():
    model = Detector(front(), Scattered()).eval()
    assert candidates_of(model, (SIDE, SIDE, 3)) == 180
    assert Rules(most=240).within(180) == Rules(most=180)
    assert Rules().within(180) == Rules()


def test_onnx_reference_implementation_gives_the_same(tmp_path):
    _, path, _ = exported(Scattered(0.4), tmp_path, Rules(nms=0.4, most=9))
    images = pictures(2, seed=5)
    values = onnx.reference.ReferenceEvaluator(str(path)).run(None, {"image": images})
    same(run(path, images), dict(zip(DETECTION, values, strict=True)))


def test_a_picture_without_objects_has_none_beside_one_with_some(tmp_path):
    _, path, _ = exported(Scattered(0.5), tmp_path)
    images = pictures(3)
    images[1] = 0
    found = run(path, images)
    assert found["count"][1] == 0 < min(found["count"][[0, 2]])
    assert (found["labels"][1] == -1).all()
    assert not found["boxes"][1].any()
    assert not found["scores"][1].any()
    alone = run(path, images[1:2])
    assert alone["count"].tolist() == [0]


@pytest.mark.parametrize("nms", [None, 0.5])
def test_a_picture_whose_scores_are_no_numbers_is_no_empty_one(tmp_path, nms):
    class Doubtful(Scattered):
        def detections(self, raw):
            boxes, scores = super().detections(raw)
            return boxes, torch.where(raw[:, :1, None] >= 1.0, scores * torch.nan, scores)

    model, path, rules = exported(Doubtful(nms), tmp_path)
    images = pictures(3)
    images[:, 0, 0, 0] = (10, 255, 10)
    found = run(path, images)
    assert np.isnan(found["scores"]).all(1).tolist() == [False, True, False]
    assert found["count"][1] == 0
    with torch.inference_mode():
        same(found, choose(*(each.numpy() for each in model(torch.from_numpy(images))), rules))


def test_numbers_by_hand():
    boxes = np.array([[[0, 0, 10, 10], [0, 0, 10, 5], [1, 0, 11, 10], [50, 50, 60, 60]]], np.float32)
    # IoU of the first with the second 0.5, with the third 90 / 110; of another class they do not compete.
    scores = np.array([[[0.9, 0.0], [0.8, 0.01], [0.7, 0.6], [0.008, 0.0099]]], np.float32)
    found = choose(boxes, scores, Rules(nms=0.6, most=5))
    assert found["count"].tolist() == [4]
    assert found["labels"].tolist() == [[0, 0, 1, 1, -1]]
    np.testing.assert_allclose(found["scores"], [[0.9, 0.8, 0.6, 0.01, 0]])
    assert found["boxes"][0].tolist() == [[0, 0, 10, 10], [0, 0, 10, 5], [1, 0, 11, 10], [0, 0, 10, 5], [0] * 4]
    assert choose(boxes, scores, Rules(nms=0.45))["count"].tolist() == [3]
    assert choose(boxes, scores, Rules())["count"].tolist() == [5]
    assert choose(boxes, scores, Rules(most=2))["labels"].tolist() == [[0, 0]]


def test_the_file_says_what_it_takes_gives_and_is_made_by(tmp_path):
    _, path, _ = exported(Scattered(0.5), tmp_path)
    proto = onnx.load(path)
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*proto.graph.input, *proto.graph.output]
    }
    batch = shapes["image"][0]
    assert isinstance(batch, str)
    assert shapes == {
        "image": [batch, SIDE, SIDE, 3],
        "boxes": [batch, 100, 4],
        "scores": [batch, 100],
        "labels": [batch, 100],
        "count": [batch],
    }
    said = {prop.key: prop.value for prop in proto.metadata_props}
    assert json.loads(said["detections"]) == {"score": 0.01, "most": 100, "nms": 0.5}
    assert proto.producer_name == "sparknn-magic"


def test_values_that_are_named_like_the_outputs_are_no_hindrance(tmp_path):
    nodes = [
        helper.make_node("Identity", ["image"], ["scores"]),
        helper.make_node("Identity", ["scores"], [CANDIDATES[1]]),
        helper.make_node("Constant", [], ["count"], value_floats=[0.0, 0.0, 1.0, 1.0]),
        helper.make_node("Reshape", ["count", "labels"], ["one"]),
        helper.make_node("Expand", ["one", "shape"], [CANDIDATES[0]]),
    ]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (
            ("image", ["batch", 2, 1]),
            (CANDIDATES[0], ["batch", 2, 4]),
            (CANDIDATES[1], ["batch", 2, 1]),
        )
    ]
    constants = [
        helper.make_tensor("labels", TensorProto.INT64, [3], [1, 1, 4]),
        helper.make_tensor("shape", TensorProto.INT64, [3], [1, 2, 4]),
    ]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], constants)
    proto = _renamed(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), DETECTION)
    append_choice(proto, Rules(), 2, 1)
    onnx.save(proto, tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", np.array([[[0.2], [0.9]]], np.float32))
    np.testing.assert_allclose(found["scores"], [[0.9, 0.2]])
    assert found["labels"].tolist() == [[0, 0]]


def test_candidates_of_other_shapes_are_refused(tmp_path):
    class Wrong(Scattered):
        def detections(self, raw):
            boxes, scores = super().detections(raw)
            return boxes, scores[:, :-1]

    with pytest.raises(ExportError, match=r"boxes \[2, 60, 4\] and scores \[2, 59, 3\].\nThey are boxes \[batch"):
        exported(Wrong(), tmp_path)


# Parity.


def truths(found, count: int) -> list[np.ndarray]:
    """Half of what was found, as if it were true."""
    return [
        np.concatenate([found["labels"][n, :6:2, None], found["boxes"][n, :6:2]], 1).astype(np.float32)
        for n in range(count)
    ]


def test_both_engines_agree_on_detections_whatever_their_order(tmp_path):
    model, path, rules = exported(Scattered(0.5), tmp_path)
    images = pictures(16)
    here, there = run_both(model, path, images, rules)
    parity = compare_detections(here, there, truths(here, 16), NAMES, rules)
    assert (parity["rows"], parity["changed_decisions"]) == (16, 0)
    assert parity["detections"] == here["count"].sum() > 200
    assert parity["max_difference"] < 1e-5
    assert parity["max_box_difference"] < 1e-3
    assert parity["map50_torch"] == parity["map50_onnx"] > 0.3
    shuffled = {name: values.copy() for name, values in there.items()}
    for n, count in enumerate(there["count"]):
        order = np.random.default_rng(n).permutation(count)
        for name in ("boxes", "scores", "labels"):
            shuffled[name][n, :count] = there[name][n, order]
    assert compare_detections(here, shuffled, truths(here, 16), NAMES, rules)["changed_decisions"] == 0


def crowded_fcos() -> torch.nn.Module:
    """A network that has learnt nothing and finds large boxes in every cell, with scores of all sizes."""
    torch.manual_seed(0)
    network = registry.get("architecture", "fcos").build(DetectionInputs(3, 64, 64), 3, width=8, channels=16, stride=8)
    with torch.no_grad():
        for classes, sides in zip(network.classes, network.sides, strict=True):
            classes[-1].weight.normal_(std=0.5)
            classes[-1].bias.zero_()
            sides[-1].weight.normal_(std=0.1)
            sides[-1].bias.fill_(0.7)  # twice as far to each side: neighbours lie in each other
    return network.eval()


def test_fcos_loses_the_same_boxes_to_others_in_its_file_as_in_torch(tmp_path):
    network = crowded_fcos()
    model, path, rules = exported(network, tmp_path, Rules(nms=network.nms, most=200), side=64)
    assert rules.nms == 0.6
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    here, there = run_both(model, path, images, rules)
    parity = compare_detections(here, there, truths(here, 8), NAMES, rules)
    assert (parity["changed_decisions"], parity["rows"]) == (0, 8)
    assert parity["detections"] == here["count"].sum() > 100
    assert parity["max_difference"] < 1e-4
    assert parity["max_box_difference"] < 1e-2
    with torch.inference_mode():
        boxes, scores = (each.numpy() for each in model(torch.from_numpy(images)))
    # Without NMS there are many more, and in the file no two of a class that it should have chosen from.
    everything = choose(boxes, scores, Rules(most=10**6))["count"]
    assert (everything > 1.5 * there["count"]).all()
    assert (there["count"] < rules.most).all(), "all that NMS leaves have a place"
    for n, count in enumerate(there["count"]):
        kept, labels = there["boxes"][n, :count], there["labels"][n, :count]
        common = np.triu(overlap(kept, kept) * (labels[:, None] == labels), 1)
        assert common.max() <= 0.6 + 1e-3


def detections(boxes, scores, labels) -> dict[str, np.ndarray]:
    """One picture's detections, as the file gives them."""
    count = len(scores)
    found = {"boxes": np.zeros((1, 5, 4), np.float32), "scores": np.zeros((1, 5), np.float32)}
    found |= {"labels": np.full((1, 5), -1), "count": np.array([count])}
    for name, values in (("boxes", boxes), ("scores", scores), ("labels", labels)):
        found[name][0, :count] = np.reshape(values, found[name][0, :count].shape)
    return found


A, B = [0, 0, 10, 10], [20, 20, 40, 40]
GOOD = detections([A, B], [0.9, 0.5], [0, 1])
RULES = Rules(nms=0.5, most=5)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (detections([A], [0.9], [0]), "differ in 1 of 2 detections"),
        (detections([A, B], [0.9, 0.5], [0, 2]), "differ in 2 of 2 detections"),
        (detections([A, [30, 30, 50, 50]], [0.9, 0.5], [0, 1]), "differ in 2 of 2 detections"),
        (detections([A, B], [0.9, 0.45], [0, 1]), "differ by 0.05 in a score; at most 0.001 is allowed"),
        (detections([A, [20, 20, 40, 41]], [0.9, 0.5], [0, 1]), "differ by 1 pixels in a box; at most 0.5 is allowed"),
        (detections([A, B], [0.9, np.nan], [0, 1]), "are no numbers on ONNX Runtime"),
    ],
)
def test_engines_that_differ_publish_nothing(there, words):
    with pytest.raises(ExportError, match=words):
        compare_detections(GOOD, there, [np.empty((0, 5), np.float32)], NAMES, RULES)


def test_many_guesses_give_sure_detections_no_leave_to_differ():
    count = 1000
    boxes = np.array([[20.0 * n, 0, 20 * n + 9, 9] for n in range(count)], np.float32)[None]
    scores = np.full((1, count), 0.03, np.float32)
    scores[:, :3] = 0.8
    here = {"boxes": boxes, "scores": scores, "labels": np.zeros((1, count), int), "count": np.array([count])}
    none, rules = [np.empty((0, 5), np.float32)], Rules(most=count)
    moved, guesses = boxes.copy(), boxes.copy()
    moved[0, 1, 2] += 1
    guesses[0, 900:905, 2] += 1
    with pytest.raises(ExportError, match="by 1 pixels in a box"):
        compare_detections(here, {**here, "boxes": moved}, none, NAMES, rules)
    assert compare_detections(here, {**here, "boxes": guesses}, none, NAMES, rules)["max_box_difference"] == 1
    labels = np.zeros((1, count), int)
    labels[0, 1] = 1
    with pytest.raises(ExportError, match=r"in 2 of 3 detections with a score of 0\.05 or more"):
        compare_detections(here, {**here, "labels": labels}, none, NAMES, rules)


def test_what_floats_last_digits_decide_is_no_difference():
    none = [np.empty((0, 5), np.float32)]
    edge = detections([A, B], [0.9, 0.0102], [0, 1])
    found = compare_detections(edge, detections([A], [0.9], [0]), none, NAMES, RULES)
    assert (found["changed_decisions"], found["at_the_border"], found["map50_torch"]) == (0, 1, None)
    # IoU 0.5 with a better one of its class: the NMS may take it for either.
    twins = detections([A, [0, 0, 10, 5]], [0.9, 0.6], [0, 0])
    assert compare_detections(twins, detections([A], [0.9], [0]), none, NAMES, RULES)["at_the_border"] == 1
    full = [[20.0 * n, 0, 20 * n + 9, 9] for n in range(6)]
    here, there = (detections([*full[:4], full[n]], [0.9, 0.8, 0.7, 0.6, 0.5], [0] * 5) for n in (4, 5))
    assert compare_detections(here, there, none, NAMES, RULES)["at_the_border"] == 2
