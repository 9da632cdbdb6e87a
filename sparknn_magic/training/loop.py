"""The training loop: plain PyTorch, the same on every rank. Runs on executors.

The loop is the usual one; three things are particular to it:

* Every rank takes the same number of steps, of nearly equal batches. A rank with fewer rows fills up with rows it has
  already had, at weight zero, and the loss is divided by the number of real rows of all ranks. So the gradient is
  that of the mean over the step's rows, however unevenly Spark has dealt them, and no rank waits for another.
* All randomness of an epoch is drawn from (seed, epoch, rank), so a run taken up from a checkpoint goes on as it
  would have gone.
* Figures are reduced over the ranks once an epoch, and every rank takes the same decisions from them.
"""

import contextlib
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sparknn_magic.errors import TrainError
from sparknn_magic.training import checkpoint
from sparknn_magic.training.cache import Rows
from sparknn_magic.training.events import Reporter
from sparknn_magic.training.job import TrainJob
from sparknn_magic.training.network import build_network

VALIDATION_BATCH = 512
STEP_EVENT_SECONDS = 0.25


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
    best_state: dict[str, Tensor] = field(default_factory=dict)
    stopped: str = ""


def choose_device(job: TrainJob, rank: int) -> torch.device:
    """Return the rank's device. Raises: TrainError where CUDA is asked for by name and missing."""
    if job.device == "cpu" or (job.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrainError("train.device is cuda, but PyTorch sees no CUDA device on this executor.")
    return torch.device("cuda", rank % torch.cuda.device_count())


def choose_precision(job: TrainJob, device: torch.device) -> torch.dtype:
    """Return the dtype of the autocast region; float32 means none."""
    if job.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return getattr(torch, job.precision)


class Trainer:
    """One rank's training: network, optimizer and the loop over epochs."""

    def __init__(self, job: TrainJob, place: Place, training: Rows, validation: Rows, reporter: Reporter | None):
        self.job, self.place, self.reporter = job, place, reporter
        self.device = choose_device(job, place.rank)
        self.dtype = choose_precision(job, self.device)
        self.training, self.validation = training, validation
        self.counts, self.validation_rows = self._count(len(training), len(validation))
        if not sum(self.counts):
            raise TrainError("there are no training rows.")
        self.longest = max(self.counts)
        self.steps = max(1, math.ceil(self.longest / job.batch_size))
        self._borrow()
        self.images, self.labels = self._place_rows(self.training)
        self.network = build_network(job).to(self.device)
        # Rows arrive as NHWC, and convolutions are fastest on that layout.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model: nn.Module = self.network
        if place.world > 1:
            ids = [self.device.index] if self.device.type == "cuda" else None
            with warnings.catch_warnings():
                # Torch 2.13 deprecates the option and asks to keep it until there is another for the same.
                warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
                self.model = DistributedDataParallel(self.network, device_ids=ids, broadcast_buffers=False)
        self.loss = job.loss.build()
        self.optimizer = job.optimizer.build(_decay_groups(self.network.body))
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.factor = job.schedule.build(job.epochs * self.steps, self.steps)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.progress = Progress()
        self.resumed_from = 0  # epochs behind the checkpoint that was taken up
        self.next_report = 0.0

    def _count(self, training: int, validation: int) -> tuple[list[int], int]:
        """Return every rank's number of training rows, and the number of validation rows of all."""
        mine = torch.tensor([training, validation], device=self.device)
        if self.place.world == 1:
            return [training], validation
        every = [torch.zeros_like(mine) for _ in range(self.place.world)]
        dist.all_gather(every, mine)
        return [int(t[0]) for t in every], sum(int(t[1]) for t in every)

    def _borrow(self) -> None:
        """Give a rank that received no rows one row of another, at weight zero, so that it can take part."""
        if min(self.counts) > 0:
            return
        donor = self.counts.index(self.longest)
        inputs = self.job.rows.inputs
        row = torch.zeros(1, inputs.height, inputs.width, inputs.channels, dtype=torch.uint8, device=self.device)
        if self.place.rank == donor:
            row.copy_(torch.from_numpy(np.ascontiguousarray(self.training.images[:1])))
        dist.broadcast(row, donor)
        if not len(self.training):
            self.training = Rows(row.cpu().numpy(), np.zeros(1, np.int64))

    def _place_rows(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return images and labels as tensors, on the device where they take less than half of what is free."""
        images, labels = torch.from_numpy(rows.images), torch.from_numpy(rows.labels)
        if self.device.type == "cuda":
            labels = labels.to(self.device)
            if rows.images.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2:
                images = images.to(self.device)
        return images, labels

    # The loop

    def run(self) -> None:
        """Train from the checkpoint, or from the start, to the last epoch."""
        self.resumed_from = self._resume()
        for epoch in range(self.resumed_from, self.job.epochs):
            if self.progress.stopped:
                break
            self.place.epoch = epoch + 1
            started = time.perf_counter()
            sums = self._train_epoch(epoch)
            seconds = time.perf_counter() - started
            self._average_buffers()
            self._finish_epoch(epoch, seconds, self._reduce(sums + self._validate() + [self._stop_asked()]))

    def _train_epoch(self, epoch: int) -> list[float]:
        """Take every step of one epoch; return this rank's sums: loss, correct rows, rows."""
        self.model.train()
        generator = torch.manual_seed(_mix(self.job.seed, epoch, self.place.rank))
        mine = self.counts[self.place.rank]
        order = torch.randperm(len(self.labels), generator=generator)
        order = order.repeat(math.ceil(self.longest / len(order)))[: self.longest]
        sums = torch.zeros(2, device=self.device)
        before: tuple[Tensor, int] | None = None
        started = time.perf_counter()
        for step, (begin, end) in enumerate(_cuts(self.longest, self.steps)):
            self.place.step = step + 1
            self._set_rate(epoch * self.steps + step)
            real = max(0, min(end, mine) - begin)
            rows_of_all = sum(max(0, min(end, count) - begin) for count in self.counts)
            loss, correct = self._step(order[begin:end], real, rows_of_all)
            # Looking at a loss waits for the device, so a GPU's is looked at one step later, while it works on.
            now = loss, end - begin
            self._check_finite(before if self.device.type == "cuda" else now)
            before = now
            sums += torch.stack([loss, correct])
            self._report_step(loss, end * self.place.world, started)
        self._check_finite(before)
        return [*sums.tolist(), float(mine)]

    def _step(self, index: Tensor, real: int, rows_of_all: int) -> tuple[Tensor, Tensor]:
        """One optimizer step on these rows, the first `real` of which count; return their loss sum and correct rows."""
        index = index.to(self.images.device)
        images = self.images[index].to(self.device, non_blocking=True)
        labels = self.labels[index.to(self.labels.device)]
        with self._autocast():
            logits = self.model(images)
        per_row = self.loss(logits.float(), labels)
        summed = per_row[:real].sum() if real else per_row.sum() * 0.0
        # DistributedDataParallel averages over the ranks; this makes the average the mean over the step's real rows.
        total = summed * (self.place.world / rows_of_all)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        if self.job.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.job.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            correct = (logits[:real].argmax(1) == labels[:real]).sum()
        return summed.detach(), correct.float()

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def _set_rate(self, step: int) -> None:
        warmup = self.job.warmup * self.steps
        factor = self.factor(step) * (min(1.0, (step + 1) / warmup) if warmup else 1.0)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor

    def _check_finite(self, batch: tuple[Tensor, int] | None) -> None:
        if batch is not None and not bool(torch.isfinite(batch[0])):
            raise TrainError(
                f"the loss is {float(batch[0])} in a batch of {batch[1]} rows.",
                hint="Lower the optimizer's lr, add train.clip_norm: 1.0, or use precision: float32.",
            )

    def _validate(self) -> list[float]:
        """Return this rank's sums over its validation rows: loss, correct rows, rows."""
        if not self.validation_rows:
            return [0.0, 0.0, 0.0]
        self.model.eval()
        sums = torch.zeros(2, device=self.device)
        with torch.inference_mode(), self._autocast():
            for begin in range(0, len(self.validation), VALIDATION_BATCH):
                images = torch.from_numpy(self.validation.images[begin : begin + VALIDATION_BATCH]).to(self.device)
                labels = torch.from_numpy(self.validation.labels[begin : begin + VALIDATION_BATCH]).to(self.device)
                logits = self.network(images).float()
                correct = (logits.argmax(1) == labels).sum()
                sums += torch.stack([self.loss(logits, labels).sum(), correct.float()])
        return [*sums.tolist(), float(len(self.validation))]

    def _average_buffers(self) -> None:
        """Give every rank the mean of the ranks' running statistics, which each has gathered on its own rows."""
        if self.place.world > 1:
            for buffer in self.network.body.buffers():
                if buffer.is_floating_point():
                    dist.all_reduce(buffer)
                    buffer /= self.place.world

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
        loss, correct, rows, v_loss, v_correct, v_rows, stop = sums
        figures = {
            "epoch": epoch + 1,
            "train_loss": loss / rows,
            "train_accuracy": correct / rows,
            "validation_loss": v_loss / v_rows if v_rows else None,
            "validation_accuracy": v_correct / v_rows if v_rows else None,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": seconds,
            "rows_per_second": rows / seconds,
        }
        progress = self.progress
        progress.history.append(figures)
        value = _watched(figures, self.job.watch)
        if value > progress.best_value or not v_rows:
            progress.best_value, progress.best_epoch = value, epoch + 1
            progress.best_state = {k: v.detach().cpu().clone() for k, v in self.network.body.state_dict().items()}
        if self.job.patience is not None and epoch + 1 - progress.best_epoch >= self.job.patience:
            progress.stopped = "early stopping"
        if stop:
            progress.stopped = "stop request"
        if self.place.rank == 0:
            self._save(epoch)
        if self.reporter is not None:
            self.reporter.send("epoch", epochs=self.job.epochs, best_epoch=progress.best_epoch, **figures)

    def _save(self, epoch: int) -> None:
        progress = self.progress
        state = {
            "fingerprint": self.job.fingerprint,
            "world": self.place.world,
            "epoch": epoch + 1,
            "history": progress.history,
            "best_epoch": progress.best_epoch,
            "best_value": progress.best_value,
            "stopped": progress.stopped if progress.stopped != "stop request" else "",
            "scaler": self.scaler.state_dict(),
        }
        tensors = {
            "body": self.network.body.state_dict(),
            "best": progress.best_state,
            "optimizer": checkpoint.optimizer_tensors(self.optimizer),
        }
        checkpoint.save(self.job.folder, state, tensors)

    def _resume(self) -> int:
        """Take up this run's checkpoint where there is one; return the number of epochs it has behind it."""
        found = checkpoint.load(self.job.folder)
        if found is not None and found[0]["fingerprint"] != self.job.fingerprint:
            found = None
        if self.place.world > 1:
            # A rank may sit on a node that does not see the run folder: all take it up, or none does.
            seen = torch.tensor([1.0 if found is not None else 0.0], device=self.device)
            dist.all_reduce(seen)
            if int(seen) < self.place.world:
                if found is not None and self.reporter is not None:
                    self.reporter.notes.append("the run folder is not visible on every node: started from epoch 1.")
                return 0
        if found is None:
            return 0
        state, tensors = found
        self.network.body.load_state_dict(tensors["body"])
        checkpoint.restore_optimizer(self.optimizer, tensors.get("optimizer", {}))
        self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(
            state["history"], state["best_epoch"], state["best_value"], tensors["best"], state["stopped"]
        )
        if self.reporter is not None:
            self.reporter.send("resume", epoch=state["epoch"], epochs=self.job.epochs)
        return int(state["epoch"])

    def _report_step(self, loss: Tensor, rows: int, started: float) -> None:
        now = time.perf_counter()
        if self.reporter is None or now < self.next_report:
            return
        self.next_report = now + STEP_EVENT_SECONDS
        place = self.place
        speed = rows / (now - started)
        self.reporter.send("step", epoch=place.epoch, step=place.step, steps=self.steps, rows_per_second=speed)


def _cuts(rows: int, steps: int) -> Iterator[tuple[int, int]]:
    """Cut `rows` into `steps` runs whose lengths differ by at most one: no short batch at the end."""
    for step in range(steps):
        yield rows * step // steps, rows * (step + 1) // steps


def _mix(*numbers: int) -> int:
    """Return one 63-bit seed from several numbers."""
    return int(np.random.SeedSequence([n % 2**32 for n in numbers]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _watched(figures: dict[str, Any], watch: str) -> float:
    """Return the watched figure, larger being better; minus infinity where it is not there."""
    value = figures.get(watch)
    if value is None:
        return -math.inf
    return -value if watch.endswith("loss") else value


def _decay_groups(body: nn.Module) -> list[dict[str, Any]]:
    """Split off biases and normalization scales, which are not decayed (He et al. 2019, Bag of Tricks, sec. 3.1)."""
    decayed = [p for p in body.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in body.parameters() if p.requires_grad and p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
