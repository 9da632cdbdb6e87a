"""Dropout: in training alone, numbers or whole channels become 0 and the others grow to make up for it."""

from torch import nn

from sparknn_magic.layers import ShapeError
from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import PICTURE, SEQUENCE, OverSteps, Rate, Shape


@layer("dropout", main="rate", source="Srivastava et al. 2014, JMLR 15")
def dropout(shape: Shape, *, rate: Rate = 0.5) -> nn.Module:
    """Drops numbers in training: any shape [...] -> the same.

    rate: share of the numbers dropped.
    """
    return nn.Dropout(rate)


@layer("spatial_dropout", main="rate", source="Tompson et al. 2015, arXiv:1411.4280")
def spatial_dropout(shape: Shape, *, rate: Rate = 0.5) -> nn.Module:
    """Drops whole channels of pictures, or features of all steps, in training: any shape [...] -> the same.

    rate: share of the channels dropped.
    """
    if len(shape) == 3:
        return nn.Dropout2d(rate)
    if len(shape) == 2:
        return OverSteps(nn.Dropout1d(rate))
    raise ShapeError(f"{PICTURE} or {SEQUENCE}")
