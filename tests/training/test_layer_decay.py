"""`train.layer_decay`: the nearer a layer is to the input, the lower its learning rate."""

import pytest
import torch
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import SpecError, TrainError
from sparknn_magic.plugin import Part
from sparknn_magic.spec.training import TrainSpec
from sparknn_magic.training.groups import base_rates, layer_scales, parameter_groups
from sparknn_magic.training.job import VALIDATION
from tests.training.networks import TOWER, TWO, Tower, plain_loop, two
from tests.training.ranks import INPUTS, fit, job, rows

# With a decay of 0.5, by hand: the head and what stands behind the blocks whole, block 2 half, block 1 a quarter, ...
BY_HAND = {"embeddings": 1 / 16, "layers.0": 1 / 8, "layers.1": 1 / 4, "layers.2": 1 / 2, "norm": 1.0, "head": 1.0}
SGD = Part("sparknn_zoo.optimizers.sgd:sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False})


def of_part(name):
    return next(scale for part, scale in BY_HAND.items() if name.startswith(part))


def test_each_block_has_half_the_rate_of_the_next_and_the_embeddings_have_the_least():
    scales = layer_scales(Tower(4, 3), 0.5)
    assert scales == {name: of_part(name) for name, _ in Tower(4, 3).named_parameters()}


@pytest.mark.parametrize("holder", ["encoder.layer", "transformer.layer", "encoder.layers", "blocks", "model.block"])
def test_blocks_are_found_by_the_names_that_encoders_give_them(holder):
    network = nn.Module()
    network.first = nn.Linear(2, 2)
    inner = network
    *outer, last = holder.split(".")
    for name in outer:
        setattr(inner, name, nn.Module())
        inner = getattr(inner, name)
    setattr(inner, last, nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]))
    network.head = nn.Linear(2, 2)
    scales = layer_scales(network, 0.1)
    weights = [scales[name] for name, _ in network.named_parameters() if name.endswith("weight")]
    assert weights == pytest.approx([0.001, 0.01, 0.1, 1.0])


def test_a_network_without_numbered_blocks_is_told_so():
    with pytest.raises(SpecError, match=r"needs a network with numbered blocks, such as layers\.0") as caught:
        parameter_groups(two(INPUTS, 3), layer_decay=0.9)
    assert caught.value.hint == "Leave layer_decay out, or take an encoder such as minilm or bert."


def test_groups_keep_what_they_are_marked_with():
    network = Tower(4, 3)
    groups = parameter_groups(network, layer_decay=0.5)
    names = {id(p): name for name, p in network.named_parameters()}
    assert sum(len(group["params"]) for group in groups) == len(names)
    for group in groups:
        for p in group["params"]:
            assert group["scale"] == of_part(names[id(p)])
            assert ("weight_decay" in group) == (p.ndim == 1)
            assert group["hidden"] == (names[id(p)].startswith("layers") and p.ndim == 2)


@pytest.mark.parametrize("name", [n for n in registry.names("optimizer") if n not in ("lbfgs", "sparse_adam")])
def test_every_optimizer_takes_the_rates_of_the_layers(name):
    network = Tower(4, 3)
    optimizer = registry.get("optimizer", name).build(parameter_groups(network, layer_decay=0.5), lr=0.02)
    names = {id(p): parameter for parameter, p in network.named_parameters()}
    for group, rate in zip(optimizer.param_groups, base_rates(optimizer, 0.5), strict=True):
        assert {of_part(names[id(p)]) for p in group["params"]} == {group["scale"]}
        whole = 3e-4 if name == "muon" and not group["muon"] else 0.02
        assert rate == pytest.approx(whole * group["scale"])


def test_an_optimizer_that_knows_no_groups_is_refused():
    optimizer = registry.get("optimizer", "lbfgs").build(parameter_groups(Tower(4, 3), layer_decay=0.5))
    with pytest.raises(SpecError, match=r"one learning rate for all layers\.\nLeave train\.layer_decay out"):
        base_rates(optimizer, 0.5)


def test_a_run_goes_where_a_plain_loop_with_a_group_for_each_part_goes(tmp_path):
    batch = rows(60)
    settings = {"architecture": TOWER, "optimizer": SGD, "batch_size": 60, "epochs": 3}
    done = fit(job(tmp_path, layer_decay=0.5, **settings), [batch])
    torch.manual_seed(0)
    network = TOWER.build(INPUTS, 3)
    groups = [{"params": [p], "lr": 0.1 * of_part(name)} for name, p in network.named_parameters()]
    plain_loop(network, torch.optim.SGD(groups, lr=0.1, momentum=0.9), batch, 3)
    for name, value in done.state().items():
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_the_schedule_moves_all_rates_together_and_the_whole_rate_is_reported(tmp_path):
    step = Part("sparknn_zoo.schedules.step:step", {"every": 1, "gamma": 0.1})
    done = fit(job(tmp_path, architecture=TOWER, schedule=step, layer_decay=0.5, epochs=2), [rows(60)])
    assert [epoch["learning_rate"] for epoch in done.history] == pytest.approx([0.01, 0.001])


def test_a_run_taken_up_from_its_checkpoint_ends_as_if_it_had_not_stopped(tmp_path):
    data = [rows(60), rows(30, seed=1, split=VALIDATION)]
    settings = {"architecture": TOWER, "layer_decay": 0.5, "epochs": 3, "freeze": ("embeddings",), "unfreeze_after": 1}
    whole = fit(job(tmp_path / "whole", **settings), data)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "stop").touch()
    assert len(fit(job(tmp_path / "cut", **settings), data).history) == 1
    (tmp_path / "cut" / "stop").unlink()
    second = fit(job(tmp_path / "cut", **settings), data)
    assert second.said["resumed_from"] == 1
    assert second.weights == whole.weights


def test_a_rank_refuses_a_network_without_blocks(tmp_path):
    with pytest.raises(TrainError, match="needs a network with numbered blocks"):
        fit(job(tmp_path, architecture=TWO, layer_decay=0.9), [rows(60)])


def test_the_cell_takes_a_share_between_0_and_1():
    assert TrainSpec(layer_decay=0.9).layer_decay == 0.9
    for wrong in (0.0, 1.0, -0.5, 2):
        with pytest.raises(ValueError, match="layer_decay"):
            TrainSpec(layer_decay=wrong)
