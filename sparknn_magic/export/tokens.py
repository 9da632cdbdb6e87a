"""A network of tags, one for each token of a text -> its ONNX file, and both engines on real rows. Needs torch.

B batch, T tokens, K tags.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from sparknn_magic.export.graph import IDS, MASK, export_onnx
from sparknn_magic.export.texts import BATCH, EXAMPLE, padded

TAGGING = ("probabilities", "index")


class Tagger(nn.Module):
    """A network of logits -> probabilities float32[B, T, K], tag index int64[B, T]."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """int64[B, T], int64[B, T] -> the two outputs; what stands at padding means nothing."""
        probabilities_BTK = torch.softmax(self.network(input_ids, attention_mask).float(), dim=2)
        return probabilities_BTK, probabilities_BTK.argmax(dim=2)


def export_tags(model: Tagger, length: int, path: Path, metadata: Mapping[str, Any]) -> int:
    """Write the model with dynamic axes for batch and length to `path`; return its opset.

    Raises: ExportError as `export_onnx` does.
    """
    size = (EXAMPLE[0], min(length, EXAMPLE[1]))
    example = {IDS: torch.ones(size, dtype=torch.int64), MASK: torch.ones(size, dtype=torch.int64)}
    return export_onnx(model, example, TAGGING, path, metadata, length=length)


def run_both(model: Tagger, path: Path, tokens: Sequence[np.ndarray], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities float32[N, K] of PyTorch and of ONNX Runtime for all tokens of all rows, in their order.

    `tokens` are the ids of each row. Batches are as in `texts.run_both`.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    longest = max(len(row) for row in tokens)
    here, there = [], []
    for begin in [0, *range(1, len(tokens), BATCH)]:
        rows = tokens[begin : begin + (1 if begin == 0 else BATCH)]
        inputs, whole = (padded(rows, pad, length) for length in (max(len(row) for row in rows), longest))
        with torch.inference_mode():
            of_torch = model(*(torch.from_numpy(array) for array in whole.values()))[0].numpy()
        of_onnx = session.run(TAGGING[:1], inputs)[0]
        for n, row in enumerate(rows):
            here.append(of_torch[n, : len(row)])
            there.append(of_onnx[n, : len(row)])
    return np.concatenate(here), np.concatenate(there)
