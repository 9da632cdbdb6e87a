"""Layers with one fault each, and the sentence that names it."""

import torch
from torch import nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import layer

WHOLE = {"source": "Nobody 2026", "licence": "Apache-2.0"}


@layer("broken_takes_nothing", **WHOLE)
def takes_nothing(shape):
    """[features] -> [features], of four dimensions alone."""
    raise SpecError("it takes [a, b, c, d].")


@layer("broken_refuses_badly", **WHOLE)
def refuses_badly(shape):
    """[features] -> [features], and a RuntimeError for all other shapes."""
    if len(shape) != 1:
        raise RuntimeError("bad shape")
    return nn.Linear(shape[0], 2)


@layer("broken_flat_batch", **WHOLE)
def flat_batch(shape):
    """[features] -> [features], all rows in one."""
    return nn.Flatten(0)


@layer("broken_dead_gradient", **WHOLE)
def dead_gradient(shape):
    """[features] -> [features], cut off from its weights."""

    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

        def forward(self, x):
            return x * self.factor.detach()

    return Dead()


FAULTS = [
    (takes_nothing, "it takes rows of none of the shapes [3, 8, 8], [6, 4], [8]"),
    (refuses_badly, "it does not build for (3, 8, 8): RuntimeError: bad shape"),
    (flat_batch, "one row in, one row out"),
    (dead_gradient, "its outputs do not depend on its parameters: no gradient flows"),
]
