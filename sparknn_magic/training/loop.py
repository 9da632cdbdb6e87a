"""The training loop: plain PyTorch, the same on every rank. Runs on executors.

The loop is the usual one; three things are particular to it:

* Every rank takes the same number of steps, of nearly equal batches. A rank with fewer rows fills up with rows it has
  already had, at weight zero, and the loss is divided by the number of real rows of all ranks. So the gradient is
  that of the mean over the step's rows, however unevenly Spark has dealt them, and no rank waits for another.
* All randomness of an epoch is drawn from (seed, epoch, rank), so a run taken up from a checkpoint goes on as it
  would have gone.
* Figures are reduced over the ranks once an epoch, and every rank takes the same decisions from them.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from sparknn_magic.errors import TrainError
from sparknn_magic.training import checkpoint
from sparknn_magic.training.batch_size import find_batch_size
from sparknn_magic.training.by_length import sort_within_windows
from sparknn_magic.training.cache import Rows
from sparknn_magic.training.events import Reporter
from sparknn_magic.training.job import AUTO, TrainJob
from sparknn_magic.training.rows import RankRows, lend_a_row
from sparknn_magic.training.steps import Stepper, choose_device

VALIDATION_BATCH, VALIDATION_NUMBERS = 512, 2**24  # at most so many rows, and numbers of their first field
STEP_EVENT_SECONDS = 0.25

Checkpoint = tuple[dict[str, Any], dict[str, dict[str, Tensor]]]


@dataclass
class Place:
    """Where the rank stands; an exception is reported with it."""

    rank: int
    world: int
    epoch: int = 0  # from 1
    step: int = 0  # from 1, within the epoch


@dataclass
class Progress:
    """What is carried from epoch to epoch, and in the checkpoint."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = -math.inf
    best_loss: float = math.inf  # of the best epoch's validation rows
    best_state: dict[str, Tensor] = field(default_factory=dict)
    stopped: str = ""


class Trainer:
    """One rank's training: its rows, its steps, and the loop over epochs."""

    def __init__(self, job: TrainJob, place: Place, training: Rows, validation: Rows, reporter: Reporter | None):
        self.job, self.place, self.reporter = job, place, reporter
        self.device = choose_device(job, place.rank)
        self.counts, self.validation_rows = self._count(len(training), len(validation))
        if not sum(self.counts):
            raise TrainError("there are no training rows.")
        self.longest = max(self.counts)
        if min(self.counts) == 0:
            training = lend_a_row(training, job.rows, self.counts.index(self.longest), place.rank, self.device)
        self.training = RankRows(training, job.rows, self.device)
        self.validation = RankRows(validation, job.rows, self.device)
        self.found = self._find_checkpoint()
        self.batch_size = self._choose_batch_size()
        self.steps = max(1, math.ceil(self.longest / (self.batch_size * job.accumulate)))
        self.stepper = Stepper(job, self.device, place.world)
        self.body = self.stepper.body
        self.factor = job.schedule.build(job.epochs * self.steps, self.steps)
        self.progress = Progress()
        self.resumed_from = 0  # epochs behind the checkpoint that was taken up
        self.started = time.perf_counter()
        self.next_report = 0.0

    def _choose_batch_size(self) -> int:
        if self.job.batch_size != AUTO:
            return self.job.batch_size
        if self.found is not None:
            return int(self.found[0]["batch_size"])
        return find_batch_size(self.job, self.training, self.longest, self.place.world)

    def _count(self, training: int, validation: int) -> tuple[list[int], int]:
        """Return every rank's number of training rows, and the number of validation rows of all."""
        mine = torch.tensor([training, validation], device=self.device)
        if self.place.world == 1:
            return [training], validation
        every = [torch.zeros_like(mine) for _ in range(self.place.world)]
        dist.all_gather(every, mine)
        return [int(t[0]) for t in every], sum(int(t[1]) for t in every)

    # The loop

    def run(self) -> None:
        """Train from the checkpoint, or from the start, to the last epoch."""
        self.resumed_from = self._resume()
        self.started = time.perf_counter() - sum(epoch["seconds"] for epoch in self.progress.history)
        for epoch in range(self.resumed_from, self.job.epochs):
            if self.progress.stopped:
                break
            self.place.epoch = epoch + 1
            if self.job.unfreeze_after is not None and epoch >= self.job.unfreeze_after:
                self.stepper.unfreeze()
            started = time.perf_counter()
            sums = self._train_epoch(epoch)
            seconds = time.perf_counter() - started
            self.stepper.average_buffers()
            self._finish_epoch(epoch, seconds, self._reduce(sums + self._validate() + [self._stop_asked()]))
        if self.progress.stopped == "time limit" and self.place.epoch and self.reporter is not None:
            at = f"step {self.place.step} of {self.steps} in epoch {self.place.epoch}"
            self.reporter.note(f"time_limit: {self.job.time_limit:g} seconds had passed at {at}; training ended there.")
        if self.progress.stopped == "stop request" and self.reporter is not None:
            best = f"the weights are those of epoch {self.progress.best_epoch}"
            self.reporter.note(f"stopped after epoch {self.place.epoch} of {self.job.epochs}, as asked; {best}.")

    def _train_epoch(self, epoch: int) -> list[float]:
        """Take every step of one epoch; return this rank's sums: loss, figure, rows."""
        self.stepper.train()
        order = self.order(epoch)
        sums = torch.zeros(2, device=self.device)
        before: tuple[Tensor, int] | None = None
        passed = 0
        started = time.perf_counter()
        for step, (begin, end) in enumerate(cuts(self.longest, self.steps)):
            self.place.step = step + 1
            self.stepper.set_rate(self._rate_factor(epoch * self.steps + step))
            loss, figure = self.stepper.learn(self.training, *self.parts(order, begin, end))
            # Looking at a loss waits for the device, so a GPU's is looked at one step later, while it works on.
            now = loss, end - begin
            self._check_finite(before if self.device.type == "cuda" else now)
            before = now
            sums += torch.stack([loss, figure])
            passed = end
            self.report_step(end * self.place.world, started, self.steps)
            if self._time_is_up():
                self.progress.stopped = "time limit"
                break
        self._check_finite(before)
        return [*sums.tolist(), float(min(passed, self.counts[self.place.rank]))]

    def order(self, epoch: int) -> Tensor:
        """Return the positions of this rank's rows in an epoch's order, the first ones again up to the longest rank's.

        Sets the seed of all that the epoch draws.
        """
        generator = torch.manual_seed(_mix(self.job.seed, epoch, self.place.rank))
        order = torch.randperm(len(self.training), generator=generator)
        order = order.repeat(math.ceil(self.longest / len(order)))[: self.longest]
        if self.training.lengths is None:
            return order
        # Behind a rank's own rows stand some that do not count: they stay there.
        bounds = [(a, b) for a, b in cuts(self.longest, self.steps) if a < b <= self.counts[self.place.rank]]
        return sort_within_windows(order, self.training.lengths, bounds, _mix(self.job.seed, epoch))

    def parts(self, order: Tensor, begin: int, end: int) -> tuple[list[tuple[Tensor, int]], int]:
        """Return what `Stepper.learn` takes of the rows `begin` to `end` of an order, and the rows of all that count.

        Every rank has the same number of parts, so that none waits for another.
        """
        mine = self.counts[self.place.rank]
        bounds = [(begin + a, begin + b) for a, b in cuts(end - begin, self.job.accumulate) if b > a]
        parts = [(order[a:b], max(0, min(b, mine) - a)) for a, b in bounds]
        return parts, sum(max(0, min(end, count) - begin) for count in self.counts)

    def _time_is_up(self) -> bool:
        """Whether the time limit has passed on any rank; all ranks ask at the same steps."""
        if self.job.time_limit is None:
            return False
        up = time.perf_counter() - self.started >= self.job.time_limit
        if self.place.world == 1:
            return up
        any_rank = torch.tensor([float(up)], device=self.device)
        dist.all_reduce(any_rank, dist.ReduceOp.MAX)
        return bool(any_rank)

    def _rate_factor(self, step: int) -> float:
        warmup = self.job.warmup * self.steps
        return self.factor(step) * (min(1.0, (step + 1) / warmup) if warmup else 1.0)

    def _check_finite(self, batch: tuple[Tensor, int] | None) -> None:
        if batch is not None and not bool(torch.isfinite(batch[0])):
            raise TrainError(
                f"the loss is {float(batch[0])} in a batch of {batch[1]} rows.",
                hint="Lower the optimizer's lr, add train.clip_norm: 1.0, or use precision: float32.",
            )

    def _validate(self) -> list[float]:
        """Return this rank's sums over its validation rows: loss, figure, rows that have a figure, rows."""
        if not self.validation_rows:
            return [0.0, 0.0, 0.0, 0.0]
        sums = torch.zeros(3, device=self.device)
        with self.stepper.at_rest():
            for index in self.validation.batches(validation_batch(self.job)):
                batch = self.validation.take(index)
                sums += torch.stack(self.stepper.judge(batch))
        return [*sums.tolist(), float(len(self.validation))]

    def _stop_asked(self) -> float:
        return float(self.reporter is not None and self.reporter.stop_requested())

    def _reduce(self, sums: list[float]) -> list[float]:
        if self.place.world == 1:
            return sums
        # Sums of losses over a billion rows still fit: float64 where the backend has it (all but Apple's).
        total = torch.tensor(sums, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    # After an epoch

    def _finish_epoch(self, epoch: int, seconds: float, sums: list[float]) -> None:
        loss, figure, rows, v_loss, v_figure, v_judged, v_rows, stop = sums
        name = self.job.figure
        figures = {
            "epoch": epoch + 1,
            "train_loss": loss / rows,
            f"train_{name}": None if self.stepper.at_rest_only else figure / rows,
            "validation_loss": v_loss / v_rows if v_rows else None,
            f"validation_{name}": v_figure / v_judged if v_judged else None,
            "learning_rate": self.stepper.optimizer.param_groups[0]["lr"],
            "seconds": seconds,
            "rows_per_second": rows / seconds,
        }
        progress = self.progress
        progress.history.append(figures)
        value, held_loss = _watched(figures, self.job), v_loss / v_rows if v_rows else math.inf
        # Few validation rows give many epochs the same accuracy, and not the same loss.
        better = value > progress.best_value or (value == progress.best_value and held_loss < progress.best_loss)
        if better or figures.get(self.job.watch) is None:  # without a figure the last epoch is the best known
            progress.best_value, progress.best_loss, progress.best_epoch = value, held_loss, epoch + 1
            with self.stepper.at_rest():
                progress.best_state = {k: v.detach().cpu().clone() for k, v in self.body.state_dict().items()}
        self._update_schedule(figures)
        if self.job.patience is not None and epoch + 1 - progress.best_epoch >= self.job.patience:
            progress.stopped = progress.stopped or "early stopping"
        if stop:
            progress.stopped = "stop request"
        if self.place.rank == 0:
            self._save(epoch)
        if self.reporter is not None:
            self.reporter.send("epoch", epochs=self.job.epochs, best_epoch=progress.best_epoch, figure=name, **figures)

    def _update_schedule(self, figures: dict[str, Any]) -> None:
        """Tell a schedule that looks at them an epoch's figures: the watched one, or the training loss without it."""
        if hasattr(self.factor, "update"):
            value = figures.get(self.job.watch)
            lower = self.job.lower if value is not None else True
            self.factor.update(figures["train_loss"] if value is None else value, lower)

    def _save(self, epoch: int) -> None:
        progress, stepper = self.progress, self.stepper
        plain, tensors_of_optimizer = checkpoint.optimizer_state(stepper.optimizer)
        state = {
            "fingerprint": self.job.fingerprint,
            "world": self.place.world,
            "epoch": epoch + 1,
            "history": progress.history,
            "best_epoch": progress.best_epoch,
            "best_value": progress.best_value,
            "best_loss": progress.best_loss,
            "stopped": progress.stopped if progress.stopped != "stop request" else "",
            "batch_size": self.batch_size,
            "optimizer": plain,
            "scaler": stepper.scaler.state_dict(),
        }
        tensors = {"body": self.body.state_dict(), "best": progress.best_state, "optimizer": tensors_of_optimizer}
        if stepper.average is not None:
            state["average_steps"] = stepper.average.steps
            tensors["average"] = stepper.average.mean
        checkpoint.save(self.job.folder, state, tensors)

    def _find_checkpoint(self) -> Checkpoint | None:
        """Return this run's checkpoint, where there is one that every rank sees."""
        found = None if self.job.sweep is not None else checkpoint.load(self.job.folder)
        if found is not None and found[0]["fingerprint"] != self.job.fingerprint:
            found = None
        if self.place.world > 1:
            # A rank may sit on a node that does not see the run folder: all take it up, or none does.
            seen = torch.tensor([1.0 if found is not None else 0.0], device=self.device)
            dist.all_reduce(seen)
            if int(seen) < self.place.world:
                if found is not None and self.reporter is not None:
                    self.reporter.note("the run folder is not visible on every node: started from epoch 1.")
                return None
        return found

    def _resume(self) -> int:
        """Take up the checkpoint where there is one; return the number of epochs it has behind it."""
        if self.found is None:
            return 0
        (state, tensors), stepper = self.found, self.stepper
        self.found = None
        self.body.load_state_dict(tensors["body"])
        checkpoint.restore_optimizer(stepper.optimizer, state["optimizer"], tensors.get("optimizer", {}))
        stepper.scaler.load_state_dict(state["scaler"])
        if stepper.average is not None:
            stepper.average.restart(tensors["average"], state["average_steps"])
        self.progress = Progress(
            history=state["history"],
            best_epoch=state["best_epoch"],
            best_value=state["best_value"],
            best_loss=state["best_loss"],
            best_state=tensors["best"],
            stopped=state["stopped"],
        )
        for figures in self.progress.history:
            self._update_schedule(figures)
        if self.reporter is not None:
            self.reporter.send("resume", epoch=state["epoch"], epochs=self.job.epochs)
        return int(state["epoch"])

    def report_step(self, rows: int, started: float, steps: int) -> None:
        """Report at which of so many steps the rank is, some times a second; `rows` have passed since `started`."""
        now = time.perf_counter()
        if self.reporter is None or now < self.next_report:
            return
        self.next_report = now + STEP_EVENT_SECONDS
        place = self.place
        speed = rows / (now - started)
        self.reporter.send("step", epoch=place.epoch, step=place.step, steps=steps, rows_per_second=speed)


def cuts(rows: int, steps: int) -> Iterator[tuple[int, int]]:
    """Cut `rows` into `steps` runs whose lengths differ by at most one: no short batch at the end."""
    for step in range(steps):
        yield rows * step // steps, rows * (step + 1) // steps


def validation_batch(job: TrainJob) -> int:
    """Return how many rows are judged at once: fewer of large pictures, whose activations must fit."""
    return max(8, min(VALIDATION_BATCH, VALIDATION_NUMBERS // max(1, job.rows.fields[0].size)))


def _mix(*numbers: int) -> int:
    """Return one 63-bit seed from several numbers."""
    return int(np.random.SeedSequence([n % 2**32 for n in numbers]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _watched(figures: dict[str, Any], job: TrainJob) -> float:
    """Return the watched figure, larger being better; minus infinity where it is not there."""
    value = figures.get(job.watch)
    if value is None:
        return -math.inf
    return -value if job.lower else value
