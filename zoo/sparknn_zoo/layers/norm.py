"""Normalization: of each channel over the batch, of each row over its features, or between the two."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparknn_magic.layers import ShapeError
from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import PICTURE, SEQUENCE, OverSteps, Shape, divides, known

Momentum = Annotated[float, Field(gt=0, le=1)]


class OverChannels(nn.Module):
    """A module that acts on the last axis, on the channels of a picture."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> the same shape."""
        return self.module(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@layer("batch_norm", main="momentum", source="Ioffe and Szegedy 2015, arXiv:1502.03167")
def batch_norm(shape: Shape, *, momentum: Momentum = 0.1, eps: PositiveFloat = 1e-5) -> nn.Module:
    """Normalization of each channel or feature over the batch, the pixels and the steps: any shape [...] -> the same.

    momentum: weight of a batch in the running mean and variance, which predictions use (Keras counts from the other
    end: its 0.9 is 0.1 here).
    eps: added to the variance.
    """
    features = known(shape)
    if len(shape) == 3:
        return nn.BatchNorm2d(features, eps, momentum)
    norm = nn.BatchNorm1d(features, eps, momentum)
    return OverSteps(norm) if len(shape) == 2 else norm


@layer("layer_norm", main="eps", source="Ba et al. 2016, arXiv:1607.06450")
def layer_norm(shape: Shape, *, eps: PositiveFloat = 1e-5) -> nn.Module:
    """Normalization of each row's features, of each step's, or of each pixel's channels: any shape [...] -> the same.

    eps: added to the variance.
    """
    norm = nn.LayerNorm(known(shape), eps)
    return OverChannels(norm) if len(shape) == 3 else norm


@layer("group_norm", main="groups", source="Wu and He 2018, arXiv:1803.08494", example={"groups": 2})
def group_norm(shape: Shape, *, groups: PositiveInt = 32, eps: PositiveFloat = 1e-5) -> nn.Module:
    """Normalization of groups of a row's channels, over pixels and steps: any shape [...] -> the same.

    groups: how many; 1 normalizes the whole row.
    eps: added to the variance.
    Raises: SpecError where groups do not divide the channels.
    """
    channels = known(shape)
    divides("group_norm", "groups", groups, channels=channels)
    norm = nn.GroupNorm(groups, channels, eps)
    return OverSteps(norm) if len(shape) == 2 else norm


@layer("instance_norm", main="eps", source="Ulyanov et al. 2016, arXiv:1607.08022")
def instance_norm(shape: Shape, *, eps: PositiveFloat = 1e-5) -> nn.Module:
    """Normalization of each channel of each row over its pixels or steps: any shape [...] -> the same.

    eps: added to the variance.
    """
    channels = known(shape)
    if len(shape) == 1 or (shape[0] if len(shape) == 2 else shape[1] * shape[2]) == 1:
        raise ShapeError(f"{PICTURE} or {SEQUENCE} with more than one pixel or step")
    if len(shape) == 3:
        return nn.InstanceNorm2d(channels, eps, affine=True)
    return OverSteps(nn.InstanceNorm1d(channels, eps, affine=True))
