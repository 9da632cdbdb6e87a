"""A rank's rows as tensors. Runs on executors."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from sparknn_magic.training.cache import Rows
from sparknn_magic.training.job import Field, TrainRows
from sparknn_magic.training.ragged import Ragged, RaggedTensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, on the device."""

    inputs: tuple[Tensor, ...]  # a tensor for each field of the network
    target: Tensor
    columns: dict[str, Tensor]  # further numbers that the loss reads

    def taken(self, index: Tensor) -> "Batch":
        """Return the same inputs with the targets and numbers of other rows of the batch."""
        return Batch(self.inputs, self.target[index], {name: c[index] for name, c in self.columns.items()})


class RankRows:
    """One split's rows on this rank, on the device where they take less than half of what is free there."""

    def __init__(self, rows: Rows, spec: TrainRows, device: torch.device):
        self.device, self.count = device, len(rows)
        every = (*spec.fields, spec.target, *spec.columns)
        tensors = {field.name: _tensor(rows.arrays[field.name], field) for field in every}
        room = torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else 0
        if sum(array.nbytes for array in rows.arrays.values()) < room:
            tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        first = rows.arrays[spec.fields[0].name]
        self.lengths = torch.from_numpy(first.lengths) if isinstance(first, Ragged) else None  # of each row, in tokens
        self.fields = [tensors[field.name] for field in spec.fields]
        self.target = tensors[spec.target.name]
        self.columns = {field.name: tensors[field.name] for field in spec.columns}
        self.home = self.target.device

    def __len__(self) -> int:
        return self.count

    def batches(self, size: int) -> Iterator[Tensor | slice]:
        """Yield the positions of all rows, so many at once; rows of any length in the order of their lengths."""
        order = None if self.lengths is None else torch.argsort(self.lengths, stable=True)
        for begin in range(0, self.count, size):
            yield slice(begin, begin + size) if order is None else order[begin : begin + size]

    def take(self, index: Tensor | slice) -> Batch:
        """Return the rows at these positions."""
        if isinstance(index, Tensor):
            index = index.to(self.home)
        return Batch(
            tuple(self._moved(field[index]) for field in self.fields),
            self._moved(self.target[index]),
            {name: self._moved(column[index]) for name, column in self.columns.items()},
        )

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor if self.home == self.device else tensor.to(self.device, non_blocking=True)


def _tensor(rows: np.ndarray | Ragged, field: Field) -> Any:
    return RaggedTensor(rows, field) if isinstance(rows, Ragged) else torch.from_numpy(rows)


def lend_a_row(rows: Rows, spec: TrainRows, donor: int, rank: int, device: torch.device) -> Rows:
    """Give every rank that has no rows the first row of the donor's, so that it can take part; all ranks call this."""
    lent: dict[str, np.ndarray | Ragged] = {}
    for field in (*spec.fields, spec.target, *spec.columns):
        first = _first(rows.arrays[field.name]) if rank == donor else None
        shape = (1, _agreed_length(first, donor, device)) if field.ragged else (1, *field.shape)
        row = torch.zeros(shape, dtype=getattr(torch, field.dtype), device=device)
        if first is not None:
            row.copy_(torch.from_numpy(np.ascontiguousarray(first)))
        if row.numel():
            dist.broadcast(row, donor)
        found = row.cpu().numpy()
        lent[field.name] = Ragged(found[0], np.zeros(1, np.int64), np.array(shape[1:])) if field.ragged else found
    return rows if len(rows) else Rows(lent)


def _first(rows: np.ndarray | Ragged) -> np.ndarray:
    return rows.row(0)[None] if isinstance(rows, Ragged) else rows[:1]


def _agreed_length(row: np.ndarray | None, donor: int, device: torch.device) -> int:
    """Return how many numbers the donor's row has."""
    length = torch.tensor([0 if row is None else row.shape[1]], device=device)
    dist.broadcast(length, donor)
    return int(length)
