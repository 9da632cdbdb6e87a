"""The learning-rate range test: a higher rate at every step, and what becomes of the loss. Runs on executors.

Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks, sec. 3.3, arXiv:1506.01186, with rates that
grow by the same factor from step to step.
"""

import math
import time

import torch.distributed as dist

from sparknn_magic.training.job import Sweep
from sparknn_magic.training.loop import Trainer, cuts

DIVERGED = 4.0  # times the smallest smoothed loss
SMOOTHING = 0.9  # share of the mean so far in the smoothed loss


def sweep(trainer: Trainer, plan: Sweep) -> list[float]:
    """Take at most `plan.steps` steps at rates from `plan.start` to `plan.end`; return the loss before each step.

    The loss is the mean over the step's rows of all ranks. Ends where it has grown to four times its smallest value,
    smoothed, or is not finite: such a last one is left out.
    """
    stepper, place = trainer.stepper, trainer.place
    stepper.train()
    mean, smallest, losses = 0.0, math.inf, []
    started = time.perf_counter()
    bounds = list(cuts(trainer.longest, trainer.steps))
    for n in range(plan.steps):
        epoch, step = divmod(n, trainer.steps)
        if step == 0:
            order = trainer.order(epoch)
        begin, end = bounds[step]
        place.epoch, place.step = 1, n + 1
        stepper.set_rate(rate_at(plan, n) / stepper.base_rates[0])
        parts, rows_of_all = trainer.parts(order, begin, end)
        summed, _ = stepper.learn(trainer.training, parts, rows_of_all)
        if place.world > 1:
            dist.all_reduce(summed)  # the same on every rank, which then all end at the same step
        loss = float(summed) / rows_of_all
        if not math.isfinite(loss):
            break
        losses.append(loss)
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed = mean / (1 - SMOOTHING ** (n + 1))
        smallest = min(smallest, smoothed)
        trainer.report_step(rows_of_all * (n + 1), started, plan.steps)
        if smoothed > DIVERGED * smallest:
            break
    return losses


def rate_at(plan: Sweep, step: int) -> float:
    """Return the rate of a step, from 0."""
    return plan.start * (plan.end / plan.start) ** (step / max(1, plan.steps - 1))
