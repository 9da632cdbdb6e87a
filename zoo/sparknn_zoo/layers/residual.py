"""Layers beside a shortcut."""

from typing import Literal

from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.layers import Chain, chain, words
from sparknn_magic.plugin import Layers, layer
from sparknn_zoo.layers.common import Shape


class Residual(nn.Module):
    """What the layers give, plus what they are given."""

    def __init__(self, layers: Chain, shortcut: nn.Module):
        super().__init__()
        self.layers, self.shortcut = layers, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> what the layers give."""
        return self.layers(x) + self.shortcut(x)


def projection(given: Shape, wanted: Shape) -> nn.Module | None:
    """Return a linear map of each pixel or step from one shape to the other; None where pixels or steps do not fit."""
    if len(given) != len(wanted):
        return None
    if len(given) == 1:
        return nn.Linear(given[0], wanted[0], bias=False)
    if len(given) == 2:
        return nn.Linear(given[1], wanted[1], bias=False) if given[0] == wanted[0] else None
    stride = tuple(-(-before // after) for before, after in zip(given[1:], wanted[1:], strict=True))
    if any(-(-before // step) != after for before, step, after in zip(given[1:], stride, wanted[1:], strict=True)):
        return None
    return nn.Conv2d(given[0], wanted[0], 1, (stride[0], stride[1]), bias=False)


@layer(
    "residual",
    main="layers",
    source="He et al. 2016, Deep Residual Learning, arXiv:1512.03385, sec. 3.2",
    example={"layers": ["layer_norm", "gelu"]},
)
def residual(shape: Shape, *, layers: Layers, shortcut: Literal["identity", "projection"] = "identity") -> nn.Module:
    """Adds to what its layers give what they are given: any shape [...] -> what the last of them gives.

    layers: a list, written as that of the model.
    shortcut: identity adds the rows as they are; projection brings them to the other shape first, by a 1x1 convolution
    of pictures (with a stride where pixels are fewer), or a linear map of each step.
    Raises: SpecError where the shapes cannot be added.
    """
    body = chain(shape, layers)
    given, found = tuple(shape), body.shape
    if shortcut == "identity":
        if given != found:
            raise SpecError(
                f"residual: its layers give {words(found)}, which cannot be added to the {words(given)} before it.",
                hint="Write `shortcut: projection` beside `layers`, or choose padding and filters that keep the shape.",
            )
        return Residual(body, nn.Identity())
    module = projection(given, found)
    if module is None:
        raise SpecError(f"residual: no projection leads from {words(given)} to {words(found)}, which its layers give.")
    return Residual(body, module)
