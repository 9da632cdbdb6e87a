"""The life of one rank: take the rows, meet the others, train, give back the weights. On executors, without Spark."""

import contextlib
import json
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import torch.distributed as dist
from safetensors.torch import save as safetensors_bytes

from sparknn_magic.errors import TrainError
from sparknn_magic.training.cache import collect
from sparknn_magic.training.events import Reporter
from sparknn_magic.training.job import AUTO, TRAIN, VALIDATION, TrainJob
from sparknn_magic.training.loop import Place, Trainer
from sparknn_magic.training.sweep import sweep

CHUNK = 2**25  # bytes of weights in one row of the stage's result
COLLECTIVE_TIMEOUT = timedelta(minutes=30)
SECONDARY_WAIT = 3.0  # seconds
FRAMES = 3  # of a rank's traceback are shown

Result = tuple[str, int, bytes]  # kind ("fitted", "weights" or "swept"), part number, bytes


def run_rank(
    batches: Iterator[pa.RecordBatch],
    job: TrainJob,
    rank: int,
    world: int,
    host: str,
    gather: Callable[[str], list[str]],
) -> Iterator[Result]:
    """Train as one of `world` ranks on this partition's rows; rank 0 yields the outcome.

    `host` is the address of rank 0, `gather` exchanges one string with all ranks and is the only meeting point that
    Spark has to provide. Raises: TrainError that names rank, epoch and step, whatever went wrong.
    """
    place = Place(rank, world)
    reporter = None
    try:
        torch.set_num_threads(job.threads)
        reporter = Reporter(job) if rank == 0 else None
        if reporter is not None:
            reporter.send("rows")
        splits = (TRAIN, VALIDATION)
        training, validation = collect(batches, job.rows, splits, job.cache_bytes)
        with _process_group(job, rank, world, host, gather):
            trainer = Trainer(job, place, training, validation, reporter)
            if reporter is not None:
                _report_start(trainer, reporter)
            started = time.perf_counter()
            losses = [] if job.sweep is None else sweep(trainer, job.sweep)
            if job.sweep is None:
                trainer.run()
            seconds = time.perf_counter() - started
            trainer.stepper.leave()
        if rank == 0 and reporter is not None:
            found = {"losses": losses, "seconds": seconds, "device": _device_name(trainer.device)}
            yield from _results(trainer, reporter, seconds) if job.sweep is None else [_row("swept", found)]
    except GeneratorExit:
        raise
    except BaseException as error:
        report = _failure(error, place)
        if reporter is None and not _secondary(error):
            reporter = Reporter(job)
        if reporter is not None and not _secondary(error):
            reporter.send("failed", rank=rank, message=report)
        if _secondary(error):
            # Another rank has failed and this one only lost the connection: the other's exception is to arrive first.
            time.sleep(SECONDARY_WAIT)
        raise TrainError(report) from error
    finally:
        if reporter is not None:
            reporter.close()


def _report_start(trainer: Trainer, reporter: Reporter) -> None:
    job, world, size = trainer.job, trainer.place.world, trainer.batch_size
    reporter.send("start", steps=trainer.steps, device=str(trainer.device), workers=world, batch_size=size)
    if job.batch_size == AUTO:
        reporter.note(f"batch_size: auto is {size} rows a worker.")


def _row(kind: str, found: dict[str, Any]) -> Result:
    return kind, 0, json.dumps(found).encode()


def _results(trainer: Trainer, reporter: Reporter, seconds: float) -> Iterator[Result]:
    progress = trainer.progress
    fitted = {
        "history": progress.history,
        "best_epoch": progress.best_epoch,
        "seconds": seconds,
        "device": _device_name(trainer.device),
        "precision": str(trainer.stepper.dtype).removeprefix("torch."),
        "batch_size": trainer.batch_size,
        "stopped": progress.stopped,
        "resumed_from": trainer.resumed_from,
        "notes": reporter.notes,
    }
    yield _row("fitted", fitted)
    weights = safetensors_bytes({k: v.contiguous() for k, v in progress.best_state.items()})
    for part, start in enumerate(range(0, len(weights), CHUNK)):
        yield "weights", part, weights[start : start + CHUNK]


def _device_name(device: torch.device) -> str:
    threads = torch.get_num_threads()
    return (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({threads} thread{'s' * (threads > 1)})"
    )


@contextlib.contextmanager
def _process_group(
    job: TrainJob, rank: int, world: int, host: str, gather: Callable[[str], list[str]]
) -> Iterator[None]:
    """Join the ranks by a store of rank 0, on a port that the system chooses."""
    if world == 1:
        yield
        return
    backend = "nccl" if torch.cuda.is_available() and job.device != "cpu" else "gloo"
    store = None
    if rank == 0:
        store = dist.TCPStore(host, 0, world, is_master=True, timeout=COLLECTIVE_TIMEOUT, wait_for_workers=False)
    port = int(gather(str(store.port) if store is not None else "")[0])
    if store is None:
        store = dist.TCPStore(host, port, world, is_master=False, timeout=COLLECTIVE_TIMEOUT)
    _choose_interface(host)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=COLLECTIVE_TIMEOUT)
    yield
    # Only after success: on a failure the process ends soon, and closing here would fail the other ranks first.
    group = dist.group.WORLD
    dist.barrier()
    dist.destroy_process_group()
    # The last reference has to be this one. PyTorch lets go of Python's lock when it frees a group for Python, but not
    # for its own C++ objects; and freeing it waits for a thread that may itself wait for the lock.
    del group


def _choose_interface(host: str) -> None:
    """Let gloo use the interface that reaches rank 0; by itself it takes what the host's own name resolves to."""
    if "GLOO_SOCKET_IFNAME" in os.environ or not Path("/sys/class/net").exists():
        return
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 1))
        except OSError:
            return
        mine = probe.getsockname()[0]
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                found = socket.inet_ntoa(fcntl.ioctl(probe.fileno(), 0x8915, request)[20:24])  # SIOCGIFADDR
            except OSError:
                continue  # an interface with no IPv4 address
            if found == mine:
                os.environ["GLOO_SOCKET_IFNAME"] = name
                return


def _secondary(error: BaseException) -> bool:
    """Whether the error is only the loss of another rank."""
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        word in text
        for word in ("closed by peer", "reset by peer", "Broken pipe", "NCCL", "remote process", "gloo/transport")
    )


def _failure(error: BaseException, place: Place) -> str:
    """Return what went wrong and where, in at most nine lines."""
    where = f"rank {place.rank} of {place.world}"
    where += f", epoch {place.epoch}, step {place.step}" if place.epoch else ", before the first step"
    if isinstance(error, TrainError):
        return f"{where}: {error}"
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    message = str(error).strip().split("\n")
    lines = [f"{where}: {type(error).__name__}: {message[0]}"[:500]]
    lines += [f"  in {frame.name}, {frame.filename} line {frame.lineno}: {frame.line}" for frame in frames]
    return "\n".join(lines)
