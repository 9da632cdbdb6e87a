"""The graph of networks that are built: of a list of layers, of an architecture, of what takes several inputs."""

import pytest
import torch
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import DetectionInputs, ImageInputs, TextInputs, VectorInputs
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve
from sparknn_magic.tracing import MOST, follow

PICTURES = ImageInputs(3, 16, 16)
CELL = """\
task: image-classification
data: {train: t}
model:
- conv2d: {filters: 8, kernel: 3, padding: same}
- residual:
  - conv2d: {filters: 8, kernel: 3, padding: same}
  - relu
- parallel:
  - - conv2d: {filters: 4, kernel: 1}
  - - max_pool2d: {size: 3, stride: 1, padding: 1}
- global_avg_pool2d
- dense
"""


def named(graph):
    """Return for each block's name the names of those that it takes."""
    return {block.name: [graph.blocks[n].name for n in block.inputs] for block in graph.blocks}


def test_a_list_of_layers_has_its_shortcuts_branches_shapes_and_parameters():
    network = resolve(Experiment.parse(CELL)).model.part.build(PICTURES, 10)
    graph = follow(network, PICTURES, title="mine")
    blocks, edges = {block.name: block for block in graph.blocks}, named(graph)
    (first,) = (block.name for block in graph.blocks if not block.inputs)
    assert edges["conv2d"] == [first]
    assert blocks["conv2d"].parameters == 3 * 8 * 9 + 8
    assert blocks["conv2d"].shape == ("?", 8, 16, 16)
    assert sorted(edges["add"]) == ["conv2d", "residual.layers.relu"]
    branches = ["parallel.branches.0.conv2d", "parallel.branches.1.max_pool2d"]
    assert edges["cat"] == branches
    assert edges[branches[0]] == edges[branches[1]] == ["add"]
    assert blocks["cat"].shape == ("?", 12, 16, 16)
    assert blocks["dense"].shape == ("?", 10)
    assert sum(block.parameters for block in graph.blocks) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("resnet18", ImageInputs(3, 32, 32)),
        ("vit-tiny", ImageInputs(3, 32, 32)),
        ("bilstm", TextInputs(50, 12, separator=3)),
        ("text_transformer", TextInputs(50, 12, separator=3)),
        ("wide_and_deep", VectorInputs(4, (3, 6), (0, 2))),
        ("centernet", DetectionInputs(3, 64, 96)),
    ],
)
def test_networks_of_every_kind_have_a_graph_of_few_blocks_with_all_their_parameters(name, inputs):
    network = registry.get("architecture", name).build(inputs, 3)
    graph = follow(network, inputs, title=name)
    assert 3 < len(graph.blocks) <= MOST + 2
    assert sum(block.parameters for block in graph.blocks) == sum(p.numel() for p in network.parameters())
    assert all(i < n for n, block in enumerate(graph.blocks) for i in block.inputs)
    used = {i for block in graph.blocks for i in block.inputs}
    assert used >= {n for n, block in enumerate(graph.blocks) if not block.inputs}


def test_a_network_that_cannot_be_followed_is_one_line():
    class Choosy(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else torch.zeros_like(x)

    with pytest.raises(SpecError, match="choosy: the network cannot be followed: ") as caught:
        follow(Choosy(), PICTURES, title="choosy")
    assert len(str(caught.value).splitlines()) == 1
