"""The network as it is trained and as it is exported: prepared rows in, logits or numbers out. Runs on executors.

Shape suffixes: B batch, H height, W width, C channels, F numeric features, G categorical features,
T tokens.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparknn_magic.errors import TrainError
from sparknn_magic.plugin import Part, build_loss
from sparknn_magic.training.job import TrainJob
from sparknn_magic.training.tokens import of_each_token


def exact(x: Tensor) -> torch.autocast:
    """Return a region in which x stays as it is, float32, although the network around it computes in fewer digits."""
    return torch.autocast(x.device.type, enabled=False)


class Front(nn.Module):
    """What turns a batch's fields into the architecture's own arguments; it has no weights."""

    augments = False  # whether it applies `augment`

    def __init__(self) -> None:
        super().__init__()
        self.augment: tuple[Any, ...] = ()
        self.real: int | None = None  # rows of the batch that count; None: all
        self.target: Tensor | None = None  # what the loss is to be given in place of the batch's own, where not None
        # Of pictures that were mixed from several: for each of these its position in the batch, and its share.
        self.mixed: tuple[tuple[Tensor, Tensor], ...] = ()

    def augmented(self, x: Tensor) -> Tensor:
        """Return a batch with random changes; `mixed` says afterwards which rows each one is made of.

        A step with a method `mix(x, real)` returns (x, partner int64[B], share float32[B]): every row is `share` of
        what it was and the rest of its partner. Rows from `real` on have no weight, and none has them as a partner.
        """
        self.mixed = ()
        for step in self.augment:
            if not hasattr(step, "mix"):
                x = step(x)
                continue
            x, partner, share = step.mix(x, len(x) if self.real is None else self.real)
            before = self.mixed or ((torch.arange(len(x), device=x.device), torch.ones(len(x), device=x.device)),)
            kept = tuple((index, part * share) for index, part in before)
            self.mixed = kept + tuple((index[partner], part[partner] * (1 - share)) for index, part in before)
        return x


class Pixels(Front):
    """uint8[B, H, W, C] -> float32[B, C, H, W]: scaled to 0..1, augmented in training, normalized."""

    augments = True
    mean: Tensor
    std: Tensor

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(1, -1, 1, 1), persistent=False)

    def normalize_by(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Normalize by these in place of the rows' own: what a network's pretrained weights were trained with."""
        self.mean.copy_(torch.tensor(mean).reshape(1, -1, 1, 1))
        self.std.copy_(torch.tensor(std).reshape(1, -1, 1, 1))

    def forward(self, images_BHWC: Tensor) -> tuple[Tensor]:
        """Return the one argument of an image architecture."""
        x_BCHW = images_BHWC.permute(0, 3, 1, 2).float() / 255.0
        if self.training:
            with exact(x_BCHW):
                x_BCHW = self.augmented(x_BCHW)
        return ((x_BCHW - self.mean) / self.std,)


class Vectors(Front):
    """Numbers float32[B, F] and codes int[B, G], cleaned and scaled when they were prepared -> the same two."""

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two arguments of a vector architecture."""
        return numbers_BF, codes_BG.long()


class Tokens(Front):
    """Token ids int[B, T], short rows filled with `pad` -> input_ids int64[B, T], attention_mask int64[B, T]."""

    def __init__(self, *, pad: int):
        super().__init__()
        self.pad = pad

    def forward(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two arguments of a text architecture."""
        return tokens_BT.long(), (tokens_BT != self.pad).long()


class Network(nn.Module):
    """The front, which has no weights, and the architecture's own module, whose state alone is saved."""

    def __init__(self, front: nn.Module, body: nn.Module, *, scalar: bool = False):
        super().__init__()
        self.front, self.body = front, body
        self.scalar = scalar  # one number a row is learnt: float32[B] instead of [B, 1]

    def forward(self, *fields: Tensor) -> Any:
        """Prepared rows, one tensor a field -> logits float32[B, classes], or numbers float32[B]; a detector's own."""
        outputs = self.body(*self.front(*fields))
        return outputs[:, 0] if self.scalar else outputs


def build_network(job: TrainJob) -> Network:
    """Build the network with its augmentation, on the CPU, its weights drawn under the job's seed."""
    torch.manual_seed(job.seed)
    body = job.architecture.build(job.rows.inputs, job.outputs)
    front = job.rows.front.build()
    if job.augment and not front.augments:
        raise TrainError("augment: changes pictures, and the rows of this task are none.")
    front.augment = tuple(part.build() for part in job.augment)
    pixels = getattr(body, "pixels", None)
    if pixels is not None:
        front.normalize_by(*pixels)
    target = job.rows.target
    return Network(front, body, scalar=target.dtype.startswith("float") and job.outputs == 1 and not target.ragged)


def make_loss(job: TrainJob, body: nn.Module) -> Callable[..., Tensor]:
    """Return the loss: a function of (outputs, target), and of columns of the row by name, to float32[B].

    It is the architecture's own where that has one.
    """
    own = getattr(body, "loss", None)
    return own if callable(own) else _of_rows(job, job.loss)


def make_measure(job: TrainJob) -> Callable[..., Tensor]:
    """Build the function of (outputs, target) to the figure of each row: float32[B].

    One that has `at_rest` is taken of validation rows alone, and is given the body too.
    """
    return _of_rows(job, job.measure)


def _of_rows(job: TrainJob, part: Part) -> Any:
    """Build a loss or a figure; where each token has a target of its own, the mean over the row's tokens."""
    found = build_loss(part.load(), job.target, part.options)
    target = job.rows.target
    each_token = target.ragged and getattr(job.rows.inputs, "each_token", False)
    return of_each_token(found, target.pad) if each_token else found
