"""A loss or a figure of rows, taken of every token. Runs on executors.

B batch, T tokens, K outputs, N tokens that count.
"""

from collections.abc import Callable

from torch import Tensor

RowFunction = Callable[[Tensor, Tensor], Tensor]


def of_each_token(function: RowFunction, ignored: int) -> RowFunction:
    """Return a function of (outputs float32[B, T, K], target int[B, T]) to the mean over each row's tokens, float32[B].

    `function` takes (float32[N, K], int64[N]) and returns float32[N]. Tokens whose target is `ignored` do not count; a
    row without any other has 0.
    """

    def apply(outputs: Tensor, target: Tensor) -> Tensor:
        counts = target != ignored
        values = function(outputs[counts], target[counts].long())
        row = counts.nonzero()[:, 0]
        sums = values.new_zeros(len(target)).index_add(0, row, values)
        return sums / counts.sum(1).clamp(min=1)

    return apply
