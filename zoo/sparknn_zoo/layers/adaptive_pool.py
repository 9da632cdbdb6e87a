"""Pooling to a size that is given, and to a single number for each channel."""

from collections.abc import Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import OverSteps, Pair, Shape, pair, picture, sequence

SOURCE = "He et al. 2014, Spatial Pyramid Pooling, arXiv:1406.4729"
GLOBAL = "Lin et al. 2014, Network In Network, arXiv:1312.4400"


class Windows(nn.Module):
    """Pooling over windows of nearly equal size, one axis after the other, as torch's adaptive pooling has them.

    Window i of n over a size s is floor(i s / n) .. ceil((i + 1) s / n). Written out, because sizes are known here, and
    ONNX has no such operator.
    """

    def __init__(self, sizes: Sequence[int], targets: Sequence[int], maximum: bool):
        super().__init__()
        self.maximum = maximum
        self.windows = [
            [(i * size // target, -(-(i + 1) * size // target)) for i in range(target)]
            for size, target in zip(sizes, targets, strict=True)
        ]

    def forward(self, x: Tensor) -> Tensor:
        """float32[B, channels, sizes] -> float32[B, channels, targets]."""
        for axis, windows in enumerate(self.windows, start=2):
            if all(end - begin == 1 for begin, end in windows):
                continue
            parts = [x.narrow(axis, begin, end - begin) for begin, end in windows]
            pooled = [part.amax(axis) if self.maximum else part.mean(axis) for part in parts]
            x = torch.stack(pooled, axis)
        return x


class Whole(nn.Module):
    """The largest number, or the mean, over some axes of a batch."""

    def __init__(self, axes: tuple[int, ...], maximum: bool):
        super().__init__()
        self.axes, self.maximum = axes, maximum

    def forward(self, x: Tensor) -> Tensor:
        """float32[B, ...] -> the same without these axes."""
        return x.amax(self.axes) if self.maximum else x.mean(self.axes)


@layer("adaptive_avg_pool2d", main="size", source=SOURCE)
def adaptive_avg_pool2d(shape: Shape, *, size: Pair = 1) -> nn.Module:
    """Mean of each of so many windows: [channels, height, width] -> [channels, size, size].

    size: height and width of the result, in pixels.
    """
    return Windows(picture(shape)[1:], pair(size), False)


@layer("adaptive_max_pool2d", main="size", source=SOURCE)
def adaptive_max_pool2d(shape: Shape, *, size: Pair = 1) -> nn.Module:
    """Largest of each of so many windows: [channels, height, width] -> [channels, size, size].

    size: height and width of the result, in pixels.
    """
    return Windows(picture(shape)[1:], pair(size), True)


@layer("adaptive_avg_pool1d", main="size", source=SOURCE)
def adaptive_avg_pool1d(shape: Shape, *, size: PositiveInt = 1) -> nn.Module:
    """Mean of each of so many windows: [steps, features] -> [size, features].

    size: steps of the result.
    """
    return OverSteps(Windows(sequence(shape)[:1], [size], False))


@layer("adaptive_max_pool1d", main="size", source=SOURCE)
def adaptive_max_pool1d(shape: Shape, *, size: PositiveInt = 1) -> nn.Module:
    """Largest of each of so many windows: [steps, features] -> [size, features].

    size: steps of the result.
    """
    return OverSteps(Windows(sequence(shape)[:1], [size], True))


@layer("global_avg_pool2d", source=GLOBAL)
def global_avg_pool2d(shape: Shape) -> nn.Module:
    """Mean of each channel: [channels, height, width] -> [channels]."""
    picture(shape)
    return Whole((2, 3), False)


@layer("global_max_pool2d", source=GLOBAL)
def global_max_pool2d(shape: Shape) -> nn.Module:
    """Largest of each channel: [channels, height, width] -> [channels]."""
    picture(shape)
    return Whole((2, 3), True)


@layer("global_avg_pool1d", source=GLOBAL)
def global_avg_pool1d(shape: Shape) -> nn.Module:
    """Mean over the steps: [steps, features] -> [features]."""
    sequence(shape)
    return Whole((1,), False)


@layer("global_max_pool1d", source=GLOBAL)
def global_max_pool1d(shape: Shape) -> nn.Module:
    """Largest over the steps: [steps, features] -> [features]."""
    sequence(shape)
    return Whole((1,), True)
