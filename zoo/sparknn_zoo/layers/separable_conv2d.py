"""Convolution channel by channel, alone or followed by one over the channels."""

from pydantic import PositiveInt
from torch import nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Activation, Padding2, Pair, Shape, activated, picture
from sparknn_zoo.layers.conv2d import conv2d

SOURCE = "Chollet 2017, Xception, arXiv:1610.02357"


@layer("depthwise_conv2d", main="kernel", source=SOURCE)
def depthwise_conv2d(
    shape: Shape,
    *,
    kernel: Pair = 3,
    stride: Pair = 1,
    padding: Padding2 = "valid",
    dilation: Pair = 1,
    multiplier: PositiveInt = 1,
    bias: bool = True,
    activation: Activation = None,
) -> nn.Module:
    """Convolution of each channel by itself: [channels, height, width] -> [channels x multiplier, height', width'].

    kernel: height and width of the window, in pixels.
    stride: pixels from window to window.
    padding: zeros around the picture; valid: none, same: as many as give ceil(size / stride), or pixels on each side.
    dilation: pixels from one weight of the window to the next.
    multiplier: filters of each channel.
    bias: whether a number is added to each filter.
    activation: what follows, by name.
    Raises: SpecError where the window is larger than the picture.
    """
    channels, _, _ = picture(shape)
    return conv2d(
        shape,
        filters=channels * multiplier,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=channels,
        bias=bias,
        activation=activation,
    )


@layer("separable_conv2d", main="filters", source=SOURCE)
def separable_conv2d(
    shape: Shape,
    *,
    filters: PositiveInt,
    kernel: Pair = 3,
    stride: Pair = 1,
    padding: Padding2 = "valid",
    dilation: Pair = 1,
    multiplier: PositiveInt = 1,
    bias: bool = True,
    activation: Activation = None,
) -> nn.Module:
    """Convolution of each channel, then one of 1x1 over the channels: [channels, height, width] -> [filters, ...].

    filters: channels of the result.
    kernel: height and width of the first one's window, in pixels.
    stride: pixels from window to window.
    padding: zeros around the picture; valid: none, same: as many as give ceil(size / stride), or pixels on each side.
    dilation: pixels from one weight of the window to the next.
    multiplier: filters of each channel in the first one.
    bias: whether a number is added to each filter.
    activation: what follows, by name.
    Raises: SpecError where the window is larger than the picture.
    """
    channels, _, _ = picture(shape)
    depthwise = depthwise_conv2d(
        shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation, multiplier=multiplier, bias=False
    )
    pointwise = nn.Conv2d(channels * multiplier, filters, 1, bias=bias)
    return activated(nn.Sequential(depthwise, pointwise), activation, 1)
