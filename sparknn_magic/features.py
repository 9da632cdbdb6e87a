"""Numeric and categorical columns as one vector: what networks for vectors start with. Needs torch.

B batch, F numeric columns, G categorical columns, W width of the vector.
"""

import torch
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import VectorInputs


class Features(nn.Module):
    """numbers float32[B, F], codes int64[B, G] -> float32[B, W]: the numbers, the one-hot columns, the embedded ones.

    Code 0, which the training rows did not have, is a row of zeros in both forms: nothing is known of it. So a one-hot
    column of n codes is n - 1 wide.
    """

    column: Tensor
    code: Tensor

    def __init__(self, inputs: VectorInputs):
        """Raises: SpecError where the vector would have no width."""
        super().__init__()
        self.numbers = inputs.numbers
        coded = list(enumerate(zip(inputs.categories, inputs.embedded or (0,) * len(inputs.categories), strict=True)))
        pairs = [(place, code) for place, (codes, width) in coded if not width for code in range(1, codes)]
        # Of each one-hot feature the column that it looks at, and the code for which it is 1.
        self.register_buffer("column", torch.tensor([place for place, _ in pairs], dtype=torch.int64), persistent=False)
        self.register_buffer("code", torch.tensor([code for _, code in pairs], dtype=torch.int64), persistent=False)
        self.embedded = [place for place, (_, width) in coded if width]
        self.tables = nn.ModuleList(nn.Embedding(codes, width, padding_idx=0) for _, (codes, width) in coded if width)
        self.width = inputs.numbers + len(pairs) + sum(width for _, (_, width) in coded)
        if not self.width:
            raise SpecError("the columns hold nothing to learn from: no numbers, and one value in each category.")

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> Tensor:
        """Return float32[B, W]."""
        parts = [numbers_BF] if self.numbers else []
        if len(self.column):
            parts.append((codes_BG[:, self.column] == self.code).to(numbers_BF.dtype))
        parts += [table(codes_BG[:, place]) for place, table in zip(self.embedded, self.tables, strict=True)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
