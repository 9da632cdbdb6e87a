"""Layers that order a row's numbers in another shape."""

import math
from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.layers import words
from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Shape

Length = Annotated[int, Field(ge=-1)]


class Reshape(nn.Module):
    """The same numbers in another shape."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> [B, *shape]."""
        return x.reshape(x.shape[0], *self.shape)


class Permute(nn.Module):
    """The axes in another order."""

    def __init__(self, order: Shape):
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        """[B, a, b, c] -> [B, c, a, b], as `order` says; the numbers are moved to their new places."""
        return x.permute(0, *self.order).contiguous()


@layer("flatten", source="PyTorch, torch.nn.Flatten")
def flatten(shape: Shape) -> nn.Module:
    """All numbers of a row in one vector: any shape [...] -> [features]."""
    return nn.Flatten()


@layer("reshape", main="shape", source="NumPy, numpy.reshape", example={"shape": [-1, 2]})
def reshape(input_shape: Shape, *, shape: tuple[Length, ...]) -> nn.Module:
    """The same numbers, in the same order, in another shape: any shape [...] -> [shape].

    shape: of a row, without the batch; one -1 is worked out from the others.
    Raises: SpecError where the numbers are not as many.
    """
    target, total = tuple(shape), math.prod(input_shape)
    fixed = math.prod(n for n in target if n != -1)
    if not target or 0 in target or target.count(-1) > 1:
        raise SpecError(f"reshape: {words(target)} must have lengths of at least 1, and at most one -1.")
    if total % fixed or (-1 not in target and fixed != total):
        raise SpecError(
            f"reshape: rows of shape {words(input_shape)} have {total} numbers, {words(target)} has {fixed}."
        )
    return Reshape(tuple(total // fixed if n == -1 else n for n in target))


@layer("permute", main="order", source="Keras, Permute", example={"order": [2, 1]})
def permute(shape: Shape, *, order: tuple[PositiveInt, ...]) -> nn.Module:
    """The axes in another order: any shape [...] -> its lengths in that order.

    order: the axes by number from 1, without the batch: [2, 1] makes steps of features and features of steps.
    Raises: SpecError where it does not name every axis once.
    """
    if sorted(order) != list(range(1, len(shape) + 1)):
        axes = list(range(1, len(shape) + 1))
        raise SpecError(f"permute: order is {words(order)}; rows of shape {words(shape)} have the axes {words(axes)}.")
    return Permute(tuple(order))
