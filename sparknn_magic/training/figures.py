"""What is reported of every epoch beside the loss: one number a row, averaged over the rows. Runs on executors."""

from collections.abc import Callable

from torch import Tensor

from sparknn_magic.plugin import Target

Measure = Callable[[Tensor, Tensor], Tensor]


def accuracy(target: Target) -> Measure:
    """(logits float32[N, classes], class number int64[N]) -> 1 where the largest logit is the class's, else 0.

    Of several labels a row, target float32[N, classes] of 0 and 1: 1 where all of them are found, and no other.
    """

    def measure(logits: Tensor, target: Tensor) -> Tensor:
        if target.ndim == 2:
            return ((logits > 0) == (target > 0.5)).all(1).float()
        return (logits.argmax(1) == target).float()

    return measure


def absolute_error(target: Target) -> Measure:
    """(scaled prediction float32[N], scaled target float32[N]) -> the distance, in the units of the label's column."""

    def measure(prediction: Tensor, value: Tensor) -> Tensor:
        return (prediction - value).abs() * target.std

    return measure
