"""Transposed convolution over pictures, which makes them larger."""

from pydantic import PositiveInt
from torch import nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Activation, Padding2, Pair, Shape, activated, padder, pair, picture


@layer("conv_transpose2d", main="filters", source="Zeiler et al. 2010, Deconvolutional Networks, CVPR")
def conv_transpose2d(
    shape: Shape,
    *,
    filters: PositiveInt,
    kernel: Pair = 2,
    stride: Pair = 2,
    padding: Padding2 = "valid",
    bias: bool = True,
    activation: Activation = None,
) -> nn.Module:
    """Transposed convolution over pictures: [channels, height, width] -> [filters, height', width'].

    filters: channels of the result.
    kernel: height and width of what each pixel becomes, in pixels.
    stride: pixels from one of these to the next.
    padding: what is cut off again; valid: nothing, same: as much as leaves size x stride, or pixels on each side.
    bias: whether a number is added to each filter.
    activation: what follows, by name.
    """
    channels, _, _ = picture(shape)
    cuts, added = [], []
    given = [padding] * 2 if isinstance(padding, str | int) else padding
    for window, step, pad in zip(pair(kernel), pair(stride), given, strict=True):
        over = window - step  # by how much the last window stands out; where it is negative, a gap to fill
        added.append(max(-over, 0) if isinstance(pad, str) else 0)
        total = max(over, 0)
        cut = (total // 2, total - total // 2) if pad == "same" else (0, 0) if pad == "valid" else (pad, pad)
        cuts.append((-cut[0], -cut[1]))
    module: nn.Module = nn.ConvTranspose2d(
        channels, filters, pair(kernel), pair(stride), output_padding=(added[0], added[1]), bias=bias
    )
    if any(map(any, cuts)):
        module = nn.Sequential(module, padder(cuts))
    return activated(module, activation, 1)
