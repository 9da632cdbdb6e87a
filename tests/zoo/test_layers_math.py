"""What the layers compute, against PyTorch's own modules, Keras' documented examples and definitions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import SpecError


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def layer(name, shape, /, **options):
    return registry.get("layer", name).build(shape, **options).eval()


def run(name, x, /, **options):
    with torch.no_grad():
        return layer(name, tuple(x.shape[1:]), **options)(x)


def test_same_padding_puts_the_odd_zero_at_the_end():
    # The example of TensorFlow's documentation of tf.nn.convolution: 13 steps, window 6, stride 5, "SAME".
    conv = layer("conv1d", (13, 1), filters=1, kernel=6, stride=5, padding="same", bias=False)
    with torch.no_grad():
        next(conv.parameters()).fill_(1.0)
        found = conv(torch.arange(1.0, 14).reshape(1, 13, 1))
    assert found.flatten().tolist() == [0 + 1 + 2 + 3 + 4 + 5, 6 + 7 + 8 + 9 + 10 + 5, 10 + 11 + 12 + 13]


@pytest.mark.parametrize(
    ("name", "expected"), [("avg_pool1d", [1.5, 2.5, 3.5, 4.5, 5.0]), ("max_pool1d", [2.0, 3.0, 4.0, 5.0, 5.0])]
)
def test_pooling_with_same_padding_gives_what_keras_documents(name, expected):
    x = torch.tensor([1.0, 2, 3, 4, 5]).reshape(1, 5, 1)
    assert run(name, x, size=2, stride=1, padding="same").flatten().tolist() == expected


def test_pooling_of_pictures_is_pytorchs_where_that_has_it():
    x = torch.randn(2, 3, 9, 8)
    found = run("max_pool2d", x, size=3, stride=2, padding=1)
    assert torch.equal(found, F.max_pool2d(x, 3, 2, 1))
    found = run("avg_pool2d", x, size=3, stride=2, padding=1)
    torch.testing.assert_close(found, F.avg_pool2d(x, 3, 2, 1, count_include_pad=False))


@pytest.mark.parametrize("size", [1, 2, 3, (7, 5), (9, 8), (11, 3)])
def test_adaptive_pooling_is_pytorchs(size):
    x = torch.randn(2, 3, 9, 8)
    torch.testing.assert_close(run("adaptive_avg_pool2d", x, size=size), F.adaptive_avg_pool2d(x, size))
    assert torch.equal(run("adaptive_max_pool2d", x, size=size), F.adaptive_max_pool2d(x, size))
    steps = torch.randn(2, 7, 3)
    length = size if isinstance(size, int) else size[0]
    expected = F.adaptive_avg_pool1d(steps.transpose(1, 2), length).transpose(1, 2)
    torch.testing.assert_close(run("adaptive_avg_pool1d", steps, size=length), expected)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 2), (4, 2), (5, 3), (3, 1), (4, 1), (2, 3)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_transposed_convolution_is_the_transpose_of_the_convolution(kernel, stride, padding):
    # <conv(x), y> = <x, conv_transpose(y)> for all x and y, with the same weights.
    y_side = 4
    x_side = y_side * stride + (max(kernel - stride, 0) if padding == "valid" else 0)
    options = {"kernel": kernel, "stride": stride, "padding": padding, "bias": False}
    down = layer("conv2d", (2, x_side, x_side), filters=3, **options).double()
    up = layer("conv_transpose2d", (3, y_side, y_side), filters=2, **options).double()
    next(up.parameters()).data = next(down.parameters()).data
    x, y = torch.randn(1, 2, x_side, x_side).double(), torch.randn(1, 3, y_side, y_side).double()
    with torch.no_grad():
        assert down(x).shape == y.shape
        assert up(y).shape == x.shape
        assert (down(x) * y).sum().item() == pytest.approx((x * up(y)).sum().item())


def test_a_causal_convolution_sees_no_later_step():
    conv = layer("conv1d", (12, 2), filters=3, kernel=3, dilation=2, padding="causal")
    x = torch.randn(1, 12, 2)
    changed = x.clone()
    changed[:, 7:] += 1
    with torch.no_grad():
        before, after = conv(x), conv(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.equal(before[:, 7:], after[:, 7:])


def test_a_separable_convolution_is_one_over_each_channel_and_one_over_all():
    module = layer("separable_conv2d", (4, 9, 9), filters=6, padding=1)
    depthwise, pointwise = (m.weight for m in module.modules() if isinstance(m, nn.Conv2d))
    x = torch.randn(2, 4, 9, 9)
    kernel = pointwise * depthwise.transpose(0, 1)  # [6, 4, 3, 3]: one convolution that does both
    with torch.no_grad():
        expected = F.conv2d(
            x, kernel, next(m.bias for m in module.modules() if getattr(m, "bias", None) is not None), padding=1
        )
        torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)


def test_attention_is_pytorchs():
    ours, theirs = layer("attention", (5, 12), heads=3), nn.MultiheadAttention(12, 3, batch_first=True).eval()
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x = torch.randn(2, 5, 12)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x, x, x)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_transformer_block_is_pytorchs(norm_first):
    ours = layer("transformer_encoder", (5, 12), heads=3, hidden=20, norm_first=norm_first)
    theirs = nn.TransformerEncoderLayer(12, 3, 20, activation="gelu", batch_first=True, norm_first=norm_first).eval()
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
    x = torch.randn(2, 5, 12)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_sinusoidal_positions_are_those_of_the_paper():
    found = run("positional_embedding", torch.zeros(1, 50, 8), kind="sinusoidal")[0]
    for step in (0, 1, 49):
        for i in range(4):
            angle = step / 10_000 ** (2 * i / 8)
            assert found[step, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert found[step, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_recurrent_layers_give_the_last_state_of_each_direction(name):
    x = torch.randn(2, 7, 5)
    module = layer(name, (7, 5), units=3, bidirectional=True, layers=2)
    with torch.no_grad():
        hidden = module.network(x)[1]
        hidden = hidden[0] if name == "lstm" else hidden
        torch.testing.assert_close(module(x), torch.cat((hidden[-2], hidden[-1]), 1))
        alone = layer(name, (7, 5), units=3)
        hidden = alone.network(x)[1]
        torch.testing.assert_close(alone(x), (hidden[0] if name == "lstm" else hidden)[-1])


def test_layer_norm_of_pictures_is_over_the_channels_of_each_pixel():
    found = run("layer_norm", torch.randn(2, 6, 4, 4))
    torch.testing.assert_close(found.mean(1), torch.zeros(2, 4, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(1, unbiased=False), torch.ones(2, 4, 4), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("name", "axes"), [("group_norm", (1, 2)), ("instance_norm", (1,))])
def test_norms_of_sequences_treat_features_as_channels(name, axes):
    options = {"groups": 1} if name == "group_norm" else {}
    found = run(name, torch.randn(3, 8, 4), **options)
    assert found.mean(axes).abs().max() < 1e-5


def test_batch_norm_of_sequences_is_over_rows_and_steps():
    module = registry.get("layer", "batch_norm").build((8, 4)).train()
    found = module(3 * torch.randn(16, 8, 4) + 1)
    assert found.mean((0, 1)).abs().max() < 1e-5


def test_spatial_dropout_drops_whole_channels():
    module = registry.get("layer", "spatial_dropout").build((50, 3, 3), rate=0.5).train()
    found = module(torch.ones(2, 50, 3, 3))
    assert set(found.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(found.amax((2, 3)), found.amin((2, 3)))
    steps = registry.get("layer", "spatial_dropout").build((5, 50), rate=0.5).train()(torch.ones(2, 5, 50))
    assert torch.equal(steps.amax(1), steps.amin(1))


def test_softmax_of_pictures_is_over_the_channels():
    torch.testing.assert_close(run("softmax", torch.randn(2, 5, 3, 3)).sum(1), torch.ones(2, 3, 3))
    torch.testing.assert_close(run("softmax", torch.randn(2, 5, 3)).sum(2), torch.ones(2, 5))


def test_permute_and_reshape_move_numbers_as_numpy_does():
    x = torch.randn(2, 3, 4, 5)
    assert (run("permute", x, order=(3, 1, 2)).numpy() == x.numpy().transpose(0, 3, 1, 2)).all()
    assert (run("reshape", x, shape=(6, -1)).numpy() == x.numpy().reshape(2, 6, 10)).all()


def test_upsampling_repeats_pixels_or_goes_smoothly():
    x = torch.tensor([[[[0.0, 4.0]]]])
    assert run("upsample", x, factor=(1, 2))[0, 0, 0].tolist() == [0, 0, 4, 4]
    assert run("upsample", x, factor=(1, 2), mode="bilinear")[0, 0, 0].tolist() == [0, 1, 3, 4]


def test_an_embedding_looks_up_whole_numbers_of_any_type():
    module = layer("embedding", (3,), vocabulary=10, dim=4)
    found = module(torch.tensor([[1.0, 2.0, 9.0]]))
    assert torch.equal(found[0], module.weight[[1, 2, 9]])


def test_an_ngram_embedding_is_the_mean_of_the_hashed_runs_that_begin_at_each_place():
    module = layer("ngram_embedding", (5,), dim=3, buckets=97, min_n=2, max_n=3)
    ids = [4, 70_000, 7, 4, 70_000]
    found = module(torch.tensor([ids, ids[3:] + ids[:3]]))
    behind = [*ids, 0, 0]
    for place in range(5):
        rows = []
        for n in (2, 3):
            run = 0
            for character in behind[place : place + n]:
                run = (run * 48_271 + character) % (2**31 - 1)
            rows.append((run * 742_938_285 + n * 48_271) % (2**31 - 1) % 97)
        torch.testing.assert_close(found[0, place], module.table.weight[rows].mean(0))
    assert torch.equal(found[0, 3, :], module(torch.tensor([ids[3:]]))[0, 0])  # "4 70000" then zeros
    assert not torch.equal(found[0, 0], found[0, 3])  # the runs of three differ
    with pytest.raises(SpecError, match="max_n is 1, below min_n, which is 2"):
        layer("ngram_embedding", (5,), min_n=2, max_n=1)
