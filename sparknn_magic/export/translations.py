"""PyTorch operators that the ONNX exporter has no words for, and what they are in ONNX. Needs torch and onnxscript."""

from collections.abc import Callable
from typing import Any

import torch


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return, for `torch.onnx.export(custom_translation_table=...)`, functions that give an operator's ONNX nodes.

    `aten::_is_all_true` is what `torch._check_tensor_all` is traced to: checks of shapes in detectors of transformers.
    """
    import onnxscript
    from onnxscript import opset18

    op: Any = opset18  # its annotations are those of single operators, which no chain of them fits

    def is_all_true(condition: onnxscript.BOOL) -> onnxscript.BOOL:
        """bool of any shape -> bool, whether all of it is true: the least of it as numbers; of nothing, too."""
        numbers = op.Reshape(op.Cast(condition, to=onnxscript.INT64.dtype), op.Constant(value_ints=[-1]))
        return op.Cast(op.ReduceMin(numbers, keepdims=0), to=onnxscript.BOOL.dtype)

    return {torch.ops.aten._is_all_true.default: is_all_true}
