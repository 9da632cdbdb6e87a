"""A border of zeros."""

from pydantic import NonNegativeInt
from torch import nn

from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Shape, padder, picture

Border = (
    NonNegativeInt
    | tuple[NonNegativeInt, NonNegativeInt]
    | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]
)


@layer("zero_pad2d", main="padding", source="LeCun et al. 1989")
def zero_pad2d(shape: Shape, *, padding: Border = 1) -> nn.Module:
    """A border of zeros around pictures: [channels, height, width] -> a higher and wider one.

    padding: pixels on every side, [above and below, left and right] or [above, below, left, right].
    """
    picture(shape)
    if isinstance(padding, int):
        padding = (padding, padding)
    above, below, left, right = (p for n in padding for p in (n, n)) if len(padding) == 2 else padding
    return padder([(above, below), (left, right)])
