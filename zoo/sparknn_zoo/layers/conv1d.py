"""Convolution over sequences."""

from typing import Literal

from pydantic import PositiveInt
from torch import nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import (
    Activation,
    OverSteps,
    Padding1,
    Shape,
    activated,
    divides,
    padder,
    sequence,
    spans,
)


@layer("conv1d", main="filters", source="Waibel et al. 1989, IEEE Trans. ASSP 37(3); causal: van den Oord et al. 2016")
def conv1d(
    shape: Shape,
    *,
    filters: PositiveInt,
    kernel: PositiveInt = 3,
    stride: PositiveInt = 1,
    padding: Padding1 | Literal["causal"] = "valid",
    dilation: PositiveInt = 1,
    groups: PositiveInt = 1,
    bias: bool = True,
    activation: Activation = None,
) -> nn.Module:
    """Convolution over sequences: [steps, features] -> [steps', filters].

    filters: features of the result.
    kernel: steps of the window.
    stride: steps from window to window.
    padding: zeros around the sequence; valid: none, same: as many as give ceil(steps / stride), causal: all of them
    before it, so that no step sees a later one, or steps on each side.
    dilation: steps from one weight of the window to the next.
    groups: parts that the features are cut into, each with filters of its own.
    bias: whether a number is added to each filter.
    activation: what follows, by name.
    Raises: SpecError where the window is longer than the sequence, or groups do not divide the features.
    """
    steps, features = sequence(shape)
    divides("conv1d", "groups", groups, features=features, filters=filters)
    reach = dilation * (kernel - 1)
    pads = [(reach, 0)] if padding == "causal" else spans([steps], [kernel], [stride], padding, [dilation])
    convolution = nn.Conv1d(features, filters, kernel, stride, 0, dilation, groups, bias)
    module = OverSteps(nn.Sequential(padder(pads), convolution) if any(pads[0]) else convolution)
    return activated(module, activation)
