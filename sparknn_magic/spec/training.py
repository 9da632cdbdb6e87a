"""What a cell says under `train:`: how the network is trained."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from sparknn_magic.spec.models import AStep, Spec, Step, Text, read_columns, wrong
from sparknn_magic.spec.words import Words

_TIME = re.compile(r"(?:([0-9]*\.?[0-9]+)h)?(?:([0-9]*\.?[0-9]+)m(?:in)?)?(?:([0-9]*\.?[0-9]+)s)?")


class EarlyStopping(Spec):
    """Stop when the validation rows have seen no improvement for some epochs; the best epoch is the one exported."""

    patience: PositiveInt = Field(default=3, description="epochs without improvement before training stops")
    metric: Text | None = Field(
        default=None,
        description="what must improve: validation_loss, or the task's own figure such as validation_accuracy; the "
        "one that chooses the epoch without early stopping, where it is not given",
    )


def read_patience(value: Any) -> Any:
    """Take `early_stopping: 3` as `{patience: 3}`."""
    return {"patience": value} if isinstance(value, int) and not isinstance(value, bool) else value


def read_time(value: Any) -> Any:
    """Turn `90s`, `10m`, `1h30m` or a number of seconds into seconds."""
    if not isinstance(value, str):
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    parts = _TIME.fullmatch(value.replace(" ", ""))
    if not parts or not any(parts.groups()):
        raise wrong("{path} must be a time such as 90s, 10m or 2h, not {value}.")
    hours, minutes, seconds = (float(part or 0) for part in parts.groups())
    return 3600 * hours + 60 * minutes + seconds


Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(read_columns),
    Field(min_length=1, strict=False),
    Words("one or more names of the network's parts"),
]
ATime = Annotated[PositiveFloat, BeforeValidator(read_time), Words("a time such as 90s, 10m or 2h")]


class TrainSpec(Spec):
    """How the network is trained."""

    epochs: PositiveInt = Field(default=10, description="full passes over the training rows")
    batch_size: Literal["auto"] | PositiveInt = Field(
        default=256,
        description="rows that a worker passes through the network at once; auto: the workers try sizes out and take "
        "the smallest that is nearly the fastest, and fits",
    )
    optimizer: AStep = Field(default=Step(name="adamw"), description="the optimizer and its options")
    schedule: AStep = Field(default=Step(name="one_cycle"), description="how the learning rate goes from step to step")
    warmup: NonNegativeFloat = Field(
        default=0.0, description="epochs in which the learning rate rises from 0 to its value"
    )
    workers: Literal["auto"] | PositiveInt = Field(
        default="auto", description="Spark tasks that train together; auto: as many as the cluster has slots for"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="number format of the computation; auto: bfloat16 on a GPU that has it, and for detectors on a CPU "
        "that has it; else float32",
    )
    clip_norm: PositiveFloat | None = Field(
        default=None, description="largest norm of the gradient; a longer one is scaled down"
    )
    accumulate: PositiveInt = Field(
        default=1, description="batches whose gradients are added up for one step of the optimizer"
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="decay of a running mean of the weights over the steps, which is validated and exported in their "
        "place",
        examples=[0.999],
    )
    layer_decay: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="what the learning rate is multiplied by from each block to the one before it; the last layer has "
        "the whole rate, the embeddings have the least",
        examples=[0.9],
    )
    pretrained: Text | None = Field(
        default=None,
        description="folder of a model of the same architecture whose weights training starts from; the last layer "
        "starts anew where the classes are others",
    )
    freeze: Annotated[tuple[Text, ...], BeforeValidator(read_columns), Field(min_length=1, strict=False)] | None = (
        Field(
            default=None,
            description="names of the network's parts that keep their weights; `*` stands for any letters",
            examples=[["stem", "layer*"]],
        )
    )
    unfreeze_after: PositiveInt | None = Field(
        default=None, description="epochs after which the frozen parts learn too; never where it is not given"
    )
    time_limit: ATime | None = Field(
        default=None,
        description="training ends after the step at which this time has passed, and keeps the best weights; the "
        "schedule is not made shorter",
        examples=["10m"],
    )
    early_stopping: Annotated[EarlyStopping, BeforeValidator(read_patience)] | None = Field(
        default=None, description="stop when the validation rows see no improvement"
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(
        default=0,
        description="seed of weights, order and augmentation; the same seed and workers give the same weights on a CPU",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where the workers compute; auto: a GPU if there is one"
    )

    @model_validator(mode="after")
    def _warmup_ends(self) -> "TrainSpec":
        if self.warmup >= self.epochs:
            raise wrong(
                f"train.warmup ({self.warmup:g} epochs) must be shorter than train.epochs ({self.epochs}).",
                at=("warmup",),
            )
        return self

    @model_validator(mode="after")
    def _unfreezes(self) -> "TrainSpec":
        if self.unfreeze_after is None:
            return self
        if self.freeze is None:
            raise wrong("train.unfreeze_after has nothing to unfreeze; write freeze too.", at=("unfreeze_after",))
        if self.unfreeze_after >= self.epochs:
            raise wrong(
                f"train.unfreeze_after ({self.unfreeze_after}) must be less than train.epochs ({self.epochs}).",
                at=("unfreeze_after",),
            )
        return self
