"""One step of training, and the same network without learning. Runs on executors."""

import contextlib
import gc
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sparknn_magic.errors import TrainError
from sparknn_magic.training import pretrained
from sparknn_magic.training.average import Average
from sparknn_magic.training.freezing import Frozen
from sparknn_magic.training.groups import base_rates, parameter_groups
from sparknn_magic.training.job import TrainJob
from sparknn_magic.training.network import build_network, make_loss, make_measure
from sparknn_magic.training.rows import Batch, RankRows

Part = tuple[Tensor, int]  # positions of the rows that pass the network at once, of which the first so many count


def choose_device(job: TrainJob, rank: int) -> torch.device:
    """Return the rank's device. Raises: TrainError where CUDA is asked for by name and missing."""
    if job.device == "cpu" or (job.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrainError("train.device is cuda, but PyTorch sees no CUDA device on this executor.")
    return torch.device("cuda", rank % torch.cuda.device_count())


def choose_precision(job: TrainJob, device: torch.device, body: nn.Module | None = None) -> torch.dtype:
    """Return the dtype of the autocast region; float32 means none.

    auto is bfloat16 where the device computes in it: on a CPU for networks that say so by `bfloat16_on_cpu`, because
    small ones lose more to the conversions than they gain.
    """
    if job.precision != "auto":
        return getattr(torch, job.precision)
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = getattr(body, "bfloat16_on_cpu", False) and cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def cpu_has_bfloat16() -> bool:
    """Return whether this processor multiplies bfloat16 itself: AVX-512 BF16, AMX, or the same of ARM."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


class Stepper:
    """The network, its loss and its optimizer on one rank."""

    def __init__(self, job: TrainJob, device: torch.device, world: int):
        self.job, self.device, self.world = job, device, world
        self.network = build_network(job)
        self.body = self.network.body
        self.dtype = choose_precision(job, device, self.body)
        if job.pretrained is not None:
            pretrained.take(self.body, job.pretrained)
        # Pictures arrive as NHWC, and convolutions are fastest on that layout.
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss, self.measure = make_loss(job, self.body), make_measure(job)
        self.at_rest_only = getattr(self.measure, "at_rest", False)  # the figure is of validation rows alone
        self.frozen = Frozen(self.body, job.freeze)
        groups = parameter_groups(self.body, self.frozen.parameters, job.layer_decay)
        self.optimizer = job.optimizer.build(groups)
        self.base_rates = base_rates(self.optimizer, job.layer_decay)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.frozen.hold()
        self.average = Average(self.body, job.ema) if job.ema is not None else None
        self.model = self._parallel()

    def _parallel(self) -> nn.Module:
        """Return the network as it is trained: with other ranks' gradients added, where there are any."""
        if self.world == 1:
            return self.network
        ids = [self.device.index] if self.device.type == "cuda" else None
        with warnings.catch_warnings():
            # Torch 2.13 deprecates the option and asks to keep it until there is another for the same.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(self.network, device_ids=ids, broadcast_buffers=False)

    def train(self) -> None:
        """Get ready to learn; what is frozen stays at rest."""
        self.model.train()
        self.frozen.rest()

    def unfreeze(self) -> None:
        """Let all parts of the network learn from now on."""
        if self.frozen.parameters or self.frozen.modules:
            self.frozen.release()
            self.model = self._parallel()  # which looks at what learns once, when it is made

    def leave(self) -> None:
        """Let go of the other ranks: what holds their process group must be gone before the group itself is freed."""
        self.model = self.network
        gc.collect()  # DistributedDataParallel refers to itself

    def learn(self, rows: RankRows, parts: Sequence[Part], rows_of_all: int) -> tuple[Tensor, Tensor]:
        """Take one optimizer step on these rows; `rows_of_all` count, with the other ranks'.

        The parts pass the network one after the other, and their gradients are added up.
        Returns the sums of the loss and of the figure over the rows that count.
        """
        if getattr(self.optimizer, "needs_closure", False):
            loss, figure = self._search(rows, parts, rows_of_all)
        else:
            self.optimizer.zero_grad(set_to_none=True)
            loss, figure = self._gradients(rows, parts, rows_of_all)
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if self.average is not None:
            self.average.update()
        return loss, figure

    def _gradients(self, rows: RankRows, parts: Sequence[Part], rows_of_all: int) -> tuple[Tensor, Tensor]:
        """Add up the gradients of the parts, and clip them; return the sums of the loss and of the figure."""
        sums = []
        for n, (index, real) in enumerate(parts):
            with self._apart(last=n == len(parts) - 1):
                loss, figure = self._pass(rows.take(index), real)
                # DistributedDataParallel averages over the ranks; this makes the average the mean over the real rows.
                self.scaler.scale(loss * (self.world / rows_of_all)).backward()
            sums.append((loss.detach(), figure))
        if self.job.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.job.clip_norm)
        return sum(loss for loss, _ in sums), sum(figure for _, figure in sums)  # type: ignore[return-value]

    def _apart(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Let the ranks exchange gradients after the last part alone."""
        if isinstance(self.model, DistributedDataParallel) and not last:
            return self.model.no_sync()
        return contextlib.nullcontext()

    def _pass(self, batch: Batch, real: int) -> tuple[Tensor, Tensor]:
        """Return the sums of the loss and of the figure over the first `real` rows."""
        front = self.network.front
        front.real, front.mixed = real, ()  # type: ignore[assignment]
        outputs, batch = self._outputs(self.model, batch)
        per_row = self._blended(outputs, batch, self._loss)
        summed = per_row[:real].sum() if real else per_row.sum() * 0.0
        if self.at_rest_only:
            return summed, summed.new_zeros(())
        with torch.no_grad():
            figure = self._blended(outputs, batch, self._figure)[:real].sum()
        return summed, figure

    def _outputs(self, model: nn.Module, batch: Batch) -> tuple[Any, Batch]:
        """Return what a network gives for a batch, and the batch with the target that its front has made of it."""
        front = self.network.front
        front.target = None  # type: ignore[assignment]
        with self._autocast():
            outputs = model(*batch.inputs)
        if isinstance(outputs, Tensor):
            outputs = outputs.float()
        target: Tensor | None = front.target  # type: ignore[assignment]
        return outputs, batch if target is None else replace(batch, target=target)

    def _blended(self, outputs: Any, batch: Batch, of: Callable[[Any, Batch], Tensor]) -> Tensor:
        """Return `of(outputs, batch)`; of mixed pictures, the same of each row's parts, by their shares."""
        mixed: Sequence[tuple[Tensor, Tensor]] = self.network.front.mixed  # type: ignore[assignment]
        if not mixed:
            return of(outputs, batch)
        total = torch.zeros(len(outputs), device=outputs.device)
        for partner, share in mixed:
            total = total + share * of(outputs, batch.taken(partner))
        return total

    def _loss(self, outputs: Any, batch: Batch) -> Tensor:
        return self.loss(outputs, batch.target, **batch.columns)

    def _figure(self, outputs: Any, batch: Batch) -> Tensor:
        if self.at_rest_only:
            return self.measure(outputs, batch.target, self.body)
        return self.measure(outputs, batch.target)

    def _search(self, rows: RankRows, parts: Sequence[Part], rows_of_all: int) -> tuple[Tensor, Tensor]:
        """Take a step of an optimizer that looks at the loss several times: each time at the same random draws."""
        cuda = [self.device] if self.device.type == "cuda" else []
        drawn = torch.random.get_rng_state(), [torch.cuda.get_rng_state(device) for device in cuda]
        first: list[tuple[Tensor, Tensor]] = []

        def closure() -> Tensor:
            torch.random.set_rng_state(drawn[0])
            for device, state in zip(cuda, drawn[1], strict=True):
                torch.cuda.set_rng_state(state, device)
            self.optimizer.zero_grad(set_to_none=True)
            found = self._gradients(rows, parts, rows_of_all)
            first.append(found)
            loss = found[0].clone()
            if self.world > 1:
                dist.all_reduce(loss)  # all ranks take the same decisions from it
            return loss / rows_of_all

        self.optimizer.step(closure)
        return first[0]

    def judge(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sums of the loss and of the figure over a batch, and how many rows have a figure: learn nothing.

        Only a figure of rows at rest is NaN for rows that have none.
        """
        with torch.inference_mode():
            outputs, batch = self._outputs(self.network, batch)
            figure = self._figure(outputs, batch)
            there = ~figure.isnan() if self.at_rest_only else torch.ones_like(figure, dtype=torch.bool)
            return self._loss(outputs, batch).sum(), figure[there].sum(), there.sum()

    @contextlib.contextmanager
    def at_rest(self) -> Any:
        """Let the network be what is judged and exported while the block runs: in evaluation mode, averaged."""
        self.model.eval()
        with self.average.in_place() if self.average is not None else contextlib.nullcontext():
            yield

    def average_buffers(self) -> None:
        """Give every rank the mean of the ranks' running statistics, which each has gathered on its own rows."""
        if self.world == 1:
            return
        statistics = [buffer for buffer in self.body.buffers() if buffer.is_floating_point()]
        for buffer in statistics + (self.average.statistics() if self.average is not None else []):
            dist.all_reduce(buffer)
            buffer /= self.world

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to this multiple of what the optimizer was built with."""
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.dtype)
