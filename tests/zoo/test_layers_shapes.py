"""Output shapes and parameter counts of the layers, against Keras' documentation and plain PyTorch modules."""

import pytest
import torch
from torch import nn

from sparknn_magic import registry
from sparknn_magic.layers import table
from sparknn_magic.plugin import VectorInputs
from tests.zoo.layer_lists import COLOUR, DIGITS, MNIST_CONVNET, network, parameters


def layer(name, shape, /, **options):
    """Build one layer and return it with the shape of a row that it gives."""
    module = registry.get("layer", name).build(shape, **options)
    with torch.no_grad():
        return module, tuple(module.eval()(torch.zeros(2, *shape)).shape[1:])


def test_the_keras_mnist_convnet_has_the_parameters_that_keras_documents():
    rows = table(network(MNIST_CONVNET))
    assert [(row["name"], row["output"], row["parameters"]) for row in rows] == [
        ("conv2d", [32, 26, 26], 320),
        ("max_pool2d", [32, 13, 13], 0),
        ("conv2d_1", [64, 11, 11], 18_496),
        ("max_pool2d_1", [64, 5, 5], 0),
        ("flatten", [1600], 0),
        ("dropout", [1600], 0),
        ("dense", [10], 16_010),
    ]
    assert sum(row["parameters"] for row in rows) == 34_826


def test_the_convnet_of_tensorflows_cifar_tutorial_has_122_570_parameters():
    # https://www.tensorflow.org/tutorials/images/cnn
    cell = """
    - conv2d: {filters: 32, activation: relu}
    - max_pool2d
    - conv2d: {filters: 64, activation: relu}
    - max_pool2d
    - conv2d: {filters: 64, activation: relu}
    - flatten
    - dense: {units: 64, activation: relu}
    - dense
    """
    net = network(cell, COLOUR)
    assert [row["parameters"] for row in table(net) if row["parameters"]] == [896, 18_496, 36_928, 65_600, 650]
    assert parameters(net) == 122_570


def test_the_perceptron_of_keras_mnist_example_has_669_706_parameters():
    cell = "- flatten\n- dense: 512\n- relu\n- dropout: 0.2\n- dense: 512\n- relu\n- dropout: 0.2\n- dense: 10\n"
    assert parameters(network(cell, DIGITS)) == 669_706


def test_recurrent_layers_have_the_parameters_of_keras_and_a_second_bias_in_lstm():
    # TensorFlow's text generation tutorial: GRU(1024) on 256 features, 3,938,304.
    assert parameters(layer("gru", (5, 256), units=1024)[0]) == 3_938_304
    # Keras' imdb_lstm example: LSTM(128) on 128 features, 131,584.
    assert parameters(layer("lstm", (5, 128), units=128)[0]) == 131_584 + 4 * 128


@pytest.mark.parametrize(
    ("name", "shape", "options", "output", "count"),
    [
        ("conv1d", (10, 3), {"filters": 8}, (8, 8), 3 * 3 * 8 + 8),
        ("conv1d", (10, 3), {"filters": 8, "stride": 2, "padding": "same", "bias": False}, (5, 8), 72),
        ("conv1d", (10, 3), {"filters": 8, "padding": "causal", "dilation": 4}, (10, 8), 80),
        ("conv1d", (10, 4), {"filters": 8, "padding": 1, "groups": 2}, (10, 8), 3 * 2 * 8 + 8),
        ("conv2d", (3, 32, 30), {"filters": 8, "kernel": (3, 5)}, (8, 30, 26), 3 * 15 * 8 + 8),
        ("conv2d", (3, 32, 31), {"filters": 8, "padding": "same"}, (8, 32, 31), 224),
        ("conv2d", (3, 32, 31), {"filters": 8, "padding": "same", "stride": 2}, (8, 16, 16), 224),
        ("conv2d", (3, 32, 31), {"filters": 8, "kernel": 4, "padding": "same"}, (8, 32, 31), 392),
        ("conv2d", (3, 32, 31), {"filters": 8, "padding": (1, 0), "dilation": 2}, (8, 30, 27), 224),
        ("depthwise_conv2d", (3, 32, 32), {}, (3, 30, 30), 30),
        ("depthwise_conv2d", (3, 32, 32), {"multiplier": 2, "padding": "same"}, (6, 32, 32), 60),
        ("separable_conv2d", (32, 8, 8), {"filters": 64, "padding": "same"}, (64, 8, 8), 32 * 9 + 32 * 64 + 64),
        ("conv_transpose2d", (8, 7, 5), {"filters": 4}, (4, 14, 10), 8 * 4 * 4 + 4),
        ("conv_transpose2d", (8, 7, 5), {"filters": 4, "kernel": 3}, (4, 15, 11), 8 * 9 * 4 + 4),
        ("conv_transpose2d", (8, 7, 5), {"filters": 4, "kernel": 3, "padding": "same"}, (4, 14, 10), 292),
        ("conv_transpose2d", (8, 7, 5), {"filters": 4, "kernel": 1, "stride": 3}, (4, 21, 15), 36),
        ("conv_transpose2d", (8, 7, 5), {"filters": 4, "kernel": 4, "padding": 1}, (4, 14, 10), 516),
        ("dense", (12,), {"units": 5}, (5,), 65),
        ("dense", (7, 12), {"units": 5, "bias": False}, (7, 5), 60),
        ("embedding", (7,), {"vocabulary": 100, "dim": 16}, (7, 16), 1600),
        ("ngram_embedding", (7,), {"dim": 16, "buckets": 100}, (7, 16), 1600),
        ("lstm", (7, 12), {"units": 5, "return_sequences": True}, (7, 5), 4 * (5 * 17 + 10)),
        ("lstm", (7, 12), {"units": 5, "bidirectional": True}, (10,), 8 * (5 * 17 + 10)),
        ("gru", (7, 12), {"units": 5, "layers": 2}, (5,), 3 * (5 * 17 + 10) + 3 * (5 * 10 + 10)),
        ("attention", (7, 12), {"heads": 3}, (7, 12), 4 * 12 * 12 + 4 * 12),
        ("transformer_encoder", (7, 12), {"heads": 3, "hidden": 20}, (7, 12), None),
        ("positional_embedding", (7, 12), {}, (7, 12), 84),
        ("positional_embedding", (7, 11), {"kind": "sinusoidal"}, (7, 11), 0),
        ("max_pool1d", (7, 12), {}, (3, 12), 0),
        ("max_pool1d", (7, 12), {"padding": "same"}, (4, 12), 0),
        ("avg_pool1d", (7, 12), {"size": 3, "stride": 1, "padding": 1}, (7, 12), 0),
        ("max_pool2d", (3, 32, 31), {}, (3, 16, 15), 0),
        ("max_pool2d", (3, 32, 31), {"size": 3, "stride": 2, "padding": "same"}, (3, 16, 16), 0),
        ("avg_pool2d", (3, 32, 31), {"size": (2, 4)}, (3, 16, 7), 0),
        ("adaptive_avg_pool1d", (7, 12), {"size": 3}, (3, 12), 0),
        ("adaptive_max_pool1d", (7, 12), {"size": 9}, (9, 12), 0),
        ("adaptive_avg_pool2d", (3, 32, 31), {"size": (7, 5)}, (3, 7, 5), 0),
        ("adaptive_max_pool2d", (3, 32, 31), {}, (3, 1, 1), 0),
        ("global_avg_pool1d", (7, 12), {}, (12,), 0),
        ("global_max_pool1d", (7, 12), {}, (12,), 0),
        ("global_avg_pool2d", (3, 32, 31), {}, (3,), 0),
        ("global_max_pool2d", (3, 32, 31), {}, (3,), 0),
        ("batch_norm", (3, 8, 8), {}, (3, 8, 8), 6),
        ("batch_norm", (7, 12), {}, (7, 12), 24),
        ("batch_norm", (12,), {}, (12,), 24),
        ("layer_norm", (3, 8, 8), {}, (3, 8, 8), 6),
        ("layer_norm", (7, 12), {}, (7, 12), 24),
        ("group_norm", (4, 8, 8), {"groups": 2}, (4, 8, 8), 8),
        ("group_norm", (7, 12), {"groups": 4}, (7, 12), 24),
        ("instance_norm", (3, 8, 8), {}, (3, 8, 8), 6),
        ("instance_norm", (7, 12), {}, (7, 12), 24),
        ("dropout", (7, 12), {}, (7, 12), 0),
        ("spatial_dropout", (3, 8, 8), {}, (3, 8, 8), 0),
        ("spatial_dropout", (7, 12), {}, (7, 12), 0),
        ("prelu", (3, 8, 8), {}, (3, 8, 8), 3),
        ("prelu", (7, 12), {}, (7, 12), 12),
        ("flatten", (3, 8, 8), {}, (192,), 0),
        ("reshape", (3, 8, 8), {"shape": (24, -1)}, (24, 8), 0),
        ("permute", (3, 8, 5), {"order": (3, 1, 2)}, (5, 3, 8), 0),
        ("upsample", (3, 8, 5), {"factor": (2, 3)}, (3, 16, 15), 0),
        ("zero_pad2d", (3, 8, 5), {}, (3, 10, 7), 0),
        ("zero_pad2d", (3, 8, 5), {"padding": (1, 2)}, (3, 10, 9), 0),
        ("zero_pad2d", (3, 8, 5), {"padding": (1, 2, 3, 4)}, (3, 11, 12), 0),
    ],
)
def test_a_layer_gives_the_shape_and_has_the_parameters_that_its_formula_says(name, shape, options, output, count):
    module, found = layer(name, shape, **options)
    assert found == output
    if count is not None:
        assert parameters(module) == count


def test_blocks_have_the_parameters_of_pytorchs_own():
    ours, _ = layer("transformer_encoder", (7, 12), heads=3, hidden=20)
    assert parameters(ours) == parameters(nn.TransformerEncoderLayer(12, 3, 20))
    ours, _ = layer("attention", (7, 12), heads=3)
    assert parameters(ours) == parameters(nn.MultiheadAttention(12, 3))


def test_layers_inside_others_are_in_the_table_one_level_deeper():
    cell = """
    - conv2d: {filters: 8, padding: same}
    - residual:
        layers: [{conv2d: {filters: 16, stride: 2, padding: same}}, relu]
        shortcut: projection
    - repeat: {times: 2, layers: [{residual: [batch_norm]}]}
    - parallel: [[{conv2d: {filters: 2, kernel: 1}}], []]
    - global_avg_pool2d
    - dense
    """
    net = network(cell, DIGITS)
    assert [(row["depth"], row["name"], row["output"], row["parameters"]) for row in table(net)] == [
        (0, "conv2d", [8, 28, 28], 80),
        (0, "residual", [16, 14, 14], 1168 + 128),
        (1, "conv2d", [16, 14, 14], 1168),
        (1, "relu", [16, 14, 14], 0),
        (0, "repeat", [16, 14, 14], 64),
        (1, "residual", [16, 14, 14], 32),
        (2, "batch_norm", [16, 14, 14], 32),
        (1, "residual", [16, 14, 14], 32),
        (2, "batch_norm", [16, 14, 14], 32),
        (0, "parallel", [18, 14, 14], 34),
        (1, "branch 1", [2, 14, 14], 34),
        (2, "conv2d", [2, 14, 14], 34),
        (1, "branch 2", [16, 14, 14], 0),
        (0, "global_avg_pool2d", [18], 0),
        (0, "dense", [10], 190),
    ]
    assert sum(row["parameters"] for row in table(net) if row["depth"] == 0) == parameters(net)


def test_columns_come_first_in_the_table_of_rows_that_are_no_pictures():
    inputs = VectorInputs(numbers=3, categories=(4, 5), embedded=(0, 2))
    net = network("- dense: 8\n- relu\n- dense\n", inputs, 2)
    rows = table(net)
    assert (rows[0]["name"], rows[0]["output"], rows[0]["parameters"]) == ("columns", [3 + 3 + 2], 10)
    assert sum(row["parameters"] for row in rows) == parameters(net) == 10 + 72 + 18
    numbers, codes = torch.randn(4, 3), torch.tensor([[0, 0], [1, 1], [3, 4], [2, 2]])
    assert net(numbers, codes).shape == (4, 2)
    assert net.columns(numbers, codes)[0, 3:].tolist() == [0, 0, 0, 0, 0]  # codes that training did not have


def test_a_list_for_one_number_says_so():
    with pytest.raises(Exception, match=r"the last dense has 3 units, but the label is one number"):
        network("- dense: 3\n", VectorInputs(numbers=3), 1)
    assert parameters(network("- dense\n", VectorInputs(numbers=3), 1)) == 4


def test_bias_activation_and_softmax_by_name_are_the_layers_of_that_name():
    x = torch.randn(3, 12)
    from sparknn_zoo.layers.common import ACTIVATIONS

    for name in ACTIVATIONS.keys() - {"linear"}:
        dense = registry.get("layer", "dense").build((12,), units=6, activation=name)
        alone = registry.get("layer", name).build((6,))
        with torch.no_grad():
            assert torch.equal(dense(x), alone(dense[0](x))), name
