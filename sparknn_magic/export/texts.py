"""A network of texts -> its ONNX file, and both engines on real rows of several lengths. Needs torch; no Spark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from sparknn_magic.export.graph import CLASSIFICATION, IDS, MASK, TextClassifier, export_onnx

EXAMPLE = (2, 8)  # rows and tokens
BATCH = 64


def export_texts(model: TextClassifier, length: int, path: Path, metadata: Mapping[str, Any]) -> int:
    """Write the model with dynamic axes for batch and length to `path`; return its opset.

    Raises: ExportError as `export_onnx` does.
    """
    size = (EXAMPLE[0], min(length, EXAMPLE[1]))
    example = {IDS: torch.ones(size, dtype=torch.int64), MASK: torch.ones(size, dtype=torch.int64)}
    return export_onnx(model, example, CLASSIFICATION, path, metadata, length=length)


def run_both(
    model: TextClassifier, path: Path, tokens: Sequence[np.ndarray], pad: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities float32[rows, K] of PyTorch and of ONNX Runtime, in the order of the rows.

    `tokens` are the ids of each row. Batches differ in rows and in length: the first row goes alone, so that an axis
    that was fixed by mistake shows, and PyTorch pads all rows to one length, so that padding that leaks shows too.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    longest = max(len(row) for row in tokens)
    here, there = [], []
    for begin in [0, *range(1, len(tokens), BATCH)]:
        rows = tokens[begin : begin + (1 if begin == 0 else BATCH)]
        inputs = _padded(rows, pad, max(len(row) for row in rows))
        there.append(session.run(CLASSIFICATION[:1], inputs)[0])
        with torch.inference_mode():
            whole = [torch.from_numpy(array) for array in _padded(rows, pad, longest).values()]
            here.append(model(*whole)[0].numpy())
    return np.concatenate(here), np.concatenate(there)


def _padded(rows: Sequence[np.ndarray], pad: int, length: int) -> dict[str, np.ndarray]:
    ids = np.full((len(rows), length), pad, np.int64)
    for n, row in enumerate(rows):
        ids[n, : len(row)] = row
    return {IDS: ids, MASK: (ids != pad).astype(np.int64)}
