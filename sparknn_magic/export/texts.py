"""A network of texts -> its ONNX file, and both engines on real rows of several lengths. Needs torch; no Spark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from sparknn_magic.export.graph import CLASSIFICATION, IDS, MASK, export_onnx

EXAMPLE = (2, 8)  # rows and tokens
BATCH = 64
EMBEDDING = ("embedding", "features")


class TextEmbedder(nn.Module):
    """A network that encodes and pools texts -> embedding float32[B, D] of length 1, features float32[B, D].

    The features are the pooled vectors as they are.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network: Any = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """int64[B, T], int64[B, T] -> the two outputs."""
        hidden_BTD = self.network.encode(input_ids, attention_mask)
        features_BD = self.network.pool(hidden_BTD, attention_mask).float()
        return nn.functional.normalize(features_BD, dim=1), features_BD


def export_texts(
    model: nn.Module, length: int, path: Path, metadata: Mapping[str, Any], outputs: Sequence[str] = CLASSIFICATION
) -> int:
    """Write the model with dynamic axes for batch and length to `path`; return its opset.

    `outputs` names what it returns. Raises: ExportError as `export_onnx` does.
    """
    size = (EXAMPLE[0], min(length, EXAMPLE[1]))
    example = {IDS: torch.ones(size, dtype=torch.int64), MASK: torch.ones(size, dtype=torch.int64)}
    return export_onnx(model, example, outputs, path, metadata, length=length)


def run_both(model: nn.Module, path: Path, tokens: Sequence[np.ndarray], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first output, float32[rows, K], of PyTorch and of ONNX Runtime, in the order of the rows.

    `tokens` are the ids of each row. Batches differ in rows and in length: the first row goes alone, so that an axis
    that was fixed by mistake shows, and PyTorch pads all rows to one length, so that padding that leaks shows too.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    first = session.get_outputs()[0].name
    longest = max(len(row) for row in tokens)
    here, there = [], []
    for begin in [0, *range(1, len(tokens), BATCH)]:
        rows = tokens[begin : begin + (1 if begin == 0 else BATCH)]
        inputs = padded(rows, pad, max(len(row) for row in rows))
        there.append(session.run([first], inputs)[0])
        with torch.inference_mode():
            whole = [torch.from_numpy(array) for array in padded(rows, pad, longest).values()]
            here.append(model(*whole)[0].numpy())
    return np.concatenate(here), np.concatenate(there)


def padded(rows: Sequence[np.ndarray], pad: int, length: int) -> dict[str, np.ndarray]:
    """Return `input_ids` and `attention_mask` int64[rows, length] of rows of token ids."""
    ids = np.full((len(rows), length), pad, np.int64)
    for n, row in enumerate(rows):
        ids[n, : len(row)] = row
    return {IDS: ids, MASK: (ids != pad).astype(np.int64)}
