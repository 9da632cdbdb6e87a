"""What several architectures share: option types, the size check, initialization, stochastic depth."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import ImageInputs

Rate = Annotated[float, Field(ge=0, lt=1)]  # a probability of dropping something: 0 keeps everything
Stem = Literal["auto", "cifar", "imagenet"]

SMALL = 64  # pixels: up to this side, a stem made for ImageNet throws away too much of the picture


def require_size(name: str, inputs: ImageInputs, least: int) -> None:
    """Raise SpecError where a picture's height or width is under `least` pixels."""
    if min(inputs.height, inputs.width) >= least:
        return
    raise SpecError(
        f"{name} needs pictures of at least {least}x{least} pixels, these are {inputs.height}x{inputs.width}.",
        hint=f"Add `preprocess: [resize: {max(least, 32)}]`, or choose an architecture that takes small pictures.",
    )


def is_small(inputs: ImageInputs, stem: Stem) -> bool:
    """Return whether to build the stem for small pictures: as asked, or by the longer side where it is `auto`."""
    if stem == "auto":
        return max(inputs.height, inputs.width) <= SMALL
    return stem == "cifar"


def he_init(network: nn.Module) -> None:
    """Draw the weights of convolutions from a normal of variance 2 / fan_out; biases to 0.

    Source: He et al. 2015, Delving Deep into Rectifiers, sec. 2.2 (the backward form, as is usual in ResNets).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def transformer_init(network: nn.Module) -> None:
    """Draw the weights of linear layers and convolutions from a normal of deviation 0.02, cut at 2; biases to 0.

    Source: Touvron et al. 2021 (DeiT), sec. 6, and Liu et al. 2022 (ConvNeXt), appendix A.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class DropPath(nn.Module):
    """Stochastic depth: in training, zero a row's residual branch with probability `rate` and scale the others up.

    Source: Huang et al. 2016, Deep Networks with Stochastic Depth.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape with the batch first -> the same."""
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand(x.shape[:1] + (1,) * (x.ndim - 1), device=x.device) >= self.rate
        return x * keep.to(x.dtype) / (1 - self.rate)
