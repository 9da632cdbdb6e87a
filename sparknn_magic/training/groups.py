"""The parameters, in the groups that an optimizer is told. Runs on executors, and on the driver to try an optimizer."""

from collections.abc import Sequence
from typing import Any

from torch import nn


def parameter_groups(body: nn.Module, later: Sequence[nn.Parameter] = ()) -> list[dict[str, Any]]:
    """Return torch's parameter groups of a network; what learns only `later` is in groups of its own.

    Biases and normalization scales are not decayed (He et al. 2019, Bag of Tricks, sec. 3.1). `hidden` marks the
    matrices and kernels between the first and the last layer, which some optimizers treat in a way of their own;
    `sparse` the tables whose gradients have the batch's rows alone.
    """
    hidden, sparse, waiting = _hidden(body), _sparse(body), {id(p) for p in later}
    groups: dict[tuple[bool, bool, bool, bool], list[nn.Parameter]] = {}
    for p in body.parameters():
        if p.requires_grad:
            # Apart, because torch's fused optimizers cannot have parameters in one group of which some have no past.
            key = id(p) not in waiting, id(p) in hidden, p.ndim > 1, id(p) in sparse
            groups.setdefault(key, []).append(p)
    return [
        {"params": found, "hidden": inner, "sparse": table} | ({} if decayed else {"weight_decay": 0.0})
        for (_, inner, decayed, table), found in sorted(groups.items(), reverse=True, key=lambda item: item[0])
    ]


def _hidden(body: nn.Module) -> set[int]:
    """Return the ids of the weights that map one hidden layer to the next."""
    layers = [w for m in body.modules() if isinstance(w := getattr(m, "weight", None), nn.Parameter) and w.ndim >= 2]
    outer = {id(w) for w in (*layers[:1], *layers[-1:])}
    tables = {id(m.weight) for m in body.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    # A row or a column alone (a position, a scale of each channel) maps nothing.
    wide = [p for p in body.parameters() if p.ndim >= 2 and 1 < len(p) < p.numel()]
    return {id(p) for p in wide} - outer - tables


def _sparse(body: nn.Module) -> set[int]:
    tables = (m for m in body.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag))
    return {id(m.weight) for m in tables if m.sparse}
