"""What a training rank is told: frozen plain values, the only thing that is pickled to executors."""

import math
from dataclasses import dataclass, field
from typing import Any

from sparknn_magic.plugin import DetectionInputs, ImageInputs, Part, Target

TRAIN, VALIDATION = 0, 1  # the values of the `split` column of the rows that ranks receive


@dataclass(frozen=True, slots=True)
class Channel:
    """Where rank 0 finds the driver's event listener."""

    host: str
    port: int
    key: bytes  # the shared secret of multiprocessing.connection's challenge


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the prepared rows: numbers, or bytes that hold `shape` numbers of `dtype`, row by row."""

    name: str
    dtype: str = "float32"  # numpy's name
    shape: tuple[int, ...] = ()  # (): one number, in a column of numbers; (-1,): as many as the row has
    pad: int = 0  # what a shorter row of a batch is filled with, where rows have numbers of any count

    @property
    def ragged(self) -> bool:
        """Whether rows have numbers of any count."""
        return self.shape == (-1,)

    @property
    def size(self) -> int:
        """How many numbers a row has; -1: any."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class TrainRows:
    """What a rank's rows are, besides `split` int and `row` long, and how they enter the network."""

    inputs: Any  # what the architecture is built for: ImageInputs, VectorInputs
    fields: tuple[Field, ...]  # what the network takes, in this order
    front: Part  # builds the module without weights that turns them into the architecture's own arguments
    target: Field  # what is learnt; the front may change it, as it does boxes of pictures that it moves
    columns: tuple[Field, ...] = ()  # further numbers that the loss reads


def picture_rows(
    inputs: ImageInputs, mean: tuple[float, ...], std: tuple[float, ...], columns: tuple[Field, ...] = ()
) -> TrainRows:
    """Rows of an image task: uint8[height, width, channels] as bytes in `image`, a class number in `label`.

    `mean` and `std` are those of each channel's pixels in 0..1.
    """
    return TrainRows(
        inputs=inputs,
        fields=(Field("image", "uint8", (inputs.height, inputs.width, inputs.channels)),),
        front=Part("sparknn_magic.training.network:Pixels", {"mean": tuple(mean), "std": tuple(std)}),
        target=Field("label", "int64"),
        columns=columns,
    )


def scene_rows(inputs: DetectionInputs, mean: tuple[float, ...], std: tuple[float, ...]) -> TrainRows:
    """Rows of object detection: uint8[height, width, channels] as bytes in `image`, float32[n, 5] in `boxes`.

    A box is its class number, x1, y1, x2 and y2 in pixels of the picture.
    """
    boxes = Field("boxes", "float32", (-1,), pad=-1)
    return TrainRows(
        inputs=inputs,
        fields=(Field("image", "uint8", (inputs.height, inputs.width, inputs.channels)), boxes),
        front=Part("sparknn_magic.training.scenes:Scenes", {"mean": tuple(mean), "std": tuple(std)}),
        target=boxes,
    )


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights to start from: those of another model of the same architecture."""

    file: str  # safetensors; the name by which Spark gives it to executors, in a rank the path there
    fresh: tuple[str, ...] = ()  # what is not taken from it: the last layer, where the classes are others


@dataclass(frozen=True, slots=True)
class Sweep:
    """A run that looks for a learning rate: every step takes a higher one, and nothing is kept of the weights."""

    steps: int = 200
    start: float = 1e-7  # rate of the first step
    end: float = 10.0  # and of the last


AUTO = 0  # a batch size that the ranks find by measuring


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One training run, the same for every rank."""

    attempt: str  # marks this attempt's events among those of earlier ones
    folder: str  # run folder: events.jsonl, checkpoint.safetensors
    fingerprint: str  # of everything that decides the weights: a checkpoint of another one is not taken up
    architecture: Part
    rows: TrainRows
    outputs: int  # numbers that the network gives for a row: as many as there are classes, or 1
    loss: Part
    optimizer: Part
    schedule: Part
    augment: tuple[Part, ...] = ()
    target: Target = field(default_factory=Target)
    figure: str = "accuracy"  # the name of what is reported beside the loss
    measure: Part = field(default_factory=lambda: Part("sparknn_magic.training.figures:accuracy"))  # of each row
    epochs: int = 10
    batch_size: int = 256  # rows that a rank passes through the network at once, or AUTO
    accumulate: int = 1  # such batches in one step of the optimizer
    ema: float | None = None  # decay of the running mean of the weights, which is judged and exported in their place
    layer_decay: float | None = None  # of the learning rate, from each numbered block to the one before it
    freeze: tuple[str, ...] = ()  # names, with * and ?, of the body's modules and parameters that are left as they are
    unfreeze_after: int | None = None  # epochs; None: never
    pretrained: Pretrained | None = None
    time_limit: float | None = None  # seconds, of all attempts together
    warmup: float = 0.0  # epochs
    precision: str = "auto"
    clip_norm: float | None = None
    patience: int | None = None  # epochs without a better `watch` before training ends; None: never
    watch: str = "validation_accuracy"  # the figure of an epoch that says which one is best
    lower: bool = False  # less of it is better
    seed: int = 0
    device: str = "auto"
    threads: int = 1  # cores of a Spark task
    cache_bytes: int = 2**31  # a rank's rows above this live in a memory-mapped file
    sweep: Sweep | None = None  # look for a learning rate instead of training
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
    batch_size: int  # as asked for, or as found by measuring
    resumed_from: int = 0  # epochs that an earlier attempt had finished
    stopped: str = ""  # why it ended before the last epoch: "early stopping", "time limit", "stop request" or ""
    notes: list[str] = field(default_factory=list)
