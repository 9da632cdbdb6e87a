"""One scored picture, as the report and the figures show it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Example:
    """A picture, its true class, and what the model said of it."""

    image: np.ndarray  # uint8[H, W, C], C is 1 or 3
    label: str
    predicted: str
    score: float  # the probability of `predicted`, 0..1

    @property
    def right(self) -> bool:
        """Whether the model found the true class."""
        return self.label == self.predicted
