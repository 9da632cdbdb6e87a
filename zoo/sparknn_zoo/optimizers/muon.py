"""Muon: momentum, made orthogonal, for the weight matrices inside the network; AdamW for all other parameters."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import PositiveInt
from torch import Tensor

from sparknn_magic.plugin import optimizer

Share = Annotated[float, Ge(0), Lt(1)]
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, Jordan et al. 2024
SMALL = 1e-7


def orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """Return about U V^T of the matrix' singular value decomposition U S V^T, by Newton and Schulz' iteration.

    Each of the steps is x <- p x, where p is a polynomial of x x^T. That square of the shorter side is enough to follow
    all steps, and x is multiplied once by the product of their p: for kernels of 3x3 half the time. In the weights' own
    format: bfloat16, which does for x, has not the digits for its square.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + SMALL)
    square = x @ x.T
    p = product = _polynomial(square)
    for _ in range(steps - 1):
        square = p @ square @ p
        p = _polynomial(square)
        product = p @ product
    x = product @ x
    return x.T if tall else x


def _polynomial(square: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    p = torch.addmm(square, square, square, beta=b, alpha=c)
    p.diagonal().add_(a)
    return p


class Muon(torch.optim.Optimizer):
    """Both methods in one optimizer: a group's `muon` says which one its parameters take."""

    def __init__(self, groups: list[dict[str, Any]], defaults: dict[str, Any]):
        super().__init__(groups, defaults)
        rest = [group for group in self.param_groups if not group["muon"]]
        self.rest = torch.optim.AdamW(rest, fused=True) if rest else None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in (p for p in group["params"] if group["muon"] and p.grad is not None):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                self._muon(p, p.grad, group)
        if self.rest is not None:
            # Again and again, because what loads a state puts new objects in place of both.
            self.rest.state, self.rest.param_groups = self.state, [g for g in self.param_groups if not g["muon"]]
            self.rest.step()
        return loss

    def _muon(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(p)
        buffer = state["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
        update = grad.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer
        update = update.reshape(len(update), -1)  # a convolution's kernel is a matrix with a row for each filter
        rows, columns = update.shape
        scale = max(1.0, rows / columns) ** 0.5
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * max(rows, columns) ** 0.5
        p.add_(orthogonal(update, group["ns_steps"]).reshape(p.shape), alpha=-group["lr"] * scale)


@optimizer(
    "muon",
    main="lr",
    source="Jordan et al. 2024, Muon: An Optimizer for Hidden Layers in Neural Networks, "
    "https://kellerjordan.github.io/posts/muon/; match_rms_adamw: Liu et al. 2025, arXiv:2502.16982",
)
def muon(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    *,
    lr: Annotated[float, Gt(0)] = 0.02,
    momentum: Share = 0.95,
    nesterov: bool = True,
    weight_decay: Annotated[float, Ge(0)] = 0.0,
    ns_steps: PositiveInt = 5,
    adjust_lr_fn: Literal["original", "match_rms_adamw"] = "original",
    adamw_lr: Annotated[float, Gt(0)] = 3e-4,
    betas: tuple[Share, Share] = (0.9, 0.95),
    eps: Annotated[float, Gt(0)] = 1e-10,
) -> torch.optim.Optimizer:
    """Muon on the weight matrices and kernels between a network's first and last layer, AdamW on the rest.

    The training loop marks those in the parameter groups (`hidden`); of parameters without a mark, all that have two
    or more axes are meant.

    lr: learning rate of the matrices, where the schedule's factor is 1.
    momentum: share of the last steps' mean that is kept.
    nesterov: look ahead by the momentum.
    weight_decay: a step shrinks every weight by this share, times its learning rate.
    ns_steps: iterations of Newton and Schulz in a step.
    adjust_lr_fn: original scales a step by the root of rows / columns where that is above 1; match_rms_adamw makes it
    as long as AdamW's, so that its rates fit.
    adamw_lr: learning rate of the other parameters, where the schedule's factor is 1.
    betas: AdamW's decay of the gradient's running mean, and of its running square.
    eps: added to AdamW's denominator, against division by 0.
    """
    defaults = {
        "lr": lr,
        "momentum": momentum,
        "nesterov": nesterov,
        "weight_decay": weight_decay,
        "ns_steps": ns_steps,
        "adjust_lr_fn": adjust_lr_fn,
        "betas": betas,
        "eps": eps,
    }
    return Muon(_split(parameters, adamw_lr), defaults)


def _split(parameters: Iterable[Tensor] | Iterable[dict[str, Any]], adamw_lr: float) -> list[dict[str, Any]]:
    """Return groups of which each takes one of the two methods."""
    given: list[Any] = list(parameters)
    groups = given if given and isinstance(given[0], dict) else [{"params": given}]
    split = []
    for group in groups:
        hidden = [p for p in group["params"] if p.ndim >= 2 and group.get("hidden", True)]
        chosen = {id(p) for p in hidden}
        rest = [p for p in group["params"] if id(p) not in chosen]
        split += [{**group, "params": hidden, "muon": True}] if hidden else []
        split += [{"lr": adamw_lr, **group, "params": rest, "muon": False}] if rest else []
    return split
