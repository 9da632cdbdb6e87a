"""The fully connected layer."""

from pydantic import PositiveInt
from torch import nn

from sparknn_magic.errors import SpecError
from sparknn_magic.layers import ShapeError
from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import SEQUENCE, VECTOR, Activation, Shape, activated


@layer("dense", main="units", source="Rumelhart et al. 1986, Nature 323:533-536", example={"units": 5})
def dense(
    shape: Shape, *, units: PositiveInt | None = None, bias: bool = True, activation: Activation = None
) -> nn.Module:
    """Fully connected: [features] -> [units]; of sequences each step by itself, [steps, features] -> [steps, units].

    units: numbers that it gives; the last dense of a network takes the number of classes where it is not given.
    bias: whether a number is added to each.
    activation: what follows, by name.
    Raises: SpecError where units are not given and it is not the last one.
    """
    if len(shape) not in (1, 2):
        raise ShapeError(f"{VECTOR} or {SEQUENCE}", add="flatten")
    if units is None:
        raise SpecError("dense needs units: only the last one of a network takes the number of classes by itself.")
    return activated(nn.Linear(shape[-1], units, bias), activation)
