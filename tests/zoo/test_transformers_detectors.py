"""Detectors of transformers under the contract of detectors: their loss, their boxes, their files and their ONNX."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from sparknn_magic.errors import BundleError, SpecError
from sparknn_magic.export.graph import export_onnx
from sparknn_magic.export.parity import run_onnx
from sparknn_magic.plugin import DetectionInputs
from sparknn_magic.testing.detectors import Candidates
from tests.zoo.detector_cases import (
    CLASSES,
    FAMILIES,
    INPUTS,
    TINY,
    boxes,
    build,
    labels_by_hand,
    pictures,
    tiny,
    write_files,
)

BY_CLASS = ["d_fine", "deim_v2", "rt_detr_v2"]  # who choose their queries by class: other classes, other boxes


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_loss_in_training_is_transformers_own_and_every_weight_learns(name):
    network, x, target = tiny(name).train(), pictures(), boxes()
    theirs = network.criterion
    torch.manual_seed(7)  # of the denoising queries
    found = network.loss(network(x, target), target)
    network.network.loss_function = theirs
    torch.manual_seed(7)
    expected = network.network(pixel_values=x, labels=labels_by_hand()).loss
    torch.testing.assert_close(found, expected.detach().expand(3), rtol=1e-5, atol=1e-5)
    found.mean().backward()
    assert [each for each, p in network.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_pictures_without_boxes_have_a_finite_loss_that_every_weight_takes_part_in(name):
    network = tiny(name).train()
    for nothing in (torch.full((3, 2, 5), -1.0), torch.zeros(3, 0, 5)):
        network.zero_grad(set_to_none=True)
        loss = network.loss(network(pictures(), nothing), nothing)
        assert loss.isfinite().all()
        loss.sum().backward()
        assert [each for each, p in network.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("name", ["conditional_detr", "yolos"])
def test_what_one_layer_has_no_use_for_has_a_gradient_too(name):
    network, target = tiny(name, layers=1).train(), boxes()
    network.loss(network(pictures(), target), target).mean().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_at_rest_the_loss_is_that_of_the_last_layer_and_the_classes_share_what_they_should(name):
    network, target = tiny(name), boxes()
    with torch.inference_mode():
        raw = network(pictures())
        loss = network.loss(raw, target)
        found, scores = network.detections(raw)
    assert set(raw) == {"logits", "pred_boxes"}
    assert loss.shape == (3,)
    assert found.shape == (3, 12, 4)
    assert scores.shape == (3, 12, CLASSES)
    assert (scores.sum(-1).max() < 1) if name == "yolos" else (scores >= 0).all()


def test_boxes_are_in_pixels_of_the_picture_and_end_at_its_edges():
    # 40 x 52 pixels are filled up to 64 x 64.
    network = tiny("d_fine", inputs=DetectionInputs(3, 40, 52), queries=8)
    shares = torch.tensor([[[0.25, 0.25, 0.25, 0.125], [0.75, 0.5, 0.5, 0.5], [0.5, 0.5, -0.1, 0.1]]])
    found, scores = network.detections({"logits": torch.zeros(1, 3, 2), "pred_boxes": shares})
    expected = [[8, 12, 24, 20], [32, 16, 52, 40], [32, 28.8, 32, 35.2]]
    torch.testing.assert_close(found[0], torch.tensor(expected))
    assert (scores == 0.5).all()
    assert network(pictures(1, DetectionInputs(3, 40, 52)))["logits"].shape == (1, 8, CLASSES)


def test_a_network_that_has_been_judged_learns_afterwards():
    network, target = tiny("rt_detr_v2"), boxes()
    with torch.inference_mode():
        network(pictures())
    network.train()
    network.loss(network(pictures(), target), target).mean().backward()


@pytest.mark.parametrize("name", FAMILIES)
def test_it_learns_under_autocast_with_its_loss_in_float32(name):
    network, target = tiny(name).train(), boxes()
    with torch.autocast("cpu", torch.bfloat16):
        raw = network(pictures(), target)
    loss = network.loss(raw, target)
    assert loss.dtype == torch.float32
    loss.mean().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


def test_a_loss_of_numbers_that_are_none_is_none_and_no_riddle():
    network, target = tiny("rt_detr_v2"), boxes()
    raw = network(pictures())
    raw["pred_boxes"] = raw["pred_boxes"] * torch.nan
    assert network.loss(raw, target).isnan().all()


@pytest.mark.parametrize("name", ["d_fine", "yolos"])
def test_a_few_pictures_are_learnt_by_heart(name):
    network, x, target = tiny(name, width=64, queries=16).train(), pictures(), boxes()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    first = None
    for _ in range(60):
        optimizer.zero_grad()
        loss = network.loss(network(x, target), target).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        first = first if first is not None else float(loss.detach())
    assert float(loss.detach()) < 0.6 * first


@pytest.mark.parametrize("name", ["d_fine", "deim_v2", "rt_detr_v2", "deformable_detr"])
def test_the_onnx_file_of_what_is_exported_gives_the_same_for_one_picture_and_for_three(name, tmp_path):
    inputs = INPUTS
    network = tiny(name, inputs=inputs)
    model, x = Candidates(network.merged(), inputs).eval(), pictures(3, inputs)
    export_onnx(model, {"pixels": x[:2]}, ["candidates"], tmp_path / "model.onnx", {})
    for rows in (x[:1], x):
        with torch.inference_mode():
            here = Candidates(network, inputs)(rows)
        there = run_onnx(tmp_path / "model.onnx", {"pixels": rows.numpy()})
        np.testing.assert_allclose(there, here, atol=2e-4)


# Files


@pytest.mark.parametrize("name", FAMILIES)
def test_files_are_taken_but_for_the_layers_of_other_classes_and_executors_need_none(name, tmp_path):
    theirs = write_files(name, tmp_path)
    network = build(name, pretrained=str(tmp_path)).eval()
    assert network.note == "its layers of classes start anew: 5 there, 3 here."
    with torch.inference_mode():
        expected = theirs(pictures()).pred_boxes
        found = network(pictures())["pred_boxes"]
    if name not in BY_CLASS:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    written, here = theirs.state_dict(), network.network.state_dict()
    anew = {each for each in written if here[each].shape != written[each].shape}
    assert all(re.search(r"class|score_head", each) for each in anew), anew
    assert [each for each in written if each not in anew and not torch.equal(here[each], written[each])] == []
    options = json.loads(json.dumps(network.rebuild))
    assert str(tmp_path) not in json.dumps(options)
    again = build(name, **options).eval()
    again.load_state_dict(load(save({k: v.clone().contiguous() for k, v in network.state_dict().items()})))
    with torch.inference_mode():
        torch.testing.assert_close(again(pictures())["pred_boxes"], found)
    wanted = [p.requires_grad for p in network.parameters()]
    assert [p.requires_grad for p in again.parameters()] == wanted


@pytest.mark.parametrize("name", BY_CLASS)
def test_files_with_as_many_classes_are_taken_whole(name, tmp_path):
    theirs = write_files(name, tmp_path, classes=CLASSES)
    network = build(name, pretrained=str(tmp_path)).eval()
    assert network.note == "its layers of classes are taken too: 3 there and here."
    with torch.inference_mode():
        found, expected = network(pictures()), theirs(pictures())
    for each in ("logits", "pred_boxes"):
        torch.testing.assert_close(found[each], expected[each], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "pixels"),
    [
        ({"do_normalize": False, "image_mean": [0.4] * 3}, ((0.0,) * 3, (1.0,) * 3)),
        ({"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2] * 3}, ((0.4, 0.5, 0.6), (0.2,) * 3)),
        (None, None),
    ],
)
def test_pixels_are_normalized_as_the_files_want_them(said, pixels, tmp_path):
    write_files("conditional_detr", tmp_path)
    if said is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    network = build("conditional_detr", pretrained=str(tmp_path))
    assert network.pixels == pixels
    assert build("conditional_detr", **network.rebuild).pixels == pixels


def test_a_frozen_backbone_keeps_its_weights_and_its_statistics(tmp_path):
    network = tiny("d_fine", freeze_backbone=True).train()
    before = {k: v.clone() for k, v in network.network.model.backbone.state_dict().items()}
    target = boxes()
    network.loss(network(pictures(), target), target).mean().backward()
    for name, value in network.network.model.backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(p.requires_grad for p in network.network.model.backbone.parameters())


def test_what_starts_from_nothing_learns_its_norms_and_what_comes_from_older_files_keeps_them(tmp_path):
    fresh = tiny("conditional_detr")
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in fresh.network.model.backbone.modules())
    assert all(p.requires_grad for p in fresh.network.model.backbone.parameters())
    write_files("conditional_detr", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("freeze_backbone_batch_norms")
    (tmp_path / "config.json").write_text(json.dumps(config))
    network = build("conditional_detr", pretrained=str(tmp_path))
    for each in (network, build("conditional_detr", **network.rebuild)):
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in each.network.model.backbone.modules())
        assert all(p.requires_grad for p in each.network.model.backbone.parameters())


def test_weights_that_are_missing_are_named(tmp_path):
    write_files("yolos", tmp_path)
    file = tmp_path / "model.safetensors"
    kept = {name: value for name, value in load(file.read_bytes()).items() if "bbox_predictor.layers.0" not in name}
    file.write_bytes(save(kept, metadata={"format": "pt"}))
    with pytest.raises(
        BundleError, match=r"no weights that fit for bbox_predictor\.layers\.0\.bias, .*a yolos network"
    ):
        build("yolos", pretrained=str(tmp_path))


# What cannot be


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "d_fine",
            {"config": {"model_type": "rt_detr_v2"}},
            r"no name for .*'rt_detr_v2'\.\nWrite `model: \{rt_detr_v2: ",
        ),
        ("d_fine", {"config": {"model_type": "yolo"}}, r"detectors there are d_fine, .*Did you mean 'yolos'\?"),
        ("d_fine", {"config": {"num_queries": 9}}, r"d_fine: queries comes from config\.\nLeave queries out\."),
        ("d_fine", {"width": 30}, r"a width of 30 is no multiple of 4\.|cannot be shared"),
        (
            "deformable_detr",
            {"width": 48, "heads": 2},
            r"a width of 48 is no multiple of 32\.\nTake a multiple of 32\.",
        ),
        ("rt_detr_v2", {"queries": 500}, r"500 queries are chosen among the 126 places of a picture of 96 x 64 pixels"),
        ("deim_v2", {"layers": 1}, r"deim_v2 has 2 layers at least\.\nWrite `layers: 2`\."),
        ("yolos", {"pixels": {"mean": (0.0,), "std": (0.0,)}}, r"a deviation above 0 for each of 3 channels"),
        (
            "d_fine",
            {"layers": None, "config": {"decoder_layers": "six"}},
            r"transformers does not take this config: .*decoder_layers",
        ),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(name, options, message):
    with pytest.raises(SpecError, match=message):
        build(name, **(TINY | options))


def test_sizes_beside_files_and_pictures_of_other_channels_are_refused(tmp_path):
    write_files("yolos", tmp_path)
    with pytest.raises(SpecError, match=r"yolos: layers comes from '.*'\.\nLeave layers out\."):
        build("yolos", pretrained=str(tmp_path), layers=2)
    grey = DetectionInputs(1, INPUTS.height, INPUTS.width)
    with pytest.raises(
        SpecError, match=r"reads 3 channels here, and the pictures have 1\.\nAdd `rgb` to `preprocess:`"
    ):
        build("yolos", inputs=grey, pretrained=str(tmp_path))
