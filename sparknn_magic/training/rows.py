"""A rank's rows as tensors. Runs on executors."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from sparknn_magic.training.cache import Rows
from sparknn_magic.training.job import TrainRows


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
        tensors = {name: torch.from_numpy(array) for name, array in rows.arrays.items()}
        room = torch.cuda.mem_get_info(device)[0] / 2 if device.type == "cuda" else 0
        if sum(array.nbytes for array in rows.arrays.values()) < room:
            tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        self.fields = [tensors[field.name] for field in spec.fields]
        self.target = tensors[spec.target.name]
        self.columns = {field.name: tensors[field.name] for field in spec.columns}
        self.home = self.target.device

    def __len__(self) -> int:
        return self.count

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


def lend_a_row(rows: Rows, spec: TrainRows, donor: int, rank: int, device: torch.device) -> Rows:
    """Give every rank that has no rows the first row of the donor's, so that it can take part; all ranks call this."""
    lent = {}
    for field in (*spec.fields, spec.target, *spec.columns):
        row = torch.zeros((1, *field.shape), dtype=getattr(torch, field.dtype), device=device)
        if rank == donor:
            row.copy_(torch.from_numpy(np.ascontiguousarray(rows.arrays[field.name][:1])))
        if field.size:
            dist.broadcast(row, donor)
        lent[field.name] = row.cpu().numpy()
    return rows if len(rows) else Rows(lent)
