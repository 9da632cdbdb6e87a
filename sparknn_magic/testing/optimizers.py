"""Optimizers and schedules: a quadratic goes down, the state comes back, every factor is a finite number."""

import copy
import json
import math
from typing import Any

import torch
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.testing.kit import Fault, Subject, checks, guard, must
from sparknn_magic.training.checkpoint import optimizer_state, restore_optimizer
from sparknn_magic.training.groups import parameter_groups

STEPS = 30
RUNS = [(100, 10), (12, 12), (1, 1), (7, 3)]  # (steps, steps of an epoch)


class _Bowl(nn.Module):
    """A quadratic of three matrices and vectors (the one in the middle is a hidden layer's), or of a table."""

    def __init__(self, sparse: bool):
        super().__init__()
        torch.manual_seed(3)
        self.sparse = sparse
        self.layers = nn.ModuleList(
            [nn.Embedding(6, 4, sparse=True)] if sparse else [nn.Linear(5, 4) for _ in range(3)]
        )

    def forward(self) -> Tensor:
        x = torch.arange(6) if self.sparse else torch.randn(16, 5, generator=torch.Generator().manual_seed(4))
        return torch.stack([(layer(x) - 1).square().mean() for layer in self.layers]).mean()


@checks("optimizer")
def goes_down(subject: Subject) -> str:
    """Make a quadratic smaller, and go on from a restored state as if nothing had been."""
    bowl, sparse = _Bowl(False), False
    try:
        optimizer = _built(subject, bowl)
    except SpecError:
        bowl, sparse = _Bowl(True), True
        try:
            optimizer = _built(subject, bowl)
        except SpecError as error:
            raise Fault(f"it refuses dense gradients and sparse ones: {error.message}") from error
    first = bowl().item()
    for _ in range(STEPS):
        _step(optimizer, bowl)
    last = bowl().item()
    must(math.isfinite(last), "a quadratic is not finite after its steps, at its default learning rate.")
    must(last < first, f"a quadratic goes from {first:.4g} to {last:.4g} in {STEPS} steps: it does not go down.")
    _comes_back(subject, optimizer, bowl, sparse)
    kind = "of sparse gradients " if sparse else ""
    return f"a quadratic {kind}goes from {first:.3g} to {last:.3g} in {STEPS} steps; its state comes back"


def _built(subject: Subject, bowl: _Bowl) -> torch.optim.Optimizer:
    found = subject.build(parameter_groups(bowl))
    must(isinstance(found, torch.optim.Optimizer), f"it builds a {type(found).__name__}, not a torch.optim.Optimizer.")
    must(all("lr" in group for group in found.param_groups), "its parameter groups have no 'lr', which schedules set.")
    return found


def _step(optimizer: Any, bowl: _Bowl) -> None:
    def loss() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value = bowl()
        value.backward()
        return value

    with guard("its step fails", allow=()):
        if getattr(optimizer, "needs_closure", False):
            optimizer.step(loss)
        else:
            loss()
            optimizer.step()


def _comes_back(subject: Subject, optimizer: torch.optim.Optimizer, bowl: _Bowl, sparse: bool) -> None:
    other = _Bowl(sparse)
    other.load_state_dict(copy.deepcopy(bowl.state_dict()))
    again = _built(subject, other)
    with guard("its state does not come back from a checkpoint", allow=()):
        plain, tensors = optimizer_state(optimizer)
        tensors = {name: value.clone() for name, value in tensors.items()}  # as a file has them
        restore_optimizer(again, json.loads(json.dumps(plain)), tensors)
    for each, network in ((optimizer, bowl), (again, other)):
        _step(each, network)
    same = zip(bowl.parameters(), other.parameters(), strict=True)
    must(
        all(torch.equal(a, b) for a, b in same),
        "with its state restored from a checkpoint its next step is another one.",
    )


@checks("schedule")
def gives_factors(subject: Subject) -> str:
    """Give a finite factor of 0 or more at every step of a run, long or short."""
    for steps, epoch in RUNS:
        try:
            factor = subject.build(steps, epoch)
        except SpecError as error:
            must((steps, epoch) != RUNS[0], f"it refuses its own example or defaults: {error.message}")
            continue
        must(callable(factor), f"it builds a {type(factor).__name__}, not a function of the step.")
        for step in range(steps):
            with guard(f"it fails at step {step} of {steps}", allow=()):
                value = float(factor(step))
            must(math.isfinite(value), f"its factor at step {step} of {steps} is not finite.")
            must(value >= 0, f"its factor at step {step} of {steps} is {value:.3g}; a learning rate is not negative.")
            must(value == float(factor(step)), f"its factor at step {step} of {steps} differs from call to call.")
        if hasattr(factor, "update"):
            _update(factor)
    return f"a finite factor at each step of {len(RUNS)} runs"


def _update(factor: Any) -> None:
    """Tell it the figures of some epochs, as the training loop does."""
    for figure in (1.0, 0.9, 0.9, 0.9, 0.8):
        with guard("its update fails", allow=()):
            factor.update(figure, True)
        must(math.isfinite(float(factor(0))), "its factor is not finite after an epoch.")
