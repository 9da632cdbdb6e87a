"""Lion: the sign of an interpolated momentum."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from sparknn_magic.plugin import optimizer

Share = Annotated[float, Ge(0), Lt(1)]


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of the paper; one running mean a weight, where Adam keeps two."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            first, second = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if not state:
                    state["exp_avg"] = torch.zeros_like(p)
                mean = state["exp_avg"]
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(torch.lerp(p.grad, mean, first).sign_(), alpha=-group["lr"])
                mean.lerp_(p.grad, 1 - second)
        return loss


@optimizer(
    "lion", main="lr", source="Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, arXiv:2302.06675"
)
def lion(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    *,
    lr: Annotated[float, Gt(0)] = 1e-4,
    weight_decay: Annotated[float, Ge(0)] = 0.5,
    betas: tuple[Share, Share] = (0.9, 0.99),
) -> torch.optim.Optimizer:
    """Lion on parameters, or on torch parameter groups, whose own settings go before these.

    Every weight moves by the learning rate itself, up or down: the paper takes 3 to 10 times less of it than for
    adamw, and as much more weight decay.

    lr: learning rate, where the schedule's factor is 1.
    weight_decay: a step shrinks every weight by this share, times the learning rate.
    betas: share of the running mean in the step, and its decay.
    """
    return Lion(parameters, {"lr": lr, "weight_decay": weight_decay, "betas": betas})
