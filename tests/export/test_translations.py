"""What an operator that the exporter has no words for comes to in ONNX: run there, and compared with torch."""

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from sparknn_magic.export.graph import _quiet
from sparknn_magic.export.translations import translations


class AllTrue(nn.Module):
    """Whether all numbers of a batch are above 0, as `torch._check_tensor_all` asks."""

    def forward(self, x):
        """float32[B, 3] -> bool[]."""
        return torch.ops.aten._is_all_true(x > 0)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "all_true.onnx"
    axes = ({0: torch.export.Dim("batch", min=0)},)
    options = {"dynamo": True, "dynamic_shapes": axes, "custom_translation_table": translations()}
    with _quiet():
        torch.onnx.export(AllTrue(), (torch.ones(2, 3),), **options).save(path)
    onnx.checker.check_model(str(path), full_check=True)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (torch.ones(4, 3), True),
        (torch.tensor([[1.0, 1, 1], [1, -1, 1]]), False),
        (torch.tensor([[1.0, 1, 1], [1, 1, 0]]), False),
        (-torch.ones(1, 3), False),
        (torch.ones(0, 3), True),
    ],
    ids=["all", "not one in the middle", "not the last", "none", "nothing at all"],
)
def test_whether_all_is_true_is_what_torch_says(session, values, expected):
    here = AllTrue()(values)
    (there,) = session.run(None, {session.get_inputs()[0].name: values.numpy()})
    assert (there.dtype, there.shape) == (bool, ())
    assert bool(there) is bool(here) is expected
