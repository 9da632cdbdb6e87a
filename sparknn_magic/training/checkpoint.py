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
            tensors.setdefault(group, {})[key] = file.get_tensor(name)
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


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimizer's state as named tensors: `0.exp_avg`, `0.step`, ..."""
    found = {}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if value is not None:
                found[f"{index}.{key}"] = torch.as_tensor(value)
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what `optimizer_tensors` returned."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
