"""Losses: one finite value a row, and gradients that finite differences confirm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import Target, build_loss
from sparknn_magic.testing.kit import Fault, Subject, checks, guard, must

ROWS = 6
STEP = 1e-6  # of the finite differences, in float64


@dataclass(frozen=True)
class Learnt:
    """What a task learns, and rows of it: outputs as the network gives them, and the targets beside them."""

    words: str
    target: Target
    rows: Callable[[], tuple[Tensor, Tensor]]


def _draw() -> torch.Generator:
    return torch.Generator().manual_seed(11)


def _classes(count: int) -> Learnt:
    target = Target(("airplane", "bird", "cat")[:count], tuple(range(10, 10 + count)))
    return Learnt(
        f"{count} classes",
        target,
        lambda: (
            torch.randn(ROWS, count, generator=_draw(), dtype=torch.float64),
            torch.arange(ROWS) % count,
        ),
    )


def _labels() -> Learnt:
    def rows() -> tuple[Tensor, Tensor]:
        draw = _draw()
        outputs = torch.randn(ROWS, 3, generator=draw, dtype=torch.float64)
        return outputs, torch.randint(0, 2, (ROWS, 3), generator=draw).double()

    return Learnt("several labels a row", Target(("airplane", "bird", "cat"), (10, 11, 12)), rows)


def _number() -> Learnt:
    target = Target(mean=3.0, std=2.0)

    def rows() -> tuple[Tensor, Tensor]:
        draw = _draw()
        return (
            torch.randn(ROWS, generator=draw, dtype=torch.float64),
            torch.randn(ROWS, generator=draw, dtype=torch.float64) * 3,
        )

    return Learnt("a number", target, rows)


# What each task learns; a loss that serves any task is right where it is right for one of them.
LEARNT: dict[str, list[Learnt]] = {
    "image-classification": [_classes(3), _classes(2)],
    "vector-classification": [_classes(3), _classes(2)],
    "vector-regression": [_number()],
    "multi-label": [_labels()],  # no task yet: a loss for it serves any
}


@checks("loss")
def of_rows(subject: Subject) -> str:
    """Give one finite value a row, with right gradients, for what its tasks learn."""
    tasks = [task for task in subject.item.tasks if task in LEARNT]
    if tasks:
        cases = list({learnt.words: learnt for task in tasks for learnt in LEARNT[task]}.values())
        said = [found for case in cases if (found := _one(subject, case))]
        must(said, f"it refuses {' and '.join(case.words for case in cases)}.")
        return "; ".join(said)
    said, faults = [], []
    for case in {learnt.words: learnt for each in LEARNT.values() for learnt in each}.values():
        try:
            said += [found] if (found := _one(subject, case)) else []
        except Fault as fault:
            faults.append(f"for {case.words} {fault}")
    must(said, faults[0] if faults else "it refuses every kind of target.")
    return "; ".join(said)


def _one(subject: Subject, learnt: Learnt) -> str:
    """Check one kind of target; return "" where the loss refuses it by a SpecError."""
    outputs, target = learnt.rows()
    try:
        with guard(f"it does not build for {learnt.words}"):
            loss = build_loss(subject.item.build, learnt.target, subject.options())
        columns = {name: torch.rand(ROWS, generator=_draw()).double() for name in getattr(loss, "columns", ())}
        values = _values(loss, outputs, target, columns)
    except SpecError as error:
        must(error.message.strip(), f"it refuses {learnt.words} without a word.")
        return ""
    must(values.shape == (ROWS,), f"it gives {list(values.shape)} for {ROWS} rows: one value a row, [{ROWS}].")
    must(values.isfinite().all(), f"its values are not finite for {learnt.words}.")
    extreme = _values(loss, outputs * 50, target, columns)
    must(extreme.isfinite().all(), "its values are not finite for outputs of 50 and more: use the log-sum-exp forms.")
    for row in range(ROWS):
        one = _values(
            loss,
            outputs[row : row + 1],
            target[row : row + 1],
            {name: column[row : row + 1] for name, column in columns.items()},
        )
        must(torch.allclose(one, values[row]), "a row's value depends on the rows beside it.")
    _gradients(loss, outputs, target, columns)
    return f"one finite value a row for {learnt.words}, and gradients as finite differences have them"


def _values(loss: Any, outputs: Tensor, target: Tensor, columns: dict[str, Tensor]) -> Tensor:
    with guard("it fails on a batch"):
        found: Tensor = loss(outputs, target, **columns)
    must(isinstance(found, Tensor), f"it gives a {type(found).__name__}, not a tensor.")
    return found


def _gradients(loss: Any, outputs: Tensor, target: Tensor, columns: dict[str, Tensor]) -> None:
    x = outputs.clone().requires_grad_()
    total = _values(loss, x, target, columns).sum()
    must(total.requires_grad, "no gradient flows from it to the outputs.")
    total.backward()
    must(x.grad is not None and x.grad.isfinite().all(), "its gradient is missing or not finite.")
    assert x.grad is not None
    for place in torch.cartesian_prod(*(torch.arange(size) for size in x.shape)).reshape(-1, x.ndim).tolist():
        shift = torch.zeros_like(outputs)
        shift[tuple(place)] = STEP
        with torch.no_grad():
            up, down = (_values(loss, outputs + sign * shift, target, columns).sum() for sign in (1, -1))
        slope = float(up - down) / (2 * STEP)
        must(
            abs(slope - float(x.grad[tuple(place)])) <= 1e-4 * max(1.0, abs(slope)),
            f"its gradient is {float(x.grad[tuple(place)]):.4g} where finite differences give {slope:.4g}.",
        )
