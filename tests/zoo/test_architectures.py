"""What holds for every image architecture of the zoo: any colour, any size, gradients, seeds, options."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import ImageInputs
from sparknn_magic.spec.schema import options_model

# Each architecture, with options that make it small enough for a test; its structure stays.
SMALL = {
    "mlp": {},
    "lenet5": {},
    "compact": {"width": 8},
    "vgg-small": {"width": 8},
    "resnet8": {},
    "resnet20": {},
    "resnet56": {"width": 4},
    "resnet9": {"width": 8},
    "resnet18": {"width": 8},
    "resnet34": {"width": 8},
    "resnet50": {"width": 8},
    "mobilenet_v2": {"width": 0.35},
    "densenet-small": {"depth": 16},
    "convnext-atto": {"width": 8},
    "vit-tiny": {"dim": 48, "depth": 3},
}
EVERY = pytest.mark.parametrize("name", SMALL)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def build(name: str, shape: tuple[int, int, int], outputs: int = 10, **options) -> nn.Module:
    return registry.get("architecture", name).build(ImageInputs(*shape), outputs, **options)


def shaken(network: nn.Module) -> nn.Module:
    """Move every parameter off its first value, so that branches that start at zero count too."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return network


def test_all_fifteen_are_found_with_source_and_licence():
    items, failures = registry.load_all(["architecture"])
    built_in = [item for item in items if item.ref.startswith("sparknn_zoo.")]
    ours = {item.name: item for item in built_in if item.serves("image-classification")}
    assert failures == []
    assert set(ours) == set(SMALL)
    for item in ours.values():
        assert item.source
        assert item.licence == "Apache-2.0"
        assert "float32[B, C, H, W] -> logits float32[B, outputs]" in item.summary


@EVERY
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)], ids=["fashion", "cifar"])
def test_full_size_network_trains_on_two_small_pictures(name, shape):
    network = build(name, shape).train()
    logits = network(torch.randn(2, *shape))
    assert logits.shape == (2, 10)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    logits.logsumexp(1).sum().backward()


@EVERY
@pytest.mark.parametrize("shape", [(1, 29, 35), (3, 47, 33), (4, 12, 100)], ids=str)
def test_odd_sizes_and_channels_give_one_row_of_logits_a_picture(name, shape):
    network = build(name, shape, outputs=7, **SMALL[name]).eval()
    with torch.no_grad():
        assert network(torch.randn(3, *shape)).shape == (3, 7)


@EVERY
def test_a_picture_larger_than_64_pixels_is_taken(name):
    network = build(name, (3, 96, 80), outputs=2, **SMALL[name]).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 96, 80)).shape == (1, 2)


@EVERY
def test_gradient_reaches_every_parameter(name):
    network = shaken(build(name, (3, 32, 32), **SMALL[name])).train()
    loss = nn.functional.cross_entropy(network(torch.randn(8, 3, 32, 32)), torch.arange(8))
    loss.backward()
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@EVERY
def test_a_rows_logits_do_not_depend_on_the_other_rows(name):
    network = shaken(build(name, (1, 28, 28), **SMALL[name])).eval()
    x = torch.randn(7, 1, 28, 28)
    with torch.no_grad():
        together = network(x)
        alone = torch.cat([network(row) for row in x.split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4 * together.abs().max().item())


@EVERY
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name):
    def weights(seed):
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build(name, (1, 28, 28), **SMALL[name]).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@EVERY
def test_first_logits_are_of_order_one(name):
    # A first loss far above ln(10) would mean that the weights are drawn too large.
    network = build(name, (1, 28, 28), **SMALL[name]).train()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(network(torch.randn(32, 1, 28, 28)), torch.arange(32) % 10)
    assert 2.0 < loss < 5.0


@EVERY
def test_learns_which_half_of_a_picture_is_bright(name):
    network = build(name, (1, 28, 28), outputs=2, **SMALL[name]).train()
    labels = torch.arange(16) % 2
    x = torch.randn(16, 1, 28, 28)
    x[labels == 0, :, :, :14] += 2
    x[labels == 1, :, :, 14:] += 2
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(20):
        loss = nn.functional.cross_entropy(network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2  # guessing gives 0.69


@EVERY
@pytest.mark.parametrize(
    ("option", "wrong"), [("width", 0), ("width", "wide"), ("dropout", 1.5), ("stem", "cifar100"), ("widht", 8)]
)
def test_options_out_of_range_or_unknown_are_refused(name, option, wrong):
    schema = options_model(registry.get("architecture", name))
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({option: wrong})
    assert option in str(refused.value)


@EVERY
def test_every_option_has_a_default_and_a_meaning(name):
    fields = options_model(registry.get("architecture", name)).model_fields
    assert [key for key, field in fields.items() if field.is_required() or not field.description] == []


@pytest.mark.parametrize(
    ("name", "height", "width", "options", "words"),
    [
        ("lenet5", 8, 8, {}, "lenet5 needs pictures of at least 12x12 pixels, these are 8x8."),
        ("resnet9", 7, 40, {}, "resnet9 needs pictures of at least 8x8 pixels, these are 7x40."),
        ("vgg-small", 28, 4, {}, "vgg-small needs pictures of at least 8x8 pixels, these are 28x4."),
        ("vgg-small", 28, 28, {"stages": 5}, "vgg-small of 5 stages needs pictures of at least 32x32 pixels"),
        ("densenet-small", 3, 3, {}, "densenet-small needs pictures of at least 4x4 pixels, these are 3x3."),
        ("convnext-atto", 6, 6, {}, "convnext-atto needs pictures of at least 8x8 pixels, these are 6x6."),
        ("convnext-atto", 28, 28, {"patch": 4}, "convnext-atto with patch 4 needs pictures of at least 32x32 pixels"),
    ],
)
def test_pictures_too_small_are_an_error_that_says_how_to_resize(name, height, width, options, words):
    with pytest.raises(SpecError) as error:
        build(name, (1, height, width), **options)
    what, next_step = str(error.value).split("\n")
    assert what.startswith(words)
    assert next_step.startswith("Add `preprocess: [resize: 32]`")


@pytest.mark.parametrize("name", ["mlp", "compact", "resnet8", "resnet18", "mobilenet_v2", "vit-tiny"])
def test_architectures_of_any_size_take_a_picture_of_two_by_three_pixels(name):
    network = build(name, (1, 2, 3), **SMALL[name]).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 1, 2, 3)).shape == (1, 10)


@pytest.mark.parametrize(
    ("name", "least"), [("lenet5", 12), ("resnet9", 8), ("vgg-small", 8), ("densenet-small", 4), ("convnext-atto", 8)]
)
def test_the_smallest_picture_that_is_promised_works(name, least):
    network = build(name, (1, least, least), **SMALL[name]).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 1, least, least)).shape == (1, 10)


def test_densenet_of_an_impossible_depth_names_the_nearest():
    with pytest.raises(SpecError, match=r"densenet-small cannot be 50 layers deep: depth is 6n \+ 4\.") as error:
        build("densenet-small", (1, 28, 28), depth=50)
    assert str(error.value).endswith("The nearest is depth: 52.")


def test_vit_heads_that_do_not_divide_its_dimensions_name_the_nearest():
    with pytest.raises(SpecError, match="vit-tiny cannot share 100 dimensions among 3 heads") as error:
        build("vit-tiny", (1, 28, 28), dim=100)
    assert str(error.value).endswith("The nearest is dim: 99.")


def test_vit_patch_larger_than_the_picture_names_the_one_that_fits():
    with pytest.raises(SpecError, match=r"vit-tiny with patch 16 needs larger pictures, these are 28x12\.") as error:
        build("vit-tiny", (1, 28, 12), patch=16)
    assert "`patch: auto` takes 1 here" in str(error.value)
