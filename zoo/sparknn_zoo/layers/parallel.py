"""Branches side by side."""

from typing import Literal

import torch
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.layers import Chain, chain, words
from sparknn_magic.plugin import Branches, layer
from sparknn_zoo.layers.common import Shape


class Parallel(nn.Module):
    """Several chains of layers on the same rows, and one result of theirs."""

    def __init__(self, branches: list[Chain], merge: str, axis: int):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.merge, self.axis = merge, axis

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] -> the sum of what the branches give, or all of it along an axis."""
        found = [branch(x) for branch in self.branches]
        if self.merge == "concat":
            return torch.cat(found, self.axis)
        total = found[0]
        for other in found[1:]:
            total = total + other
        return total


@layer(
    "parallel",
    main="branches",
    source="Szegedy et al. 2015, Going Deeper with Convolutions, arXiv:1409.4842",
    example={"branches": [["layer_norm", "gelu"], ["relu"]]},
)
def parallel(shape: Shape, *, branches: Branches, merge: Literal["concat", "add"] = "concat") -> nn.Module:
    """Gives the same rows to several lists of layers and merges what they give: any shape [...] -> one shape.

    branches: a list of lists of layers; an empty one gives the rows as they are.
    merge: concat puts the channels (features, of sequences and vectors) of all one after the other; add adds numbers.
    Raises: SpecError where what they give does not fit together.
    """
    built = [chain(shape, layers, at=("branches", n), title=f"branch {n + 1}") for n, layers in enumerate(branches)]
    shapes = [branch.shape for branch in built]
    axis = 0 if len(shapes[0]) == 3 else len(shapes[0]) - 1
    fits = len(set(shapes)) == 1
    if merge == "concat":
        fits = len({(len(s), s[:axis], s[axis + 1 :]) for s in shapes}) == 1
    if not fits:
        how = "added" if merge == "add" else "put side by side"
        raise SpecError(f"parallel: what its branches give cannot be {how}: {', '.join(words(s) for s in shapes)}.")
    return Parallel(built, merge, axis + 1)
