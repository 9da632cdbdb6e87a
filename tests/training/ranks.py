"""Ranks as plain processes: what the barrier stage does for them is done by pipes, so that the loop runs alone."""

import json
import multiprocessing
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.torch import load

from sparknn_magic.plugin import ImageInputs, Part
from sparknn_magic.training.job import TRAIN, VALIDATION, TrainJob, picture_rows
from sparknn_magic.training.worker import run_rank

INPUTS = ImageInputs(1, 12, 12)


def job(folder: Any, **changes: Any) -> TrainJob:
    """A small job: one hidden layer on 12x12 grey pictures of three classes."""
    values: dict[str, Any] = {
        "attempt": "a",
        "folder": str(folder),
        "fingerprint": "f",
        "architecture": Part("sparknn_zoo.vector.mlp:mlp", {"width": 16, "depth": 1}),
        "rows": picture_rows(INPUTS, (0.5,), (0.3,)),
        "outputs": 3,
        "loss": Part("sparknn_zoo.losses.cross_entropy:cross_entropy", {}),
        "optimizer": Part("sparknn_zoo.optimizers.adamw:adamw", {"lr": 0.01}),
        "schedule": Part("sparknn_zoo.schedules.constant:constant", {}),
        "epochs": 3,
        "batch_size": 16,
    }
    return TrainJob(**(values | changes))


def rows(count: int, *, seed: int = 0, split: int = TRAIN) -> pa.RecordBatch:
    """Pictures whose class shows: a bright band in the upper, middle or lower third, under noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    pictures = random.integers(0, 120, (count, 12, 12, 1), np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        picture[4 * label : 4 * label + 4] += 100
    return pa.RecordBatch.from_pydict(
        {
            "split": pa.array(np.full(count, split, np.int32)),
            "row": pa.array(random.integers(-(2**62), 2**62, count)),
            "label": pa.array(labels.astype(np.int32)),
            "image": pa.array([p.tobytes() for p in pictures], pa.binary()),
        }
    )


class Fit:
    """What rank 0 gave back."""

    def __init__(self, results: Sequence[tuple[str, int, bytes]]):
        self.said: dict[str, Any] = next(json.loads(data) for kind, _, data in results if kind == "fitted")
        self.weights = b"".join(data for kind, _, data in results if kind == "weights")

    @property
    def history(self) -> list[dict[str, Any]]:
        return self.said["history"]

    def state(self) -> dict[str, Any]:
        return load(self.weights)


def fit(job: TrainJob, *parts: list[pa.RecordBatch]) -> Fit:
    """Train one rank for each list of batches; a rank's exception is raised here."""
    if len(parts) == 1:
        return Fit(list(run_rank(iter(parts[0]), job, 0, 1, "127.0.0.1", lambda text: [text])))
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in parts]
    processes = [
        context.Process(target=_rank, args=(theirs, job, rank, len(parts), batches))
        for rank, ((_, theirs), batches) in enumerate(zip(pipes, parts, strict=True))
    ]
    for process in processes:
        process.start()
    outcomes: list[Any] = [None] * len(parts)
    barrier = threading.Barrier(len(parts))
    said = [""] * len(parts)

    def serve(rank: int) -> None:
        pipe = pipes[rank][0]
        while True:
            kind, value = pipe.recv()
            if kind == "gather":
                said[rank] = value
                barrier.wait(60)
                pipe.send(list(said))
                barrier.wait(60)
            else:
                outcomes[rank] = (kind, value)
                return

    threads = [threading.Thread(target=serve, args=(rank,)) for rank in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for process in processes:
        process.join(30)
        if process.is_alive():
            process.terminate()
    failed = [value for kind, value in (o or ("failed", "no answer") for o in outcomes) if kind == "failed"]
    if failed:
        raise failed[0] if isinstance(failed[0], BaseException) else AssertionError(failed[0])
    return Fit(outcomes[0][1])


def _rank(pipe: Any, job: TrainJob, rank: int, world: int, batches: list[pa.RecordBatch]) -> None:
    def gather(text: str) -> list[str]:
        pipe.send(("gather", text))
        return pipe.recv()

    try:
        outcome = ("done", list(run_rank(iter(batches), job, rank, world, "127.0.0.1", gather)))
    except BaseException as error:  # noqa: BLE001 (handed to the test, which raises it)
        outcome = ("failed", error)
    pipe.send(outcome)


Gather = Callable[[str], list[str]]
__all__ = ["INPUTS", "VALIDATION", "Fit", "fit", "job", "rows"]
