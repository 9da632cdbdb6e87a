"""Every layer as ONNX with a dynamic batch: ONNX Runtime and PyTorch give the same numbers for 1 row and for 7."""

import re

import numpy as np
import onnxruntime
import pytest
import torch

from sparknn_magic import registry
from sparknn_magic.export.graph import export_onnx
from sparknn_magic.plugin import ImageInputs, VectorInputs
from tests.zoo.layer_lists import network

PICTURES = ImageInputs(3, 17, 14)
# A family of layers a list.
LISTS = {
    "convolutions": """
        - conv2d: {filters: 6, kernel: 4, stride: 2, padding: same, activation: gelu}
        - separable_conv2d: {filters: 8, padding: same}
        - depthwise_conv2d: {multiplier: 2, padding: 1}
        - conv_transpose2d: {filters: 5, kernel: 3, padding: same}
        - zero_pad2d: [1, 0, 2, 1]
        - upsample: {factor: [1, 2], mode: bilinear}
        - upsample
        - flatten
        - dense
        """,
    "pooling": """
        - conv2d: 6
        - parallel:
          - - max_pool2d: {size: 3, stride: 2, padding: same}
            - avg_pool2d: {size: 2, stride: 1, padding: same}
            - adaptive_avg_pool2d: [3, 2]
          - - avg_pool2d
            - max_pool2d
            - adaptive_max_pool2d: [3, 2]
        - reshape: [12, 6]
        - conv1d: {filters: 7, kernel: 2, padding: same, activation: relu}
        - parallel:
          - - max_pool1d: {padding: same}
            - avg_pool1d: {size: 3, stride: 1, padding: 1}
            - adaptive_avg_pool1d: 4
          - adaptive_max_pool1d: 4
        - parallel: [global_avg_pool1d, global_max_pool1d]
        - dense
        """,
    "global pooling": "- conv2d: 8\n- parallel: [global_avg_pool2d, global_max_pool2d]\n- dense\n",
    "norms": """
        - conv2d: 8
        - batch_norm
        - layer_norm
        - group_norm: 4
        - instance_norm
        - spatial_dropout: 0.2
        - reshape: [15, -1]
        - batch_norm
        - layer_norm
        - group_norm: 4
        - instance_norm
        - flatten
        - batch_norm
        - dropout
        - dense
        """,
    "activations": """
        - parallel: [relu, relu6, leaky_relu, prelu, elu, selu, gelu, silu, swish, mish, tanh, sigmoid]
        - parallel: [softplus, softsign, hardswish, hardsigmoid, softmax, {gelu: true}]
        - adaptive_avg_pool2d: 2
        - reshape: [-1, 4]
        - prelu
        - softmax
        - flatten
        - dense
        """,
    "lstm": """
        - reshape: [17, -1]
        - lstm: {units: 6, bidirectional: true, return_sequences: true}
        - lstm: 5
        - dense
        """,
    "gru": """
        - reshape: [17, -1]
        - gru: {units: 6, layers: 2, bidirectional: true, return_sequences: true}
        - gru: {units: 5, bidirectional: true}
        - dense
        """,
    "attention": """
        - conv2d: {filters: 12, kernel: 5, stride: 4}
        - reshape: [12, -1]
        - permute: [2, 1]
        - positional_embedding
        - positional_embedding: sinusoidal
        - residual: [layer_norm, attention: 3]
        - repeat: {times: 2, layers: [transformer_encoder: {heads: 2, hidden: 16}]}
        - global_avg_pool1d
        - dense
        """,
    "embedding": "- flatten\n- embedding: {vocabulary: 4, dim: 3}\n- lstm: 4\n- dense\n",
    "ngram_embedding": "- flatten\n- ngram_embedding: {dim: 6, buckets: 50}\n- global_avg_pool1d\n- dense\n",
    "blocks": """
        - residual: {layers: [{conv2d: {filters: 8, stride: 2, padding: same}}, relu], shortcut: projection}
        - repeat: {times: 2, layers: [{residual: [{conv2d: {filters: 8, padding: same}}, batch_norm, relu]}]}
        - parallel: {branches: [[{conv2d: {filters: 8, kernel: 1}}], []], merge: add}
        - flatten
        - dense
        """,
}

# PyTorch's own exporter says these of its own code.
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def agree(module, make, path):
    """Export, then compare both engines on batches that the export has not seen."""
    module.eval()
    names = [f"input{n}" for n in range(len(make(2)))]
    export_onnx(module, dict(zip(names, make(2), strict=True)), ["logits"], path, {})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for rows in (1, 7):
        fields = make(rows)
        with torch.no_grad():
            expected = module(*fields).numpy()
        (found,) = session.run(None, {name: x.numpy() for name, x in zip(names, fields, strict=True)})
        assert found.shape == expected.shape == (rows, 10)
        assert np.abs(expected).max() > 0.01  # not two networks that agree on zero
        assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("family", LISTS)
def test_onnx_runtime_agrees_with_pytorch(family, tmp_path):
    net = network(LISTS[family], PICTURES)
    shape = (PICTURES.channels, PICTURES.height, PICTURES.width)

    def pictures(rows):
        if "embedding" in family:
            return [torch.randint(0, 4, (rows, *shape)).float()]
        return [torch.randn(rows, *shape)]

    with torch.no_grad():
        net.train()(*pictures(16))  # running statistics other than 0 and 1
    agree(net, pictures, tmp_path / "model.onnx")


def test_a_list_for_columns_exports_with_both_inputs(tmp_path):
    inputs = VectorInputs(numbers=3, categories=(4, 5), embedded=(0, 2))
    net = network("- dense: 8\n- batch_norm\n- relu\n- dense\n", inputs)

    def columns(rows):
        codes = torch.stack([torch.randint(0, count, (rows,)) for count in inputs.categories], 1)
        return [torch.randn(rows, 3), codes]

    agree(net, columns, tmp_path / "model.onnx")


def test_every_layer_is_in_one_of_the_lists():
    written = set(re.findall(r"[a-z_0-9]+", " ".join(LISTS.values())))
    built_in = [n for n in registry.names("layer") if registry.get("layer", n).ref.startswith("sparknn_zoo.")]
    assert [name for name in built_in if name not in written] == []
