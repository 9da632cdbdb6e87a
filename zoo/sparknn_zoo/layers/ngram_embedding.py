"""A vector for each place of a sequence of characters or bytes, made of the runs that begin there. B batch, T steps."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.layers import ShapeError
from sparknn_magic.plugin import layer
from sparknn_zoo.hashing import PRIME, STEP, scattered
from sparknn_zoo.layers.common import Shape


class NGramVectors(nn.Module):
    """Whole numbers from 0, [B, T] -> float32[B, T, D]: the mean of the vectors of the runs that begin at each place.

    Behind the last step stand zeros.
    """

    def __init__(self, dim: int, buckets: int, min_n: int, max_n: int):
        super().__init__()
        self.buckets, self.min_n, self.max_n = buckets, min_n, max_n
        self.table = nn.Embedding(buckets, dim)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Return the means."""
        ids_BT = ids_BT.long()
        steps = ids_BT.shape[1]
        later = F.pad(ids_BT, (0, self.max_n - 1))
        run_BT, vectors = ids_BT * 0, []
        for n in range(1, self.max_n + 1):
            run_BT = (run_BT * STEP + later[:, n - 1 : n - 1 + steps]) % PRIME
            if n >= self.min_n:
                vectors.append(self.table(scattered(run_BT, kind=n) % self.buckets))
        return torch.stack(vectors).mean(0)


@layer(
    "ngram_embedding",
    main="dim",
    source="Clark et al. 2022, CANINE, arXiv:2103.06874, sec. 3.1: hashed n-grams of characters",
)
def ngram_embedding(
    shape: Shape,
    *,
    dim: PositiveInt = 64,
    buckets: Annotated[int, Field(ge=2, lt=PRIME)] = 32_768,
    min_n: PositiveInt = 1,
    max_n: PositiveInt = 4,
) -> nn.Module:
    """A learnt vector for each place, of the n-grams that begin there: [steps], whole numbers from 0 -> [steps, dim].

    With `tokenizer: characters` these are n-grams of characters, with `tokenizer: bytes` n-grams of bytes. An n-gram's
    vector is found by its hash, in a table that all share: there is no vocabulary of n-grams.

    dim: length of a vector.
    buckets: rows of the table.
    min_n: steps of the shortest n-gram.
    max_n: steps of the longest.
    Raises: SpecError where max_n is below min_n.
    """
    if len(shape) != 1:
        raise ShapeError("[steps], whole numbers,", add="flatten")
    if max_n < min_n:
        raise SpecError(f"ngram_embedding: max_n is {max_n}, below min_n, which is {min_n}.")
    return NGramVectors(dim, buckets, min_n, max_n)
