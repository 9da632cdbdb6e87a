"""Feature maps of a picture at several strides, by a network of the classification zoo.

B batch, C channels, H height, W width.
"""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import DetectionInputs, ImageInputs
from sparknn_zoo.detection.pretrained import open_classifier, take_what_fits

Backbone = Literal["compact", "resnet18", "resnet34", "resnet50", "mobilenet_v2", "convnext-atto"]
# Where each is, what it is built with, and what follows its last feature map.
NETWORKS: dict[str, tuple[str, str, dict[str, Any], tuple[str, ...]]] = {
    "compact": ("sparknn_zoo.vision.compact", "compact", {}, ("head",)),
    "resnet18": ("sparknn_zoo.vision.resnet", "resnet18", {"stem": "imagenet"}, ("head",)),
    "resnet34": ("sparknn_zoo.vision.resnet", "resnet34", {"stem": "imagenet"}, ("head",)),
    "resnet50": ("sparknn_zoo.vision.resnet", "resnet50", {"stem": "imagenet"}, ("head",)),
    "mobilenet_v2": ("sparknn_zoo.vision.mobilenet", "mobilenet_v2", {"stem": "imagenet"}, ("dropout", "head")),
    "convnext-atto": ("sparknn_zoo.vision.convnext", "convnext_atto", {"patch": 4}, ("norm", "head")),
}
LEAST = 32  # pixels of a side: the last feature map has one cell for as many
TRIED = 64  # pixels of a side of the picture that the strides are found with


class Pyramid(nn.Module):
    """A chain of modules whose feature maps at `strides` are given, the last one of each stride; with the coarser ones.

    `strides` and `channels` say what comes out.
    """

    def __init__(self, chain: Sequence[nn.Module], channels: int, first: int):
        """Raises: SpecError where no feature map has the stride `first`."""
        super().__init__()
        self.chain = nn.ModuleList(chain)
        found = _strides(self.chain, channels)
        self.taken: list[int] = []
        self.strides: list[int] = []
        self.channels: list[int] = []
        for n, (stride, wide) in enumerate(found):
            if stride >= first and (n + 1 == len(found) or found[n + 1][0] != stride):
                self.taken.append(n)
                self.strides.append(stride)
                self.channels.append(wide)
        if not self.strides or self.strides[0] != first:
            known = sorted({stride for stride, _ in found if stride > 2})
            raise SpecError(f"the backbone has no feature map of stride {first}; it has {', '.join(map(str, known))}.")

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """float32[B, C, H, W] -> float32[B, channels, ceil(H / stride), ceil(W / stride)] of each stride."""
        maps = []
        for n, module in enumerate(self.chain):
            x_BCHW = module(x_BCHW)
            if n in self.taken:
                maps.append(x_BCHW)
        return maps


def _strides(chain: Iterable[nn.Module], channels: int) -> list[tuple[int, int]]:
    """Return stride and channels behind each module of a chain, by looking at what comes out for an empty picture."""
    modes = [(module, module.training) for each in chain for module in each.modules()]
    x = torch.zeros(1, channels, TRIED, TRIED)
    found = []
    with torch.no_grad():
        for module in chain:
            x = module.eval()(x)
            found.append((TRIED // x.shape[2], x.shape[1]))
    for module, mode in modes:
        module.training = mode
    return found


class Rebuilt(NamedTuple):
    """What executors need not read a classifier for: they are given the weights."""

    options: dict[str, Any]  # of the detector, that make the same network without the file
    note: str  # for the user: what of the classifier was not taken, or ""


def build_pyramid(
    name: str,
    inputs: DetectionInputs,
    first: int,
    *,
    backbone: Backbone,
    options: Mapping[str, Any] | None,
    width: int,
    pretrained: str | None,
) -> tuple[Pyramid, Rebuilt]:
    """Build a detector's backbone, with the weights of a classifier where one is given; `name` is the detector's.

    Raises: SpecError where the pictures are too small or the options wrong, BundleError where the classifier is
    another network.
    """
    older = open_classifier(pretrained)
    if min(inputs.height, inputs.width) < LEAST:
        raise SpecError(
            f"{name} needs pictures of at least {LEAST}x{LEAST} pixels, these are {inputs.height}x{inputs.width}.",
            hint="Add `preprocess: [letterbox: 320]`.",
        )
    if backbone == "compact" and options is not None:
        raise SpecError(f"{name}: `backbone_options` are for the other backbones; of compact there is `width`.")
    module, attribute, fixed, behind = NETWORKS[backbone]
    older_options = older.options(backbone) if older is not None else {}
    if backbone == "compact" and older_options.get("width", width) != width:
        other = older_options["width"]
        raise SpecError(f"'{pretrained}' has width {other}, and the backbone {width}.", hint=f"Write `width: {other}`.")
    given = {"width": width} if backbone == "compact" else {**older_options, **(options or {}), **fixed}
    build = getattr(importlib.import_module(module), attribute)
    try:
        network = build(ImageInputs(inputs.channels, inputs.height, inputs.width), 1, **given)
    except TypeError as error:  # an option that there is not: its own words name it
        raise SpecError(f"{name}: backbone_options: {str(error).split('() ')[-1]}.") from error
    note = take_what_fits(network, older, behind) if older is not None else ""
    rebuilt = Rebuilt({"pretrained": None} | ({} if backbone == "compact" else {"backbone_options": given}), note)
    return Pyramid(_chain(network, behind), inputs.channels, first), rebuilt


def _chain(network: nn.Module, behind: Sequence[str]) -> list[nn.Module]:
    """Return the modules that a classifier runs one after the other up to its last feature map."""
    chain: list[nn.Module] = []
    for name, child in network.named_children():
        if name not in behind:
            chain += list(child) if isinstance(child, nn.Sequential) and name != "stem" else [child]
    return chain
