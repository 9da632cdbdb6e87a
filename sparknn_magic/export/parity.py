"""A model is published only when ONNX Runtime and PyTorch agree on real rows. Needs torch and onnxruntime; no Spark."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from sparknn_magic.errors import ExportError

TOLERANCE = 1e-3  # of a probability, or of a standard deviation of the numbers learnt; in float32
VECTOR_TOLERANCE = 1e-4  # of a component of a vector of length 1
BATCH = 64


def run_torch(function: Callable[..., Any], inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the first output of a module (or of a function of tensors) for all rows, in batches of two sizes."""
    found = []
    with torch.inference_mode():
        for batch in _batches(inputs):
            outputs = function(*(torch.from_numpy(values.copy()) for values in batch.values()))
            first: Tensor = outputs if isinstance(outputs, Tensor) else outputs[0]
            found.append(first.numpy())
    return np.concatenate(found)


def run_onnx(path: Path, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the first output of a model file for all rows, in batches of two sizes, on a CPU."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    first = session.get_outputs()[0].name
    return np.concatenate([session.run([first], batch)[0] for batch in _batches(inputs)])


def _batches(inputs: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    rows = len(next(iter(inputs.values())))
    # The first row goes alone: a batch axis that was fixed by mistake shows here.
    for begin, end in pairwise([0, *range(1, rows, BATCH), rows]):
        yield {name: values[begin:end] for name, values in inputs.items()}


def compare_probabilities(torch_BK: np.ndarray, onnx_BK: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Compare float32[N, K] of both engines, with the class numbers int64[N].

    Returns rows, the largest difference of a probability, the number of changed decisions, and both accuracies.
    Raises: ExportError where a probability differs by more than `TOLERANCE`.
    """
    decisions = torch_BK.argmax(1), onnx_BK.argmax(1)
    found = _found(torch_BK, onnx_BK) | {
        "changed_decisions": int((decisions[0] != decisions[1]).sum()),
        "accuracy_torch": float((decisions[0] == labels).mean()),
        "accuracy_onnx": float((decisions[1] == labels).mean()),
    }
    _require(found, f"in a probability ({found['changed_decisions']} of {len(labels)} decisions changed)")
    return found


def compare_numbers(torch_B: np.ndarray, onnx_B: np.ndarray, values: np.ndarray, std: float) -> dict[str, Any]:
    """Compare float[N] of both engines, with the true values float[N] and their standard deviation.

    Returns rows, the largest difference in standard deviations, and both mean absolute errors in the label's units.
    Raises: ExportError where a number differs by more than `TOLERANCE` standard deviations.
    """
    found = _found(torch_B / std, onnx_B / std) | {
        "mae_torch": float(np.abs(torch_B - values).mean()),
        "mae_onnx": float(np.abs(onnx_B - values).mean()),
    }
    _require(found, "standard deviations in a prediction")
    return found


def compare_vectors(torch_BD: np.ndarray, onnx_BD: np.ndarray) -> dict[str, Any]:
    """Compare vectors of length 1, float32[N, D], of both engines.

    Returns rows, the largest difference of a component, and the least cosine of a row's two vectors.
    Raises: ExportError where a component differs by more than `VECTOR_TOLERANCE`.
    """
    cosine = (torch_BD.astype(np.float64) * onnx_BD).sum(1)
    found = _found(torch_BD, onnx_BD) | {"tolerance": VECTOR_TOLERANCE, "least_cosine": float(cosine.min())}
    _require(found, "in a component of a vector")
    return found


def _found(here: np.ndarray, there: np.ndarray) -> dict[str, Any]:
    return {
        "rows": len(here),
        "max_difference": float(np.abs(here - there).max()),
        "tolerance": TOLERANCE,
        "onnxruntime": onnxruntime.__version__,
    }


def _require(found: Mapping[str, Any], where: str) -> None:
    if not found["max_difference"] <= found["tolerance"]:
        raise ExportError(
            f"ONNX Runtime and PyTorch differ by {found['max_difference']:.2g} {where}; "
            f"at most {found['tolerance']:g} is allowed.",
            hint="Nothing was published. An operator of this architecture is exported wrongly.",
        )
