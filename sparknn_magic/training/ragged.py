"""A field whose rows have numbers of any count, such as the tokens of a text. Runs on executors."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sparknn_magic.training.job import Field


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of numbers, one after the other."""

    values: np.ndarray  # of all rows
    starts: np.ndarray  # int64[rows]: where each row begins
    lengths: np.ndarray  # int64[rows]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def nbytes(self) -> int:
        """The bytes of the numbers."""
        return self.values.nbytes

    def ordered(self, order: np.ndarray) -> "Ragged":
        """Return the same rows in another order; the numbers stay where they are."""
        return Ragged(self.values, self.starts[order], self.lengths[order])

    def row(self, n: int) -> np.ndarray:
        """Return one row's numbers."""
        return self.values[self.starts[n] : self.starts[n] + self.lengths[n]]


class RaggedTensor:
    """The same on a device: `padded` gives some rows as one tensor."""

    def __init__(self, rows: Ragged, field: Field):
        # Without a single number there is nothing to take a row from.
        values = rows.values if len(rows.values) else np.zeros(1, rows.values.dtype)
        self.values, self.pad = torch.from_numpy(values), field.pad
        self.starts, self.lengths = torch.from_numpy(rows.starts), torch.from_numpy(rows.lengths)

    def to(self, device: torch.device) -> "RaggedTensor":
        """Move the numbers to a device."""
        self.values, self.starts, self.lengths = (t.to(device) for t in (self.values, self.starts, self.lengths))
        return self

    @property
    def device(self) -> torch.device:
        """Where the numbers are."""
        return self.values.device

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Return [rows, longest of these rows], the shorter ones filled with `pad`."""
        starts, lengths = self.starts[index, None], self.lengths[index, None]
        position = torch.arange(max(1, int(lengths.max())), device=self.device)
        # Behind a row's end stands another row's number, or none: what is taken there is not looked at.
        taken = self.values[(starts + position).clamp(max=len(self.values) - 1)]
        return torch.where(position < lengths, taken, self.pad)


def split_runs(column: pa.Array, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a binary column, copied once, and how many each row has.

    Raises: ValueError where a row is null.
    """
    if column.null_count:
        raise ValueError("a prepared row has no numbers; prepare the data again")
    if not len(column):
        return np.empty(0, dtype), np.empty(0, np.int64)
    width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    _, offsets_buffer, data = column.buffers()
    offsets = np.frombuffer(offsets_buffer, width)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    found = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    return found.copy().view(dtype), np.diff(offsets) // dtype.itemsize
