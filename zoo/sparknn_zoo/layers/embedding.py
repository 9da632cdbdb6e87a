"""A vector for each of a set of numbers: words, categories."""

from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.layers import ShapeError
from sparknn_magic.plugin import layer
from sparknn_zoo.layers.common import Shape


class Lookup(nn.Embedding):
    """Whole numbers from 0, of any type, [B, T] -> their vectors float32[B, T, D]."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the vectors; a fraction is cut off."""
        return super().forward(input.long())


@layer(
    "embedding",
    example={"vocabulary": 1000, "dim": 64},
    source="Bengio et al. 2003, A Neural Probabilistic Language Model, JMLR 3",
)
def embedding(shape: Shape, *, vocabulary: PositiveInt | None = None, dim: PositiveInt = 64) -> nn.Module:
    """A learnt vector for each number: [steps], whole numbers from 0 -> [steps, dim].

    vocabulary: how many different numbers there are; of texts, where it stands first, the tokenizer's.
    dim: length of a vector.
    Raises: SpecError where the vocabulary is not known.
    """
    if len(shape) != 1:
        raise ShapeError("[steps], whole numbers,", add="flatten")
    if vocabulary is None:
        raise SpecError("embedding needs its vocabulary: `embedding: {vocabulary: 1000}`.")
    return Lookup(vocabulary, dim)
