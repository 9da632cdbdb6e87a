"""Every vector architecture as an ONNX graph with a dynamic batch: ONNX Runtime and PyTorch give the same outputs."""

import numpy as np
import onnxruntime
import pytest
import torch

from sparknn_magic.plugin import VectorInputs
from tests.zoo.test_vector_architectures import CATEGORIES, MIXED, NUMBERS, SMALL, build, rows, shaken

pytestmark = [
    # PyTorch's own exporter says this of its own code,
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning"),
    # and this of two inputs with one batch axis.
    pytest.mark.filterwarnings("ignore:# The axis name. batch will not be used:UserWarning"),
]


def exported(network: torch.nn.Module, inputs: VectorInputs) -> onnxruntime.InferenceSession:
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        network,
        rows(inputs, 2),
        input_names=["numbers", "codes"],
        dynamo=True,
        dynamic_shapes=({0: batch}, {0: batch}),
        verbose=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("inputs", [NUMBERS, CATEGORIES, MIXED], ids=["numbers", "categories", "mixed"])
def test_onnx_runtime_agrees_with_pytorch_for_one_row_and_for_seven(name, inputs):
    torch.manual_seed(0)
    network = shaken(build(name, inputs)).train()
    network(*rows(inputs, 64))  # BatchNorm has seen rows
    network.eval()
    session = exported(network, inputs)
    for count in (1, 7):
        numbers, codes = rows(inputs, count)
        with torch.no_grad():
            expected = network(numbers, codes).numpy()
        given = {"numbers": numbers.numpy(), "codes": codes.numpy()}
        (found,) = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})
        assert found.shape == (count, 3)
        assert np.abs(expected).max() > 0.01  # not two networks that agree on zero
        assert np.abs(found - expected).max() < 1e-4
