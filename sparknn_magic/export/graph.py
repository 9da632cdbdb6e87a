"""The trained network -> one ONNX file that other runtimes can use alone. Needs torch; no Spark.

Shape suffixes: B batch, H height, W width, C channels, T tokens, D features, K classes.
"""

import contextlib
import inspect
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as safetensors_load
from torch import Tensor, nn

from sparknn_magic.errors import ExportError
from sparknn_magic.export.translations import translations
from sparknn_magic.training.job import TrainJob
from sparknn_magic.training.network import Network, build_network

IMAGE, FEATURES = "image", "features"
IDS, MASK = "input_ids", "attention_mask"
CLASSIFICATION = ("probabilities", "index", FEATURES)
PRODUCER = "sparknn-magic"


class Classifier(nn.Module):
    """A network of logits -> probabilities float32[B, K], class index int64[B], features float32[B, D].

    The probabilities are those of K classes of which a row has one, or with `several` each class's own.
    """

    def __init__(self, network: nn.Module, *, several: bool = False):
        super().__init__()
        self.network, self.several = network, several
        self.features = Features(network)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8[B, H, W, C] -> the three outputs; `image` is the ONNX input's name."""
        return self.answer(image)

    def answer(self, *fields: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the three outputs for what the network takes."""
        logits_BK, features_BD = self.features.run(*fields)
        logits_BK = logits_BK.float()
        probabilities_BK = torch.sigmoid(logits_BK) if self.several else torch.softmax(logits_BK, dim=1)
        return probabilities_BK, probabilities_BK.argmax(dim=1), features_BD


class TextClassifier(Classifier):
    """A network of texts: the architecture's own module, whose two arguments are the file's inputs."""

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """int64[B, T], int64[B, T] -> the three outputs."""
        return self.answer(input_ids, attention_mask)


class Features:
    """Runs a network and catches what its last linear layer is given: the features of a row, float32[B, D].

    A network that ends otherwise (in a convolution, say) has its outputs as features.
    """

    def __init__(self, network: nn.Module):
        self.network = network
        layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
        self.seen: list[Tensor] = []
        if layers:
            layers[-1].register_forward_pre_hook(lambda _, inputs: self.seen.append(inputs[0]))

    def run(self, *fields: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's outputs and the features."""
        self.seen.clear()
        outputs = self.network(*fields)
        found = [x for x in self.seen if x.ndim == 2]
        self.seen.clear()
        return outputs, (found[-1] if found else outputs.reshape(outputs.shape[0], -1)).float()


def trained_network(job: TrainJob, weights: bytes) -> Network:
    """Rebuild the network on the CPU in evaluation mode and give it its trained weights (safetensors bytes)."""
    network = build_network(job)
    network.body.load_state_dict(safetensors_load(weights))
    return network.eval()


def export_onnx(
    model: nn.Module,
    example: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    metadata: Mapping[str, Any],
    *,
    length: int | None = None,
) -> int:
    """Write a module to `path` with a dynamic batch axis and `metadata` (values as JSON); return its opset.

    With `length` the second axis of all inputs is dynamic too, up to this size: tokens of a text.
    `example` has a tensor of two rows or more for each input, by the names that the file gives them and in the order of
    the module's arguments: the exporter takes a batch of 1 for a fixed size.
    Raises: ExportError where the network cannot be traced, or the file does not pass ONNX's checker.
    """
    batch = torch.export.Dim("batch", min=1)
    tokens = {} if length is None else {1: torch.export.Dim("length", min=1, max=length)}
    axes: tuple[Any, ...] = tuple({0: batch, **tokens} for _ in example)
    parameters = inspect.signature(model.forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        axes = (axes,)
    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                tuple(example.values()),
                dynamo=True,
                input_names=[f"input@{i}" for i in range(len(example))],
                output_names=[f"output@{i}" for i in range(len(outputs))],
                dynamic_shapes=axes,
                custom_translation_table=translations(),
                optimize=True,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().split("\n")[0]
        raise ExportError(
            f"the architecture does not export to ONNX: {reason}",
            hint="Its forward must not branch on tensor values, nor on the size of the batch or of a text.",
        ) from error
    assert program is not None
    _register_constants(program.model.graph)
    _give_names(program.model.graph, list(example), list(outputs))
    proto = program.model_proto
    proto.producer_name = PRODUCER
    onnx_metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()}
    _strip_traces(proto)
    return save_checked(proto, path, onnx_metadata)


def _register_constants(graph: Any) -> None:
    """Put constants that the optimizer has made, where it joins two limits of a clip, among the graph's own."""
    known = {*graph.inputs, *graph.initializers.values()}
    for node in graph:
        for value in node.inputs:
            if value is not None and value.producer() is None and value not in known and value.const_value is not None:
                graph.register_initializer(value)
                known.add(value)


def _give_names(graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Name inputs and outputs. Values inside that the exporter gave one of these names (`index`, `add`) get another."""
    from onnx_ir.traversal import RecursiveGraphIterator

    ends = [*graph.inputs, *graph.outputs]
    inside = [value for node in RecursiveGraphIterator(graph) for value in node.outputs if value not in ends]
    for value in [*inside, *graph.initializers.values()]:
        if value.name in (*inputs, *outputs):
            value.name = f"{value.name}@inside"
    for value, name in zip(ends, (*inputs, *outputs), strict=True):
        value.name = name


def save_checked(proto: Any, path: Path, metadata: Mapping[str, str]) -> int:
    """Write a graph with its metadata and have ONNX's checker read it; return its opset. Raises: ExportError."""
    import onnx

    onnx.helper.set_model_props(proto, dict(metadata))
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
