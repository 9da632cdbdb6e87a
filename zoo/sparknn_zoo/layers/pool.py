"""Pooling over windows of pictures and sequences: the largest, or the mean."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.layers import words
from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import (
    OverSteps,
    Padding1,
    Padding2,
    Pair,
    Shape,
    even,
    padder,
    pair,
    picture,
    sequence,
    spans,
)

SOURCE = "LeCun et al. 1989 (mean); Riesenhuber and Poggio 1999 (maximum)"


class PaddedMean(nn.Module):
    """The mean of each window over what is not padding."""

    share: Tensor

    def __init__(self, pool: nn.Module, pads: Sequence[tuple[int, int]], sizes: Sequence[int]):
        super().__init__()
        self.pool, self.pad = pool, padder(pads)
        share = pool(self.pad(torch.ones(1, 1, *sizes)))  # of each window that is not padding
        self.register_buffer("share", share, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """float32[B, channels, sizes] -> float32[B, channels, sizes']."""
        return self.pool(self.pad(x)) / self.share


def windows(
    sizes: Sequence[int], size: Sequence[int], stride: Sequence[int], padding: Padding2
) -> list[tuple[int, int]]:
    """Return the padding of these axes. Raises: SpecError where a window could lie in it altogether."""
    pads = spans(sizes, size, stride, padding)
    if any(2 * max(around) > window for around, window in zip(pads, size, strict=True)):
        raise SpecError(f"padding is {padding}; it must be at most half of the window, which is {words(size)}.")
    return pads


def max_pool(sizes: Sequence[int], size: Sequence[int], stride: Sequence[int], padding: Padding2) -> nn.Module:
    """Return maximum pooling over these last axes of a batch."""
    pads = windows(sizes, size, stride, padding)
    kind: Any = nn.MaxPool1d if len(sizes) == 1 else nn.MaxPool2d
    around = even(pads)
    if around is not None:
        return kind(tuple(size), tuple(stride), around)
    return nn.Sequential(padder(pads, float("-inf")), kind(tuple(size), tuple(stride)))


def mean_pool(sizes: Sequence[int], size: Sequence[int], stride: Sequence[int], padding: Padding2) -> nn.Module:
    """Return mean pooling over these last axes of a batch; padding is not counted."""
    pads = windows(sizes, size, stride, padding)
    kind: Any = nn.AvgPool1d if len(sizes) == 1 else nn.AvgPool2d
    pool: nn.Module = kind(tuple(size), tuple(stride))
    return PaddedMean(pool, pads, sizes) if any(map(any, pads)) else pool


@layer("max_pool2d", main="size", source=SOURCE)
def max_pool2d(shape: Shape, *, size: Pair = 2, stride: Pair | None = None, padding: Padding2 = "valid") -> nn.Module:
    """Largest of each window of a picture: [channels, height, width] -> [channels, height', width'].

    size: height and width of the window, in pixels.
    stride: pixels from window to window; as many as the window has where it is not given.
    padding: around the picture; valid: none, same: as many pixels as give ceil(size / stride), or pixels on each side.
    Raises: SpecError where the window is larger than the picture.
    """
    return max_pool(picture(shape)[1:], pair(size), pair(stride or size), padding)


@layer("avg_pool2d", main="size", source=SOURCE)
def avg_pool2d(shape: Shape, *, size: Pair = 2, stride: Pair | None = None, padding: Padding2 = "valid") -> nn.Module:
    """Mean of each window of a picture: [channels, height, width] -> [channels, height', width'].

    size: height and width of the window, in pixels.
    stride: pixels from window to window; as many as the window has where it is not given.
    padding: around the picture, not counted in the mean; valid: none, same: as many pixels as give ceil(size / stride),
    or pixels on each side.
    Raises: SpecError where the window is larger than the picture.
    """
    return mean_pool(picture(shape)[1:], pair(size), pair(stride or size), padding)


@layer("max_pool1d", main="size", source=SOURCE)
def max_pool1d(
    shape: Shape, *, size: PositiveInt = 2, stride: PositiveInt | None = None, padding: Padding1 = "valid"
) -> nn.Module:
    """Largest of each window of a sequence: [steps, features] -> [steps', features].

    size: steps of the window.
    stride: steps from window to window; as many as the window has where it is not given.
    padding: around the sequence; valid: none, same: as many steps as give ceil(steps / stride), or steps on each side.
    Raises: SpecError where the window is longer than the sequence.
    """
    return OverSteps(max_pool(sequence(shape)[:1], [size], [stride or size], padding))


@layer("avg_pool1d", main="size", source=SOURCE)
def avg_pool1d(
    shape: Shape, *, size: PositiveInt = 2, stride: PositiveInt | None = None, padding: Padding1 = "valid"
) -> nn.Module:
    """Mean of each window of a sequence: [steps, features] -> [steps', features].

    size: steps of the window.
    stride: steps from window to window; as many as the window has where it is not given.
    padding: around the sequence, not counted in the mean; valid: none, same: as many steps as give
    ceil(steps / stride), or steps on each side.
    Raises: SpecError where the window is longer than the sequence.
    """
    return OverSteps(mean_pool(sequence(shape)[:1], [size], [stride or size], padding))
