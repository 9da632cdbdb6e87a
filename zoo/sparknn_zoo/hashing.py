"""Hashes of n-grams, the same in every runtime: polynomials of the ids modulo a prime.

The prime is below 2**31, so no product of two numbers leaves int64. The multipliers are known to scatter well: Park and
Miller 1988, Random number generators: good ones are hard to find; Fishman and Moore 1986, table 5.
"""

from torch import Tensor

PRIME = 2**31 - 1
STEP = 48_271  # from letter to letter, from word to word
SCATTER = 742_938_285  # from a hash to its row of a table


def scattered(hashes: Tensor, *, kind: int) -> Tensor:
    """Return int64 of any shape from 0 to PRIME - 1, which differ with the kind of what was hashed."""
    return (hashes * SCATTER + kind * STEP) % PRIME
