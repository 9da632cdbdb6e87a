"""`batch_size: auto`: the ranks try sizes out on their own rows before the first step. Runs on executors."""

import math
import time

import torch
import torch.distributed as dist

from sparknn_magic.training.job import TrainJob
from sparknn_magic.training.rows import RankRows
from sparknn_magic.training.steps import Stepper

SMALLEST, LARGEST = 16, 4096
LARGEST_ON_CPU = 1024
LEAST_STEPS = 20  # of the optimizer in an epoch: larger batches would learn too little from it
ENOUGH = 0.9  # of the best speed: the smallest batch that reaches it takes more steps in the same time
MEMORY = 0.8  # of a GPU's
WARM_UP, TIMED = 1, 3  # steps


def find_batch_size(job: TrainJob, rows: RankRows, longest: int, world: int) -> int:
    """Return the size at which training is nearly at its fastest, and fits; the same on every rank.

    Powers of two are tried, from 16 up, with real steps of a network that is thrown away. On a GPU a size is left out
    where its step takes more than 80% of the memory. `longest` is the largest number of rows that a rank has.
    """
    most = max(SMALLEST, longest // (LEAST_STEPS * job.accumulate))
    most = min(most, LARGEST if rows.device.type == "cuda" else LARGEST_ON_CPU)
    sizes = [2**n for n in range(int(math.log2(SMALLEST)), int(math.log2(most)) + 1)]
    devices = [rows.device] if rows.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        trial = Stepper(job, rows.device, 1)  # on its own: ranks must not wait for each other's gradients here
        trial.train()
        speeds: list[float] = []
        for size in sizes:
            speed = _agreed(_speed(trial, rows, size), rows.device, world)
            if not speed:
                break
            speeds.append(speed)
    del trial
    if devices:
        torch.cuda.empty_cache()
    if not speeds:
        return SMALLEST
    return next(size for size, speed in zip(sizes, speeds, strict=False) if speed >= ENOUGH * max(speeds))


def _speed(trial: Stepper, rows: RankRows, size: int) -> float:
    """Return rows a second of steps of this size on this rank; 0 where they do not fit."""
    cuda = rows.device.type == "cuda"
    parts = [(torch.arange(size) % len(rows), size)]
    try:
        if cuda:
            torch.cuda.reset_peak_memory_stats(rows.device)
        for step in range(WARM_UP + TIMED):
            if step == WARM_UP:
                _wait(rows.device)
                started = time.perf_counter()
            trial.learn(rows, parts, size)
        _wait(rows.device)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return 0.0
    if cuda:
        whole = torch.cuda.get_device_properties(rows.device).total_memory
        if torch.cuda.max_memory_reserved(rows.device) > MEMORY * whole:
            return 0.0
    return TIMED * size / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _agreed(speed: float, device: torch.device, world: int) -> float:
    """Return the slowest rank's speed, for which all others wait in every step."""
    if world == 1:
        return speed
    slowest = torch.tensor([speed], dtype=torch.float64, device=device)
    dist.all_reduce(slowest, dist.ReduceOp.MIN)
    return float(slowest)
