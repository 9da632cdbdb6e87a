"""The parameters, in the groups that an optimizer is told. Runs on executors, and on the driver to try an optimizer."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from sparknn_magic.errors import SpecError

BLOCK = re.compile(r"(?:^|\.)(?:layers?|blocks?)\.(\d+)\.")  # the name of what is in a numbered block


def parameter_groups(
    body: nn.Module, later: Sequence[nn.Parameter] = (), layer_decay: float | None = None
) -> list[dict[str, Any]]:
    """Return torch's parameter groups of a network; what learns only `later` is in groups of its own.

    Biases and normalization scales are not decayed (He et al. 2019, Bag of Tricks, sec. 3.1). `hidden` marks the
    matrices and kernels between the first and the last layers, which some optimizers treat in a way of their own;
    `sparse` the tables whose gradients have the batch's rows alone. With `layer_decay` there is `scale`, by which
    `base_rates` multiplies a group's learning rate.
    Raises: SpecError as `layer_scales` does.
    """
    hidden, sparse, waiting = _hidden(body), _sparse(body), {id(p) for p in later}
    scales = layer_scales(body, layer_decay) if layer_decay is not None else {}
    groups: dict[tuple[bool, float, bool, bool, bool], list[nn.Parameter]] = {}
    for name, p in body.named_parameters():
        if p.requires_grad:
            # Apart, because torch's fused optimizers cannot have parameters in one group of which some have no past.
            key = id(p) not in waiting, scales.get(name, 1.0), id(p) in hidden, p.ndim > 1, id(p) in sparse
            groups.setdefault(key, []).append(p)
    return [
        {"params": found, "hidden": inner, "sparse": table}
        | ({} if decayed else {"weight_decay": 0.0})
        | ({} if layer_decay is None else {"scale": scale})
        for (_, scale, inner, decayed, table), found in sorted(groups.items(), reverse=True, key=lambda item: item[0])
    ]


def layer_scales(body: nn.Module, decay: float) -> dict[str, float]:
    """Return for each parameter's name what its learning rate is multiplied by.

    1 behind the numbered blocks (`layers.0`, `encoder.layer.0`, `blocks.0`, ...), `decay` in the last block, its square
    in the one before, and so on; what stands before the first block, the embeddings, has one power more than that.
    Raises: SpecError where the network has no numbered blocks.
    Source: Howard and Ruder 2018, ULMFiT, sec. 3.2; Clark et al. 2020, ELECTRA, appendix B.
    """
    names = [name for name, _ in body.named_parameters()]
    blocks = {name: int(found[1]) for name in names if (found := BLOCK.search(name))}
    if not blocks:
        raise SpecError(
            "train.layer_decay needs a network with numbered blocks, such as layers.0 and layers.1.",
            hint="Leave layer_decay out, or take an encoder such as minilm or bert.",
        )
    count = 1 + max(blocks.values())
    scales, scale = {}, decay ** (count + 1)
    for name in names:
        if name in blocks:
            scales[name], scale = decay ** (count - blocks[name]), 1.0
        else:
            scales[name] = scale
    return scales


def base_rates(optimizer: torch.optim.Optimizer, layer_decay: float | None = None) -> list[float]:
    """Return the learning rate of each group where the schedule's factor is 1.

    Raises: SpecError where the optimizer has not kept the groups that have rates of their own.
    """
    groups = optimizer.param_groups
    if layer_decay is not None and not all("scale" in group for group in groups):
        name = type(optimizer).__name__
        raise SpecError(f"{name} has one learning rate for all layers.", hint="Leave train.layer_decay out.")
    return [group["lr"] * group.get("scale", 1.0) for group in groups]


def _hidden(body: nn.Module) -> set[int]:
    """Return the ids of the weights that map one hidden layer to the next: not those that give outputs.

    These are the last one, those in `heads`, and those in `last_layers`.
    """
    layers = [w for m in body.modules() if isinstance(w := getattr(m, "weight", None), nn.Parameter) and w.ndim >= 2]
    outer = {id(w) for w in (*layers[:1], *layers[-1:])}
    named = (*getattr(body, "heads", ()), *getattr(body, "last_layers", ()))
    outer |= {id(w) for name in named for w in body.get_submodule(name).parameters()}
    tables = {id(m.weight) for m in body.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)}
    # A row or a column alone (a position, a scale of each channel) maps nothing.
    wide = [p for p in body.parameters() if p.ndim >= 2 and 1 < len(p) < p.numel()]
    return {id(p) for p in wide} - outer - tables


def _sparse(body: nn.Module) -> set[int]:
    tables = (m for m in body.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag))
    return {id(m.weight) for m in tables if m.sparse}
