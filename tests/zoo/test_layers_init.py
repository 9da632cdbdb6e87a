"""`init:` draws the weights as the papers say; without it they are as PyTorch draws them."""

import math

import pytest
import torch

from sparknn_magic.initializers import ITEMS
from tests.zoo.layer_lists import DIGITS, network, resolved

WIDE = "- flatten\n- dense: 1000\n- tanh\n- dense\n"  # 784 inputs


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def weight(init):
    return network(WIDE, more=f"init: {init}\n").dense.weight.detach()


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("he", 2 / 784),
        ("he_normal", 2 / 784),
        ("he_uniform", 2 / 784),
        ("xavier", 2 / 1784),
        ("glorot", 2 / 1784),
        ("xavier_normal", 2 / 1784),
        ("glorot_uniform", 2 / 1784),
        ("{xavier_normal: 2}", 8 / 1784),
        ("lecun", 1 / 784),
        ("lecun_uniform", 1 / 784),
        ("{normal: {std: 0.3}}", 0.09),
        ("{uniform: 0.3}", 0.03),
        ("zeros", 0),
    ],
)
def test_weights_have_the_variance_that_the_paper_gives(init, variance):
    found = weight(init)
    assert found.var().item() == pytest.approx(variance, rel=0.02)
    assert found.mean().item() == pytest.approx(0, abs=4 * math.sqrt(variance / found.numel()))


@pytest.mark.parametrize("init", ["he_uniform", "xavier", "lecun_uniform", "uniform"])
def test_uniform_weights_have_their_bound(init):
    found = weight(init)
    assert found.abs().max().item() == pytest.approx(math.sqrt(3) * found.std().item(), rel=0.02)


def test_orthogonal_rows_are_at_right_angles_in_every_gate():
    net = network("- reshape: [28, 28]\n- lstm: 16\n- dense\n", more="init: orthogonal\n")
    gates = net.lstm.network.weight_hh_l0.detach().chunk(4)
    for gate in gates:
        torch.testing.assert_close(gate @ gate.T, torch.eye(16), atol=1e-5, rtol=0)


def test_recurrent_weights_are_drawn_gate_by_gate():
    net = network("- reshape: [28, 28]\n- gru: 200\n- dense\n", more="init: xavier\n")
    assert net.gru.network.weight_ih_l0.var().item() == pytest.approx(2 / 228, rel=0.05)
    assert net.gru.network.bias_hh_l0.abs().max() == 0


def test_convolutions_in_both_directions_count_what_reaches_an_output():
    cell = "- conv2d: {filters: 64, kernel: 5}\n- conv_transpose2d: {filters: 32, kernel: 4}\n- flatten\n- dense\n"
    net = network(cell, more="init: he\n")
    assert net.conv2d.weight.var().item() == pytest.approx(2 / 25, rel=0.1)
    assert net.conv_transpose2d.weight.var().item() == pytest.approx(2 / (64 * 16), rel=0.05)
    assert net.conv2d.bias.abs().max() == 0


def test_layers_inside_others_are_drawn_too_and_norms_are_left_alone():
    cell = "- flatten\n- dense: 9\n- residual: [batch_norm, {dense: 9}]\n- dense\n"
    net = network(cell, more="init: ones\n")
    assert net.residual.layers.dense.weight.unique().tolist() == [1]
    assert net.residual.layers.batch_norm.bias.unique().tolist() == [0]
    assert net.residual.layers.dense.bias.unique().tolist() == [0]


def test_without_init_weights_are_as_pytorch_draws_them():
    part = resolved(WIDE).model.part
    torch.manual_seed(0)
    found = part.build(DIGITS, 10)
    torch.manual_seed(0)
    expected = torch.nn.Linear(784, 1000)
    assert torch.equal(found.dense.weight, expected.weight)


def test_every_way_to_draw_has_a_description():
    for item in ITEMS.values():
        assert item.summary, item.name
