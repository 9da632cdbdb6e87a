"""Parts of the architectures against PyTorch's own layers and the papers' formulas."""

import pytest
import torch
from torch import nn

from sparknn_zoo.vision import mobilenet, resnet, resnet_cifar, vit
from sparknn_zoo.vision.common import DropPath


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_transformer_layer_computes_what_pytorchs_own_computes():
    ours = vit.Layer(dim=24, heads=3, hidden=48, dropout=0.0, drop_path=0.0).eval()
    theirs = nn.TransformerEncoderLayer(24, 3, 48, 0.0, "gelu", vit.EPS, batch_first=True, norm_first=True).eval()
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": ours.attention.qkv.weight,
            "self_attn.in_proj_bias": ours.attention.qkv.bias,
            "self_attn.out_proj.weight": ours.attention.out.weight,
            "self_attn.out_proj.bias": ours.attention.out.bias,
            "linear1.weight": ours.mlp[0].weight,
            "linear1.bias": ours.mlp[0].bias,
            "linear2.weight": ours.mlp[3].weight,
            "linear2.bias": ours.mlp[3].bias,
            **{f"norm1.{key}": value for key, value in ours.norm1.state_dict().items()},
            **{f"norm2.{key}": value for key, value in ours.norm2.state_dict().items()},
        }
    )
    x = torch.randn(2, 5, 24)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_cifar_shortcut_subsamples_and_pads_the_new_channels_with_zeros():
    block = resnet_cifar.Block(2, 4, stride=2).eval()
    nn.init.zeros_(block.bn2.weight)  # the branch gives nothing: what is left is the shortcut
    x = torch.rand(1, 2, 5, 4)
    with torch.no_grad():
        y = block(x)
    assert y.shape == (1, 4, 3, 2)
    assert torch.equal(y[:, 1:3], x[:, :, ::2, ::2])
    assert y[:, [0, 3]].abs().sum() == 0


@pytest.mark.parametrize("block", [resnet.Basic(8, 8, 1), resnet.Bottleneck(8, 2, 1)], ids=["basic", "bottleneck"])
def test_resnet_block_starts_as_the_identity(block):
    x = torch.rand(2, 8, 4, 4)
    with torch.no_grad():
        assert torch.equal(block.eval()(x), x)


@pytest.mark.parametrize(
    ("channels", "rounded"),
    # 32 and 16 channels at the paper's widths 0.35, 0.5, 0.75 and 1.4; 11.2 would lose more than a tenth at 8.
    [(11.2, 16), (16, 16), (24, 24), (44.8, 48), (5.6, 8), (12, 16), (22.4, 24)],
)
def test_mobilenet_channels_are_rounded_to_eights(channels, rounded):
    assert mobilenet.to_eights(channels) == rounded


def test_stochastic_depth_drops_whole_rows_and_keeps_the_mean():
    drop = DropPath(0.25).train()
    rows = drop(torch.ones(4000, 3))
    assert rows.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(rows[:, 0], rows[:, 2])
    assert rows.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(5, 3)), torch.ones(5, 3))
