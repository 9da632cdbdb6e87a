"""What is reported of every epoch beside the loss: one number a row, averaged over the rows. Runs on executors."""

from collections.abc import Callable

from torch import Tensor

from sparknn_magic.plugin import Target

Measure = Callable[[Tensor, Tensor], Tensor]


def accuracy(target: Target) -> Measure:
    """(logits float32[N, classes], class number int64[N]) -> 1 where the largest logit is the class's, else 0."""

    def measure(logits: Tensor, number: Tensor) -> Tensor:
        return (logits.argmax(1) == number).float()

    return measure


def absolute_error(target: Target) -> Measure:
    """(scaled prediction float32[N], scaled target float32[N]) -> the distance, in the units of the label's column."""

    def measure(prediction: Tensor, value: Tensor) -> Tensor:
        return (prediction - value).abs() * target.std

    return measure
