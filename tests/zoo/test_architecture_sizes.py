"""Parameters, multiplications and feature map sizes against the papers' tables and the figures the field quotes."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sparknn_magic import registry
from sparknn_magic.plugin import ImageInputs

# Of `compact`, by hand: stem, convolutions of stride 2, residuals (a 1x1 to half, a 3x3 back), BatchNorm, head.
DOWN = 9 * (24 * 48 + 48 * 96 + 96 * 144 + 144 * 192)
INSIDE = 5 * (48**2 + 3 * 96**2 + 3 * 144**2 + 192**2)
NORMS = 2 * (24 + 48 + 96 + 144 + 192) + 3 * (48 + 3 * 96 + 3 * 144 + 192)
COMPACT = 27 * 24 + DOWN + INSIDE + NORMS + 193 * 10
FASHION, CIFAR, IMAGENET = ImageInputs(1, 28, 28), ImageInputs(3, 32, 32), ImageInputs(3, 224, 224)


def build(name: str, inputs: ImageInputs, outputs: int, **options) -> nn.Module:
    with torch.device("meta"):  # shapes without numbers: nothing is computed
        return registry.get("architecture", name).build(inputs, outputs, **options).eval()


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "options", "count"),
    [
        # torchvision's published counts
        ("resnet18", IMAGENET, 1000, {}, 11_689_512),
        ("resnet34", IMAGENET, 1000, {}, 21_797_672),
        ("resnet50", IMAGENET, 1000, {}, 25_557_032),
        ("mobilenet_v2", IMAGENET, 1000, {}, 3_504_872),
        # timm's: deit_tiny_patch16_224
        ("vit-tiny", IMAGENET, 1000, {}, 5_717_416),
        # LeNet-5 as textbooks have it, on MNIST padded to 32x32
        ("lenet5", ImageInputs(1, 32, 32), 10, {}, 156 + 2_416 + 48_120 + 10_164 + 850),
        ("lenet5", FASHION, 10, {}, 61_706),
        # counted by hand: weights and biases; convolutions, BatchNorm, head
        ("mlp", FASHION, 10, {"width": 300, "depth": 1}, 784 * 300 + 300 + 300 * 10 + 10),
        ("mlp", FASHION, 10, {"depth": 0}, 7_850),
        ("resnet8", CIFAR, 10, {}, 27 * 16 + 9 * (512 + 512 + 1024 + 2048 + 4096) + 2 * (48 + 64 + 128) + 650),
        ("resnet9", CIFAR, 10, {}, 27 * 64 + 9 * 2**12 * (2 + 8 + 8 + 32 + 128) + 2 * (448 + 256 + 1536) + 5_120),
        ("compact", CIFAR, 10, {}, COMPACT),
        ("vgg-small", CIFAR, 10, {}, 27 * 64 + 9 * 2**12 * (1 + 2 + 4 + 8 + 16) + 2 * 2 * 448 + 2_570),
    ],
)
def test_parameter_count_is_exactly(name, inputs, outputs, options, count):
    assert parameters(build(name, inputs, outputs, **options)) == count


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "options", "millions"),
    [
        ("resnet20", CIFAR, 10, {}, "0.27"),  # He et al. 2016, table 6
        ("resnet56", CIFAR, 10, {}, "0.85"),
        ("densenet-small", CIFAR, 10, {"depth": 100}, "0.8"),  # Huang et al. 2017, table 2, DenseNet-BC
        ("densenet-small", CIFAR, 10, {"depth": 250, "growth": 24}, "15.3"),
        ("densenet-small", CIFAR, 10, {"depth": 190, "growth": 40}, "25.6"),
        ("convnext-atto", IMAGENET, 1000, {}, "3.7"),  # timm's convnext_atto
        ("mobilenet_v2", IMAGENET, 1000, {"width": 1.4}, "6.1"),  # timm's mobilenetv2_140; the paper itself says 6.9
    ],
)
def test_parameter_count_rounds_to_the_published_one(name, inputs, outputs, options, millions):
    decimals = len(millions.split(".")[1])
    assert f"{parameters(build(name, inputs, outputs, **options)) / 1e6:.{decimals}f}" == millions


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "billions"),
    [
        ("resnet18", IMAGENET, 1000, 1.81),  # torchvision's table
        ("resnet34", IMAGENET, 1000, 3.66),
        ("resnet50", IMAGENET, 1000, 4.09),
        ("mobilenet_v2", IMAGENET, 1000, 0.30),  # Sandler et al. 2018, table 4
        ("convnext-atto", IMAGENET, 1000, 0.55),  # timm's table
        ("vit-tiny", IMAGENET, 1000, 1.26),  # timm's table
        ("resnet20", CIFAR, 10, 0.0408),  # widely quoted in the pruning literature
        ("resnet56", CIFAR, 10, 0.1255),
    ],
)
def test_multiplications_of_one_picture_are_those_of_the_published_network(name, inputs, outputs, billions):
    network = build(name, inputs, outputs)
    x = torch.empty(1, inputs.channels, inputs.height, inputs.width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x)
    assert counter.get_total_flops() / 2e9 == pytest.approx(billions, rel=0.02)


def test_every_note_of_a_paper_agrees_with_the_network_that_is_built():
    items, _ = registry.load_all(["architecture"])
    noted = [item for item in items if item.build.__module__.startswith("sparknn_zoo.vision.") and item.notes]
    assert len(noted) >= 9
    for item in noted:
        options = dict(item.notes["at"])
        inputs = ImageInputs(options.pop("channels"), options.pop("height"), options.pop("width"))
        network = build(item.name, inputs, options.pop("outputs"), **options)
        assert parameters(network) == pytest.approx(item.notes["parameters"], rel=0.04), item.name


def feature_sides(network: nn.Module, inputs: ImageInputs) -> list[tuple[int, int]]:
    """Return the distinct heights and widths of the feature maps, in order."""
    sides: list[tuple[int, int]] = []

    def note(_module, _args, output):
        size = tuple(output.shape[2:])
        if output.ndim == 4 and (not sides or sides[-1] != size):
            sides.append(size)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            module.register_forward_hook(note)
    network(torch.empty(1, inputs.channels, inputs.height, inputs.width, device="meta"))
    return sides


@pytest.mark.parametrize(
    ("name", "inputs", "options", "sides"),
    [
        ("resnet18", IMAGENET, {}, [112, 56, 28, 14, 7]),
        ("resnet18", CIFAR, {}, [32, 16, 8, 4]),
        ("resnet18", ImageInputs(3, 64, 64), {}, [64, 32, 16, 8]),
        ("resnet18", ImageInputs(3, 64, 64), {"stem": "imagenet"}, [32, 16, 8, 4, 2]),
        ("resnet18", ImageInputs(3, 65, 65), {}, [33, 17, 9, 5, 3]),
        ("resnet18", ImageInputs(3, 96, 96), {"stem": "cifar"}, [96, 48, 24, 12]),
        ("mobilenet_v2", IMAGENET, {}, [112, 56, 28, 14, 7]),
        ("mobilenet_v2", FASHION, {}, [28, 14, 7, 4]),
        ("resnet20", CIFAR, {}, [32, 16, 8]),
        ("resnet9", CIFAR, {}, [32, 16, 8, 4]),
        ("compact", ImageInputs(3, 64, 64), {}, [32, 16, 8, 4, 2]),
        ("vgg-small", FASHION, {}, [28, 14, 7, 3]),
        ("densenet-small", CIFAR, {}, [32, 16, 8]),
        ("lenet5", FASHION, {}, [28, 14, 10, 5]),
        ("convnext-atto", IMAGENET, {}, [56, 28, 14, 7]),
        ("convnext-atto", ImageInputs(3, 64, 64), {}, [32, 16, 8, 4]),
        ("convnext-atto", FASHION, {}, [28, 14, 7, 3]),
        ("vit-tiny", IMAGENET, {}, [14]),
        ("vit-tiny", FASHION, {}, [7]),
        ("vit-tiny", ImageInputs(3, 30, 30), {}, [8]),  # padded to 32
    ],
)
def test_feature_maps_have_the_sides(name, inputs, options, sides):
    assert feature_sides(build(name, inputs, 10, **options), inputs) == [(side, side) for side in sides]


def test_options_of_width_and_depth_change_the_count_as_they_should():
    # A convolution's weights grow with the square of the width.
    narrow, wide = (parameters(build("resnet18", CIFAR, 10, width=w)) for w in (32, 64))
    assert wide / narrow == pytest.approx(4, rel=0.02)
    # A transformer layer of D dimensions: 12 D^2 weights, 13 D biases and norms.
    shallow, deep = (parameters(build("vit-tiny", CIFAR, 10, depth=d)) for d in (4, 6))
    assert deep - shallow == 2 * (12 * 192**2 + 13 * 192)
