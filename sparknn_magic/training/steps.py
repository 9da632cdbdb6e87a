"""One step of training, and the same network without learning. Runs on executors."""

import contextlib
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sparknn_magic.errors import TrainError
from sparknn_magic.training.job import TrainJob
from sparknn_magic.training.network import build_network, make_loss, make_measure
from sparknn_magic.training.rows import Batch


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


class Stepper:
    """The network, its loss and its optimizer on one rank."""

    def __init__(self, job: TrainJob, device: torch.device, world: int):
        self.job, self.device, self.world = job, device, world
        self.dtype = choose_precision(job, device)
        self.network = build_network(job).to(device)
        # Pictures arrive as NHWC, and convolutions are fastest on that layout.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model: nn.Module = self.network
        if world > 1:
            ids = [device.index] if device.type == "cuda" else None
            with warnings.catch_warnings():
                # Torch 2.13 deprecates the option and asks to keep it until there is another for the same.
                warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
                self.model = DistributedDataParallel(self.network, device_ids=ids, broadcast_buffers=False)
        self.loss, self.measure = make_loss(job), make_measure(job)
        self.optimizer = job.optimizer.build(decay_groups(self.network.body))
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)

    def learn(self, batch: Batch, real: int, rows_of_all: int) -> tuple[Tensor, Tensor]:
        """Take one optimizer step on a batch whose first `real` rows count, `rows_of_all` with the other ranks'.

        Returns the sums of the loss and of the figure over the real rows.
        """
        with self._autocast():
            outputs = self.model(*batch.inputs)
        outputs = outputs.float()
        per_row = self.loss(outputs, batch.target, **batch.columns)
        summed = per_row[:real].sum() if real else per_row.sum() * 0.0
        # DistributedDataParallel averages over the ranks; this makes the average the mean over the step's real rows.
        total = summed * (self.world / rows_of_all)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        if self.job.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.job.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            figure = self.measure(outputs[:real], batch.target[:real]).sum()
        return summed.detach(), figure

    def judge(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the sums of the loss and of the figure over a batch, without learning from it."""
        with torch.inference_mode(), self._autocast():
            outputs = self.network(*batch.inputs).float()
            return self.loss(outputs, batch.target, **batch.columns).sum(), self.measure(outputs, batch.target).sum()

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to this multiple of what the optimizer was built with."""
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def decay_groups(body: nn.Module) -> list[dict[str, Any]]:
    """Split off biases and normalization scales, which are not decayed (He et al. 2019, Bag of Tricks, sec. 3.1)."""
    decayed = [p for p in body.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in body.parameters() if p.requires_grad and p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
