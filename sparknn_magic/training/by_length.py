"""Batches of rows that are about as long as each other: less padding to compute. Runs on executors."""

from collections.abc import Sequence

import torch
from torch import Tensor

WINDOW = 50  # batches whose rows are sorted together: each epoch still has other batches


def sort_within_windows(order: Tensor, lengths: Tensor, bounds: Sequence[tuple[int, int]], seed: int) -> Tensor:
    """Return the rows of a random order anew: sorted by length within each run of batches, the batches shuffled.

    `bounds` are the batches' positions in the order; what stands behind the last one stays where it is. Ranks that
    are given the same seed meet batches of about the same length in the same step, so that none waits for another.
    """
    generator = torch.Generator().manual_seed(seed)
    found = order.clone()
    for first in range(0, len(bounds), WINDOW):
        window = bounds[first : first + WINDOW]
        begin, end = window[0][0], window[-1][1]
        rows = order[begin:end]
        rows = rows[torch.argsort(lengths[rows], stable=True)]
        taken = 0
        for n in torch.randperm(len(window), generator=generator).tolist():
            a, b = window[n]
            found[a:b] = rows[taken : taken + b - a]
            taken += b - a
    return found
