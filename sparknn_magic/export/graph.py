"""The trained network -> one ONNX file that other runtimes can use alone. Needs torch; no Spark.

Shape suffixes: B batch, H height, W width, C channels, K classes.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as safetensors_load
from torch import Tensor, nn

from sparknn_magic.errors import ExportError
from sparknn_magic.training.job import TrainJob
from sparknn_magic.training.network import PixelNetwork, build_network

INPUT, OUTPUTS = "image", ("probabilities", "index")
EXAMPLE_ROWS = 2  # the exporter takes an example batch of 1 for a fixed size
PRODUCER = "sparknn-magic"


class Classifier(nn.Module):
    """uint8[B, H, W, C] -> probabilities float32[B, K], class index int64[B]."""

    def __init__(self, network: PixelNetwork):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and the index of the largest; `image` is the ONNX input's name."""
        probabilities_BK = torch.softmax(self.network(image).float(), dim=1)
        return probabilities_BK, probabilities_BK.argmax(dim=1)


def trained_classifier(job: TrainJob, weights: bytes) -> Classifier:
    """Rebuild the network on the CPU in evaluation mode and give it its trained weights (safetensors bytes)."""
    network = build_network(job)
    network.body.load_state_dict(safetensors_load(weights))
    return Classifier(network).eval()


def export_onnx(model: Classifier, job: TrainJob, path: Path, metadata: Mapping[str, Any]) -> int:
    """Write the classifier to `path` with a dynamic batch axis and `metadata` (values as JSON); return its opset.

    Raises: ExportError where the network cannot be traced, or the file does not pass ONNX's checker.
    """
    import onnx

    inputs = job.rows.inputs
    example = torch.zeros(EXAMPLE_ROWS, inputs.height, inputs.width, inputs.channels, dtype=torch.uint8)
    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1)}},
                optimize=True,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().split("\n")[0]
        raise ExportError(
            f"the architecture does not export to ONNX: {reason}",
            hint="Its forward must not branch on tensor values, nor on the batch size.",
        ) from error
    assert program is not None
    proto = program.model_proto
    proto.producer_name = PRODUCER
    onnx.helper.set_model_props(proto, {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()})
    _strip_traces(proto)
    onnx.save(proto, path)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported file does not pass ONNX's checker: {str(error).splitlines()[0]}") from error
    return next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))


def _strip_traces(proto: Any) -> None:
    """Remove the exporter's notes: Python stack traces with this machine's paths, larger than a small network."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]
    for function in proto.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own progress lines and its dependencies' deprecation warnings out of the user's cell."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
