"""Convolution over pictures."""

from pydantic import PositiveInt
from torch import nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import (
    Activation,
    Padding2,
    Pair,
    Shape,
    activated,
    divides,
    even,
    padder,
    pair,
    picture,
    spans,
)


@layer("conv2d", main="filters", source="LeCun et al. 1989, Neural Computation 1(4)")
def conv2d(
    shape: Shape,
    *,
    filters: PositiveInt,
    kernel: Pair = 3,
    stride: Pair = 1,
    padding: Padding2 = "valid",
    dilation: Pair = 1,
    groups: PositiveInt = 1,
    bias: bool = True,
    activation: Activation = None,
) -> nn.Module:
    """Convolution over pictures: [channels, height, width] -> [filters, height', width'].

    filters: channels of the result.
    kernel: height and width of the window, in pixels.
    stride: pixels from window to window.
    padding: zeros around the picture; valid: none, same: as many as give ceil(size / stride), or pixels on each side.
    dilation: pixels from one weight of the window to the next.
    groups: parts that the channels are cut into, each with filters of its own.
    bias: whether a number is added to each filter.
    activation: what follows, by name.
    Raises: SpecError where the window is larger than the picture, or groups do not divide the channels.
    """
    channels, *sizes = picture(shape)
    divides("conv2d", "groups", groups, channels=channels, filters=filters)
    pads = spans(sizes, pair(kernel), pair(stride), padding, pair(dilation))
    around = even(pads)
    inside = (around[0], around[1]) if around else 0
    convolution = nn.Conv2d(channels, filters, pair(kernel), pair(stride), inside, pair(dilation), groups, bias)
    module = convolution if around else nn.Sequential(padder(pads), convolution)
    return activated(module, activation, 1)
