"""A model is published only when ONNX Runtime and PyTorch agree on real rows. Needs torch and onnxruntime; no Spark."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from sparknn_magic.errors import ExportError
from sparknn_magic.export.graph import INPUT, OUTPUTS, Classifier

TOLERANCE = 1e-3  # of a probability, in float32
BATCH = 64


def check_parity(model: Classifier, path: Path, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Compare both engines on uint8[N, H, W, C] and its int64[N] labels, in batches of two sizes.

    Returns rows, the largest difference of a probability, the number of changed decisions, and both accuracies.
    Raises: ExportError where a probability differs by more than `TOLERANCE`, or a decision changes that was not a tie.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    here, there = [], []
    # The first row goes alone: a batch axis that was fixed by mistake shows here.
    cuts = [0, *range(1, len(images), BATCH), len(images)]
    for begin, end in pairwise(cuts):
        batch = images[begin:end].copy()
        with torch.inference_mode():
            here.append(model(torch.from_numpy(batch))[0].numpy())
        there.append(session.run([OUTPUTS[0]], {INPUT: batch})[0])
    torch_BK, onnx_BK = np.concatenate(here), np.concatenate(there)
    found = {
        "rows": len(images),
        "max_difference": float(np.abs(torch_BK - onnx_BK).max()),
        "changed_decisions": int((torch_BK.argmax(1) != onnx_BK.argmax(1)).sum()),
        "accuracy_torch": float((torch_BK.argmax(1) == labels).mean()),
        "accuracy_onnx": float((onnx_BK.argmax(1) == labels).mean()),
        "tolerance": TOLERANCE,
        "onnxruntime": onnxruntime.__version__,
    }
    if not found["max_difference"] <= TOLERANCE:
        raise ExportError(
            f"ONNX Runtime and PyTorch differ by {found['max_difference']:.2g} in a probability "
            f"({found['changed_decisions']} of {len(images)} decisions changed); at most {TOLERANCE:g} is allowed.",
            hint="Nothing was published. An operator of this architecture is exported wrongly.",
        )
    return found
