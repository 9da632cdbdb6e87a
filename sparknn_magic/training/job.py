"""What a training rank is told: frozen plain values, the only thing that is pickled to executors."""

from dataclasses import dataclass, field
from typing import Any

from sparknn_magic.plugin import ImageInputs, Part

TRAIN, VALIDATION = 0, 1  # the values of the `split` column of the rows that ranks receive


@dataclass(frozen=True, slots=True)
class Channel:
    """Where rank 0 finds the driver's event listener."""

    host: str
    port: int
    key: bytes  # the shared secret of multiprocessing.connection's challenge


@dataclass(frozen=True, slots=True)
class PictureRows:
    """The rows of an image task: uint8[height, width, channels] as bytes in `image`, an integer in `label`."""

    inputs: ImageInputs
    mean: tuple[float, ...]  # a channel, of pixels in 0..1
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One training run, the same for every rank."""

    attempt: str  # marks this attempt's events among those of earlier ones
    folder: str  # run folder: events.jsonl, checkpoint.safetensors
    fingerprint: str  # of everything that decides the weights: a checkpoint of another one is not taken up
    architecture: Part
    rows: PictureRows
    outputs: int  # number of classes
    loss: Part
    optimizer: Part
    schedule: Part
    augment: tuple[Part, ...] = ()
    epochs: int = 10
    batch_size: int = 256  # rows a rank takes in one step
    warmup: float = 0.0  # epochs
    precision: str = "auto"
    clip_norm: float | None = None
    patience: int | None = None  # epochs without a better `watch` before training ends; None: never
    watch: str = "validation_accuracy"
    seed: int = 0
    device: str = "auto"
    threads: int = 1  # cores of a Spark task
    cache_bytes: int = 2**31  # a rank's rows above this live in a memory-mapped file
    channel: Channel | None = None  # None: a Spark Connect client, which reads events.jsonl


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a finished training run gives back to the driver."""

    weights: bytes  # safetensors of the best epoch's state
    history: list[dict[str, Any]]  # one dict an epoch
    best_epoch: int  # from 1
    seconds: float  # in the loop, this attempt's
    rows_per_second: float  # training rows of all ranks, in the loop
    device: str
    precision: str
    workers: int
    resumed_from: int = 0  # epochs that an earlier attempt had finished
    stopped: str = ""  # why it ended before the last epoch: "early stopping", "stop request" or ""
    notes: list[str] = field(default_factory=list)
