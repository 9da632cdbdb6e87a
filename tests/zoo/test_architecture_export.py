"""Every image architecture as an ONNX graph with a dynamic batch: ONNX Runtime and PyTorch give the same logits."""

import numpy as np
import onnxruntime
import pytest
import torch

from sparknn_magic import registry
from sparknn_magic.plugin import ImageInputs

# Each architecture with a shape, and options that make it quick to export; its operations stay.
CASES = {
    "mlp": ((3, 9, 11), {}),
    "lenet5": ((1, 28, 28), {}),
    "compact": ((3, 48, 40), {"width": 8}),
    "vgg-small": ((1, 28, 28), {"width": 8}),
    "resnet8": ((1, 28, 28), {}),
    "resnet20": ((3, 17, 19), {}),
    "resnet56": ((1, 12, 12), {"width": 8}),
    "resnet9": ((1, 28, 28), {"width": 8}),
    "resnet18": ((1, 28, 28), {"width": 16}),
    "resnet34": ((3, 70, 66), {"width": 8}),
    "resnet50": ((3, 32, 32), {"width": 8}),
    "mobilenet_v2": ((1, 28, 28), {"width": 0.35}),
    "densenet-small": ((1, 28, 28), {"depth": 16}),
    "convnext-atto": ((1, 28, 28), {"width": 16}),
    "vit-tiny": ((3, 30, 26), {"dim": 96, "depth": 2}),  # padded to 32x28
}

# PyTorch's own exporter says this of its own code.
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def trained_a_little(network: torch.nn.Module, x: torch.Tensor) -> torch.nn.Module:
    """Leave the first values: branches that start at zero get weight, and BatchNorm has seen pictures."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0  # one batch is enough
        network.train()(x)
    return network.eval()


@pytest.mark.parametrize("name", CASES)
def test_onnx_runtime_agrees_with_pytorch_for_one_row_and_for_seven(name):
    shape, options = CASES[name]
    network = registry.get("architecture", name).build(ImageInputs(*shape), 10, **options)
    network = trained_a_little(network, torch.randn(16, *shape))

    program = torch.onnx.export(
        network,
        (torch.randn(2, *shape),),
        input_names=["pixels"],
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), session_options)

    assert session.get_inputs()[0].shape == ["batch", *shape]
    for rows in (1, 7):
        x = torch.randn(rows, *shape)
        with torch.no_grad():
            expected = network(x).numpy()
        (logits,) = session.run(None, {"pixels": x.numpy()})
        assert logits.shape == (rows, 10)
        assert np.abs(expected).max() > 0.01  # not two networks that agree on zero
        assert np.abs(logits - expected).max() < 1e-4
