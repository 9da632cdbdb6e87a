"""Adam for sparse gradients."""

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import optimizer


@optimizer("sparse_adam", main="lr", source="torch's SparseAdam; Kingma and Ba 2015, arXiv:1412.6980")
def sparse_adam(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    *,
    lr: Annotated[float, Gt(0)] = 1e-3,
    betas: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.999),
    eps: Annotated[float, Gt(0)] = 1e-8,
) -> torch.optim.Optimizer:
    """Adam that touches only the rows of a batch, for networks of `nn.Embedding(sparse=True)` and nothing else.

    lr: learning rate, where the schedule's factor is 1.
    betas: decay of the gradient's running mean, and of its running square.
    eps: added to a denominator, against division by 0.
    Raises: SpecError where a parameter's gradient is dense, ValueError where an option is out of range.
    """
    groups: list[Any] = list(parameters)
    if any(isinstance(group, dict) and not group.get("sparse", True) for group in groups):
        raise SpecError(
            "sparse_adam takes sparse gradients alone, and this network has layers with dense ones.",
            hint="Only nn.Embedding(sparse=True) gives sparse gradients. Use adam, or adamw.",
        )
    return torch.optim.SparseAdam(groups, lr=lr, betas=betas, eps=eps)
