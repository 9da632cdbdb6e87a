"""A network of columns -> one ONNX file whose inputs are the raw columns: cleaning, scaling and codes are in its graph.

B batch, F numbers, G categories, D features of the network.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparknn_magic.data.vectors.job import Feature, FittedStep, input_names, number_names
from sparknn_magic.data.vectors.steps import apply_steps, build_steps
from sparknn_magic.export.graph import Classifier, Features, export_onnx, save_checked
from sparknn_magic.plugin import Target

REGRESSION = ("prediction", "features")
LABELS = "ai.onnx.ml"  # the domain of LabelEncoder
LABELS_VERSION = 3
EXAMPLE_ROWS = 2


class Regressor(nn.Module):
    """A network of one standardized number -> prediction float64[B] in the label's units, features float32[B, D]."""

    def __init__(self, network: nn.Module, target: Target):
        super().__init__()
        self.network, self.target = network, target
        self.features = Features(network)

    def answer(self, *fields: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two outputs for what the network takes."""
        outputs_B, features_BD = self.features.run(*fields)
        # In double precision: of labels such as years or timestamps the mean is far larger than the deviation.
        return outputs_B.double() * self.target.std + self.target.mean, features_BD


class OfColumns(nn.Module):
    """Raw columns -> the outputs of a classifier or regressor.

    A number is float[B], an array or vector float[B, width], a category its code, int64[B].
    """

    def __init__(self, model: Classifier | Regressor, features: Sequence[Feature], steps: Sequence[FittedStep]):
        super().__init__()
        self.model, self.columns = model, tuple(features)
        self.steps = build_steps(steps, len(number_names(features)), _tensor)

    def forward(self, *columns: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs."""
        pairs = list(zip(self.columns, columns, strict=True))
        numbers = [x.double().reshape(x.shape[0], -1) for feature, x in pairs if feature.kind != "category"]
        codes = [x for feature, x in pairs if feature.kind == "category"]
        rows = columns[0].shape[0]
        x_BF = torch.cat(numbers, dim=1) if numbers else torch.zeros(rows, 0, dtype=torch.float64)
        codes_BG = torch.stack(codes, dim=1) if codes else torch.zeros(rows, 0, dtype=torch.int64)
        return self.model.answer(apply_steps(torch, x_BF, self.steps).float(), codes_BG)


def export_columns(
    model: Classifier | Regressor,
    features: Sequence[Feature],
    steps: Sequence[FittedStep],
    categories: Sequence[Sequence[str]],
    outputs: Sequence[str],
    path: Path,
    metadata: Mapping[str, Any],
) -> int:
    """Write the network with its steps to `path`; return its opset.

    `categories` are the values of each categorical column, in the order of codes 1, 2, ...: the file takes texts, and
    every other text is code 0. Raises: ExportError as `export_onnx` does.
    """
    import onnx

    names = input_names(features)
    example = {name: _example(feature) for name, feature in zip(names, features, strict=True)}
    opset = export_onnx(OfColumns(model, features, steps).eval(), example, outputs, path, metadata)
    texts = [name for name, feature in zip(names, features, strict=True) if feature.kind == "category"]
    if not texts:
        return opset
    proto = onnx.load(path)
    said = {prop.key: prop.value for prop in proto.metadata_props}
    _take_texts(proto, dict(zip(texts, categories, strict=True)))
    return save_checked(proto, path, said)


def _tensor(values: Sequence[float]) -> Tensor:
    return torch.from_numpy(np.asarray(values))  # float64, where torch.tensor makes float32


def _example(feature: Feature) -> Tensor:
    if feature.kind == "category":
        return torch.zeros(EXAMPLE_ROWS, dtype=torch.int64)
    shape = (EXAMPLE_ROWS,) if feature.kind == "number" else (EXAMPLE_ROWS, feature.width)
    return torch.zeros(shape, dtype=torch.float32 if feature.single else torch.float64)


def _take_texts(proto: Any, categories: Mapping[str, Sequence[str]]) -> None:
    """Let the graph take texts for its inputs of codes, by a table in front of each."""
    from onnx import TensorProto, helper

    graph = proto.graph
    nodes = []
    for value in graph.input:
        if value.name not in categories:
            continue
        name, code = value.name, f"{value.name}/code"
        for node in graph.node:
            node.input[:] = [code if each == name else each for each in node.input]
        value.type.tensor_type.elem_type = TensorProto.STRING
        # The empty table is none for ONNX Runtime; code 0 is what any other text has.
        keys = list(categories[name]) or [""]
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [name],
                [code],
                name=f"{name}/table",
                domain=LABELS,
                keys_strings=keys,
                values_int64s=list(range(1, len(keys) + 1)) if categories[name] else [0],
                default_int64=0,
            )
        )
    front = [*nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(front)
    proto.opset_import.append(helper.make_opsetid(LABELS, LABELS_VERSION))
