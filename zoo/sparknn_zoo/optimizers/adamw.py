"""Adam with decoupled weight decay."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import optimizer
from sparknn_zoo import checks


@optimizer("adamw", main="lr", source="Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization")
def adamw(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    *,
    lr: float = 1e-3,
    weight_decay: float = 0.05,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """AdamW on parameters, or on torch parameter groups, whose own settings go before these.

    `lr` is the learning rate at the schedule's factor 1; a step shrinks weights by the share lr * `weight_decay`.
    `betas` are the decays of the running mean and of the running square of the gradient.
    Raises: SpecError where an option is out of range.
    """
    checks.above("adamw", "lr", lr, 0)
    checks.at_least("adamw", "weight_decay", weight_decay, 0)
    for beta in betas:
        if not 0 <= beta < 1:
            raise SpecError(f"adamw: betas is {beta}; it must be at least 0 and below 1.")
    checks.above("adamw", "eps", eps, 0)
    # fused: 0.8 ms a step instead of 2.3 on one CPU thread for 60 tensors, 0.2 M weights; 9 instead of 39 for 12 M.
    return torch.optim.AdamW(
        parameters, lr=lr, weight_decay=weight_decay, betas=(betas[0], betas[1]), eps=eps, fused=True
    )
