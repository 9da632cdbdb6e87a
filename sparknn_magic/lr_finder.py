"""`lr_find`: which learning rate to train with, by trying a higher one at every step on the prepared rows.

Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks, sec. 3.3, arXiv:1506.01186.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import SpecError, TrainError
from sparknn_magic.run import Listener, get_ready, printer, stage
from sparknn_magic.training.job import Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import SparkSession

REACH = 40  # of a curve's length is what is averaged on either side of a step
LEAST = 8  # steps below which a curve says nothing


@dataclass(frozen=True)
class LearningRates:
    """The loss of every step, and the rate that it suggests. A notebook shows it as a picture."""

    rates: list[float]
    losses: list[float]  # before the step at that rate, the mean over the rows of all workers
    seconds: float

    @property
    def smoothed(self) -> list[float]:
        """The mean loss of each step and of those around it."""
        return smooth(self.losses)

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss falls fastest; None where it does not fall."""
        return steepest(self.rates, self.smoothed)

    def figure(self, *, dark: bool = False) -> "Figure":
        """Return the picture, as a matplotlib figure."""
        from sparknn_magic.show.rates import rate_figure

        return rate_figure(self.rates, self.losses, self.smoothed, self.suggestion, dark=dark)

    def __repr__(self) -> str:
        from sparknn_magic.show.rates import rates_text

        return rates_text(self.rates, self.suggestion, self.seconds)

    def _repr_html_(self) -> str:
        from sparknn_magic.show.rates import rates_html

        return rates_html(self.figure(), self.figure(dark=True), repr(self))


def lr_find(
    spec: Any,
    *,
    spark: "SparkSession | None" = None,
    steps: int = 200,
    start: float = 1e-7,
    end: float = 10.0,
    name: str | None = None,
    overrides: Iterable[str] = (),
    variables: Mapping[str, Any] | None = None,
    on_event: Listener | None = None,
    runs: str | Path | None = None,
    fresh: bool = False,
) -> LearningRates:
    """Train for some steps on the experiment's rows, at rates that rise from `start` to `end`, and keep the losses.

    Takes what `train` takes, with the same meaning, and runs with the same workers; schedule and warm-up have no part
    in it, and nothing is written but a log and the prepared rows, which `train` then finds. It ends sooner where the
    loss has grown to four times its smallest value.
    Raises: SparkNNError of one or two lines.
    """
    if steps < LEAST:
        raise SpecError(f"lr-find: steps is {steps}; it must be at least {LEAST}.")
    if not 0 < start < end:
        raise SpecError(
            f"lr-find: the rates go from {start:g} to {end:g}; the first must be above 0 and the smaller one."
        )
    from sparknn_magic.training.spark import open_events, sweep

    tell = on_event or printer()
    asked: dict[str, Any] = {"spark": spark, "name": name, "overrides": overrides, "variables": variables}
    ready = get_ready(spec, tell, runs=runs, fresh=fresh, **asked)
    checked, folder = ready.checked, f"{ready.job.folder}-lr"
    if not checked.task.trains:
        raise SpecError(f"lr-find: {checked.experiment.task} trains nothing, so there is no rate to look for.")
    events = open_events(checked.spark, folder, ready.job.attempt)
    job = replace(ready.job, folder=folder, sweep=Sweep(steps, start, end), channel=events.channel, time_limit=None)
    try:
        with stage(tell, "train"):
            rows = ready.prepared.frame(checked.spark)
            found = sweep(checked.spark, rows, job, checked.workers, events, tell)
    finally:
        events.close()
    if len(found["losses"]) < LEAST:
        raise TrainError(
            f"the loss is not finite from the {len(found['losses']) + 1}. step on.",
            hint="Start from a lower rate, or use precision: float32.",
        )
    rates = [start * (end / start) ** (n / (steps - 1)) for n in range(len(found["losses"]))]
    return LearningRates(rates, found["losses"], found["seconds"])


def read_plan(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `steps`, `start` and `end` of a command line's `--steps`, `--start` and `--end`, as far as they are given.

    Raises: SpecError for what is no number.
    """
    found: dict[str, Any] = {}
    for name, kind, words in (
        ("steps", int, "a whole number"),
        ("start", float, "a number"),
        ("end", float, "a number"),
    ):
        written = options.get(f"--{name}")
        if written is not None:
            try:
                found[name] = kind(written)
            except ValueError:
                raise SpecError(f"lr-find: --{name} must be {words}, not '{written}'.") from None
    return found


def smooth(losses: Sequence[float]) -> list[float]:
    """Return at each step the mean over the steps around it: a running mean alone would point to later ones."""
    reach = max(1, len(losses) // REACH)
    return [mean(losses[max(0, n - reach) : n + reach + 1]) for n in range(len(losses))]


def steepest(rates: Sequence[float], smoothed: Sequence[float]) -> float | None:
    """Return the rate at which the curve falls fastest on its way to its lowest point; None where it never falls."""
    lowest = min(range(len(smoothed)), key=smoothed.__getitem__)
    slopes = {
        n: (smoothed[n + 1] - smoothed[n - 1]) / (math.log(rates[n + 1]) - math.log(rates[n - 1]))
        for n in range(1, min(lowest + 1, len(smoothed) - 1))
    }
    if not slopes or min(slopes.values()) >= 0:
        return None
    return rates[min(slopes, key=slopes.__getitem__)]
