"""Cells with a list of layers, for tests: text -> the network that it describes."""

import textwrap
from typing import Any

from torch import nn

from sparknn_magic.plugin import ImageInputs
from sparknn_magic.spec import Experiment
from sparknn_magic.spec.resolve import Resolved, resolve

HEAD = "task: image-classification\ndata: {train: products}\nmodel:\n"
DIGITS, COLOUR = ImageInputs(1, 28, 28), ImageInputs(3, 32, 32)

# https://keras.io/examples/vision/mnist_convnet/: 34,826 parameters.
MNIST_CONVNET = """\
- conv2d: {filters: 32, kernel: 3, activation: relu}
- max_pool2d: 2
- conv2d: {filters: 64, kernel: 3, activation: relu}
- max_pool2d: 2
- flatten
- dropout: 0.5
- dense: {units: 10, activation: softmax}
"""


def resolved(layers: str, more: str = "") -> Resolved:
    """Resolve a cell whose model is this list."""
    return resolve(Experiment.parse(HEAD + textwrap.dedent(layers) + more))


def network(layers: str, inputs: Any = DIGITS, outputs: int = 10, more: str = "") -> nn.Module:
    """Build the network of a cell whose model is this list."""
    return resolved(layers, more).model.part.build(inputs, outputs)


def parameters(module: nn.Module) -> int:
    """Count them."""
    return sum(p.numel() for p in module.parameters())
