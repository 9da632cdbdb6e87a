"""The same layers several times."""

from typing import Annotated

from pydantic import Field
from torch import nn

from sparknn_magic.layers import chain
from sparknn_magic.plugin import Layers, layer
from sparknn_zoo.layers.common import Shape

Times = Annotated[int, Field(ge=1, le=1000)]


@layer("repeat", source="sparknn-magic", example={"times": 2, "layers": ["relu"]})
def repeat(shape: Shape, *, times: Times, layers: Layers) -> nn.Module:
    """Its layers several times, one after the other, each time with weights of their own: any shape [...] -> one shape.

    times: how many times.
    layers: a list, written as that of the model.
    """
    built = []
    for _ in range(times):
        built.append(chain(shape, layers))
        shape = built[-1].shape
    return nn.Sequential(*built)
