"""Checkpoints: one safetensors file an epoch, under a temporary name until it is whole. Runs on executors."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

NAME = "checkpoint.safetensors"


def save(folder: str, state: dict[str, Any], tensors: dict[str, dict[str, torch.Tensor]]) -> None:
    """Write `state` (JSON) and groups of tensors; a reader sees the old file or the new one, never half of one."""
    path = Path(folder) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = {
        f"{group}/{key}": t.detach().cpu().contiguous() for group, named in tensors.items() for key, t in named.items()
    }
    partial = path.with_name(f"{NAME}.{os.getpid()}.partial")
    save_file(_unshared(flat), partial, metadata={"state": json.dumps(state)})
    os.replace(partial, path)


def load(folder: str) -> tuple[dict[str, Any], dict[str, dict[str, torch.Tensor]]] | None:
    """Return what `save` wrote, or None where there is no checkpoint."""
    path = Path(folder) / NAME
    if not path.exists():
        return None
    tensors: dict[str, dict[str, torch.Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        state = json.loads(file.metadata()["state"])
        for name in file.keys():  # noqa: SIM118 (a safe_open file is not a dict)
            group, _, key = name.partition("/")
            # A copy in memory of torch's own: sums over unaligned numbers differ in the last bits.
            tensors.setdefault(group, {})[key] = file.get_tensor(name).clone()
    return state, tensors


def remove(folder: str) -> None:
    """Delete the checkpoint of a run that is finished."""
    (Path(folder) / NAME).unlink(missing_ok=True)


def _unshared(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors with shared storages copied, which safetensors refuses to write twice."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        pointer = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    return result


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return the optimizer's state: plain values for JSON, and named tensors: `0.exp_avg`, `0.old_dirs.3`, ...

    A list (of L-BFGS' last steps) is there with its length, so that its tensors find their places again.
    """
    known = optimizer.state_dict()
    plain: dict[str, Any] = {}
    tensors: dict[str, torch.Tensor] = {}
    for index, values in known["state"].items():
        for key, value in values.items():
            name = f"{index}.{key}"
            if isinstance(value, torch.Tensor):
                tensors[name] = value
            elif isinstance(value, list):
                plain[name] = {"list": len(value)}
                tensors |= {f"{name}.{n}": each for n, each in enumerate(value) if each is not None}
            else:
                plain[name] = value
    return plain, tensors


def restore_optimizer(
    optimizer: torch.optim.Optimizer, plain: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> None:
    """Put back what `optimizer_state` returned."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in plain.items():
        index, _, key = name.partition(".")
        listed = isinstance(value, dict)
        state.setdefault(int(index), {})[key] = [None] * value["list"] if listed else value
    for name, tensor in tensors.items():
        index, key, *place = name.split(".")
        values = state.setdefault(int(index), {})
        if place:
            values[key][int(place[0])] = tensor
        else:
            values[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
