"""A tiny classifier as ONNX, and the same in numpy: softmax(mean colour @ WEIGHTS)."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sparknn_magic.infer.job import InferJob
from sparknn_magic.plugin import Part

CLASSES = ["red", "green", "blue", "none of them"]
WEIGHTS = np.vstack([np.eye(3), np.zeros(3)]).T.astype(np.float32) / 16  # float32[channels, classes]


def write_model(folder: Path, height: int = 4, width: int = 5) -> Path:
    """Write uint8[N, height, width, 3] -> probabilities float32[N, 4], index int64[N], features float32[N, 3]."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["index"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(CLASSES)]),
            helper.make_tensor_value_info("index", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3]),
        ],
        [numpy_helper.from_array(WEIGHTS, "weights"), numpy_helper.from_array(np.array([1, 2]), "axes")],
    )
    file = folder / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    return file


def probabilities(pictures: np.ndarray) -> np.ndarray:
    """Return what the model gives for uint8[N, H, W, 3], in double precision."""
    logits = pictures.mean(axis=(1, 2), dtype=np.float64) @ WEIGHTS.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def job(file: Path, *, height: int = 4, width: int = 5, shape=None, steps=(), **changed) -> InferJob:
    """Return the job that scores a column of pictures of this size with the model of `write_model`."""
    options = {"steps": list(steps), "height": height, "width": width, "channels": 3, "shape": shape}
    return InferJob(
        digest=hashlib.sha256(file.read_bytes()).hexdigest(),
        read=Part("sparknn_magic.data.worker:image_reader", options),
        write=Part("sparknn_magic.infer.worker:classification_writer", {"classes": CLASSES}),
        **changed,
    )
