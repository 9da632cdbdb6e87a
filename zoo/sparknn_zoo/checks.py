"""Bounds on options, worded for the person who wrote the cell. Standard library only: executors import this file."""

from collections.abc import Sequence

from sparknn_magic.errors import SpecError


def at_least(item: str, option: str, value: float, low: float) -> None:
    """Raise SpecError where `value` is below `low` or not a number."""
    if not value >= low:
        raise SpecError(f"{item}: {option} is {value}; it must be at least {low}.")


def above(item: str, option: str, value: float, low: float) -> None:
    """Raise SpecError where `value` is not above `low`."""
    if not value > low:
        raise SpecError(f"{item}: {option} is {value}; it must be above {low}.")


def between(item: str, option: str, value: float, low: float, high: float) -> None:
    """Raise SpecError where `value` is outside `low`..`high`, both included."""
    if not low <= value <= high:
        raise SpecError(f"{item}: {option} is {value}; it must be between {low} and {high}.")


def ascending(item: str, option: str, pair: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """Return the pair as a tuple; raise SpecError unless low <= first <= second <= high."""
    first, second = pair
    if not low <= first <= second <= high:
        bounds = f"between {low} and {high}" if high < float("inf") else f"at least {low}"
        raise SpecError(
            f"{item}: {option} is [{first}, {second}]; it must be two numbers, the smaller first, {bounds}."
        )
    return first, second
