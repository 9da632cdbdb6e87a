"""Every text architecture as an ONNX graph in which batch and length are free: ONNX Runtime and PyTorch agree."""

import numpy as np
import onnxruntime
import pytest
import torch

from sparknn_magic.plugin import TextInputs
from tests.zoo.texts import INPUTS, WORDS, build, rows, shaken

pytestmark = [
    # PyTorch's own exporter says this of its own code,
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    # and this of two inputs with the same axes.
    pytest.mark.filterwarnings("ignore:# The axis name. (batch|length) will not be used:UserWarning"),
]
CASES = [
    ("fasttext", {"min_n": 1, "word_ngrams": 3}, None),
    ("fasttext", {}, WORDS),  # every token is a word
    ("textcnn", {"widths": (1, 2, 5)}, None),
    ("bilstm", {"pooling": "last", "depth": 2}, None),
    ("bilstm", {"pooling": "max"}, None),
    ("bilstm", {"pooling": "mean"}, None),
    ("gru_attention", {}, None),
    ("text_transformer", {}, None),
]


def exported(network: torch.nn.Module, inputs: TextInputs) -> onnxruntime.InferenceSession:
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    program = torch.onnx.export(
        network,
        rows(inputs, [5, 9, 7]),
        input_names=["input_ids", "attention_mask"],
        dynamo=True,
        dynamic_shapes=(axes, axes),
        verbose=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options)


@pytest.mark.parametrize(("name", "options", "inputs"), CASES)
def test_onnx_runtime_agrees_with_pytorch_at_every_other_size(name, options, inputs):
    torch.manual_seed(0)
    inputs = inputs or INPUTS[name]
    network = shaken(build(name, inputs=inputs, **options)).eval()
    session = exported(network, inputs)

    assert [given.shape for given in session.get_inputs()] == [["batch", "length"]] * 2
    for lengths in ([1], [2], [2, 1], [24], [3, 11, 24, 1, 8, 2, 5]):
        ids, mask = rows(inputs, lengths, seed=len(lengths))
        with torch.no_grad():
            expected = network(ids, mask).numpy()
        (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        assert found.shape == (len(lengths), 3)
        assert np.abs(expected).max() > 0.01  # not two networks that agree on zero
        assert np.abs(found - expected).max() < 1e-4
