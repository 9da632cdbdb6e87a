"""Schedules made of others: one after the other, or multiplied."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import PositiveInt
from pydantic_core import PydanticCustomError

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError, SpecError
from sparknn_magic.plugin import schedule
from sparknn_magic.spec.models import read_step
from sparknn_magic.spec.schema import validate_options


@schedule(
    "sequential",
    source="torch's SequentialLR",
    example={"schedules": ["constant", "cosine"], "milestones": [3]},
)
def sequential(
    steps: int, epoch_steps: int, *, schedules: tuple[Any, ...], milestones: tuple[PositiveInt, ...]
) -> Callable[[int], float]:
    """Step number from 0 -> factor on the learning rate: of one schedule after the other.

    Each starts from its own first step, and its whole run is the part between its milestones.

    schedules: the schedules in their order, each a name or one name with its options.
    milestones: epochs after which the next one begins, in rising order; one less than schedules.
    Raises: SpecError where a schedule is wrong, or the milestones do not rise or are not one less.
    """
    if list(milestones) != sorted(set(milestones)):
        raise SpecError(f"sequential: milestones is {list(milestones)}; it must be epochs in rising order.")
    if len(milestones) != len(schedules) - 1:
        raise SpecError(
            f"sequential: milestones has {len(milestones)} numbers for {len(schedules)} schedules; "
            "it takes one less than schedules."
        )
    starts = [0, *(m * epoch_steps for m in milestones)]
    ends = [*starts[1:], max(steps, starts[-1] + 1)]
    parts = [
        _build("sequential", n, written, end - start, epoch_steps)
        for n, (written, start, end) in enumerate(zip(schedules, starts, ends, strict=True))
    ]

    def factor(step: int) -> float:
        n = bisect_right(starts, step) - 1
        return parts[n](step - starts[n])

    return factor


@schedule(
    "chained", main="schedules", source="torch's ChainedScheduler", example={"schedules": ["exponential", "cosine"]}
)
def chained(steps: int, epoch_steps: int, *, schedules: tuple[Any, ...]) -> Callable[[int], float]:
    """Step number from 0 -> factor on the learning rate: the product of several schedules' factors.

    schedules: the schedules, each a name or one name with its options.
    Raises: SpecError where one of them is wrong.
    """
    parts = [_build("chained", n, written, steps, epoch_steps) for n, written in enumerate(schedules)]

    def factor(step: int) -> float:
        return math.prod(part(step) for part in parts)

    return factor


def _build(owner: str, n: int, written: Any, steps: int, epoch_steps: int) -> Callable[[int], float]:
    """Return one of the schedules that `owner` is made of."""

    def wrong(path: Sequence[str | int], message: str, *, hint: str | None = None, key: bool = False) -> SparkNNError:
        return SpecError(f"{owner}: schedules.{n}: {message}", hint=hint)

    try:
        step = read_step(written)
        item = registry.get("schedule", step.name)
    except PydanticCustomError as error:
        raise wrong((), "this must be a name, or one name with its options.") from error
    except SparkNNError as error:
        raise wrong((), error.message, hint=error.hint) from error
    built: Callable[[int], float] = item.build(steps, epoch_steps, **validate_options(item, step, wrong))
    if hasattr(built, "update"):
        raise wrong((), f"{item.name} looks at the epochs' figures and cannot be a part of another schedule.")
    return built
