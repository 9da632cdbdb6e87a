"""Limited-memory BFGS."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from pydantic import PositiveInt
from torch import Tensor

from sparknn_magic.plugin import optimizer


class ClosureLBFGS(torch.optim.LBFGS):
    """torch's LBFGS; it looks at the loss several times in a step, which the training loop has to know."""

    needs_closure = True


@optimizer(
    "lbfgs",
    main="lr",
    source="Liu and Nocedal 1989, On the Limited Memory BFGS Method, Mathematical Programming 45:503-528",
)
def lbfgs(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    *,
    lr: Annotated[float, Gt(0)] = 1.0,
    max_iter: PositiveInt = 20,
    max_eval: PositiveInt | None = None,
    tolerance_grad: Annotated[float, Ge(0)] = 1e-7,
    tolerance_change: Annotated[float, Ge(0)] = 1e-9,
    history_size: PositiveInt = 100,
    line_search_fn: Literal["strong_wolfe"] | None = None,
) -> torch.optim.Optimizer:
    """L-BFGS on parameters; for batches that are all of the rows, on which the loss is one and the same function.

    Parameter groups are taken together, as this method knows no settings of single parameters and no weight decay.

    lr: length of a step, or of a line search's first try, where the schedule's factor is 1.
    max_iter: iterations in one step of the training.
    max_eval: evaluations of the loss in one step of the training; null: 1.25 times max_iter.
    tolerance_grad: a largest gradient below this ends the step.
    tolerance_change: a change of loss or weights below this ends the step.
    history_size: pairs of steps and gradients that are kept; each takes twice the memory of the weights.
    line_search_fn: strong_wolfe looks for the best length of every step; null takes lr.
    Raises: ValueError where an option is out of range.
    """
    flat = [p for each in parameters for p in (each["params"] if isinstance(each, dict) else [each])]
    return ClosureLBFGS(
        flat,
        lr=lr,
        max_iter=max_iter,
        max_eval=max_eval,
        tolerance_grad=tolerance_grad,
        tolerance_change=tolerance_change,
        history_size=history_size,
        line_search_fn=line_search_fn,
    )
