"""Encoders of transformers: pairs, padding, parts, adapters, and the graph that is exported."""

import functools
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import Target
from sparknn_magic.spec.models import read_step
from sparknn_magic.spec.schema import validate_options
from sparknn_magic.training import freezing
from sparknn_magic.training.groups import layer_scales
from sparknn_zoo.text import encoders
from tests.zoo.encoder_cases import FAMILIES, SEPARATOR, TYPED, build, export, pairs, tiny

# PyTorch's own exporter says this of its own code.
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", TYPED)
def test_the_second_text_of_a_pair_is_told_apart(name):
    network = tiny(name)
    nn.init.normal_(network.encoder.embeddings.token_type_embeddings.weight)
    ids, mask, kinds = pairs(1)
    assert torch.equal(encoders.second_text(ids, mask, SEPARATOR), kinds)
    with torch.no_grad():
        before = network.encode(ids, mask)
        network.encoder.embeddings.token_type_embeddings.weight[1].neg_()
        after = network.encode(ids, mask)
    assert not torch.allclose(before, after)


def test_pooling_is_the_mean_of_the_tokens_or_the_first_one():
    ids, mask, _ = pairs()
    mean, first = tiny("bert", pooling="mean"), tiny("bert")
    with torch.no_grad():
        hidden = mean.encode(ids, mask)
        expected = torch.stack([row[:n].mean(0) for row, n in zip(hidden, mask.sum(1), strict=True)])
        torch.testing.assert_close(mean.pool(hidden, mask), expected)
        torch.testing.assert_close(first.pool(hidden, mask), hidden[:, 0])
        torch.testing.assert_close(mean(ids, mask), mean.head(expected))


@pytest.mark.parametrize("name", FAMILIES)
def test_padding_and_the_rows_beside_it_do_not_change_a_rows_answer(name):
    network = tiny(name)
    ids, mask, _ = pairs()
    short = int(mask[2].sum())
    longer = [torch.nn.functional.pad(x, (0, 7), value=value) for x, value in ((ids, 9), (mask, 0))]
    with torch.no_grad():
        whole = network(ids, mask)
        torch.testing.assert_close(network(*longer), whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(ids[2:, :short], mask[2:, :short]), whole[2:], rtol=1e-4, atol=1e-5)


# Export


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a family's network and its file; each is exported once."""

    @functools.cache
    def make(name):
        network = tiny(name)
        return network, export(network.merged(), tmp_path_factory.mktemp(name))

    return make


@pytest.mark.parametrize("name", FAMILIES)
def test_onnx_runtime_agrees_at_other_batches_and_lengths(name, exported):
    network, path = exported(name)
    session = onnxruntime.InferenceSession(path)
    assert [i.shape for i in session.get_inputs()] == [["batch", "length"]] * 2
    for rows, length in ((1, 1), (1, 7), (5, 24), (9, 12)):
        ids, mask, _ = pairs(rows, length, seed=rows) if length > 6 else (torch.full((1, 1), 2), torch.ones(1, 1), 0)
        mask = mask.long()
        with torch.no_grad():
            expected = network(ids, mask).numpy()
        (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        assert np.abs(found - expected).max() <= 1e-4
        assert np.abs(expected).max() > 0.01  # not two networks that agree on zero


def test_norms_and_activations_are_one_node_each_in_the_graph(exported):
    kinds = [node.op_type for node in onnx.load(exported("minilm")[1]).graph.node]
    assert kinds.count("LayerNormalization") == 1 + 2 * 2  # of the embeddings, and two of each block
    assert kinds.count("Gelu") == kinds.count("Softmax") == 2


# Parts and options


@pytest.mark.parametrize("name", FAMILIES)
def test_parts_have_the_same_names_in_every_family_and_the_head_is_the_last_layer(name):
    network = tiny(name)
    modules, parameters = freezing.matching(network, "encoder.layers.*")
    assert modules
    assert parameters
    assert freezing.matching(network, "encoder.embeddings")[1]
    names = list(network.state_dict())
    assert any(each.startswith("encoder.layers.1.") for each in names)
    assert len(names) == len({id(tensor) for tensor in network.state_dict(keep_vars=True).values()})
    assert [m for m in network.modules() if isinstance(m, nn.Linear)][-1] is network.head
    scales = layer_scales(network, 0.5)
    assert {scale for each, scale in scales.items() if "embeddings." in each} == {0.125}
    assert scales["head.weight"] == 1.0
    assert {scale for each, scale in scales.items() if ".layers.1." in each} == {0.5}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_seed_decides_the_weights(name):
    first, second = tiny(name).state_dict(), tiny(name).state_dict()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_frozen_layers_and_the_embeddings_learn_nothing():
    network = tiny("bert", freeze_layers=1)
    learning = [name for name, p in network.named_parameters() if p.requires_grad]
    assert not [name for name in learning if "embeddings" in name or ".layers.0." in name]
    assert [name for name in learning if ".layers.1." in name]
    assert "head.weight" in learning
    with pytest.raises(SpecError, match="freeze_layers is 3, and there are 2 layers"):
        tiny("bert", freeze_layers=3)


def test_dropout_is_that_of_the_whole_network():
    network = tiny("distilbert", dropout=0.35)
    assert {m.p for m in network.modules() if isinstance(m, nn.Dropout)} == {0.35}
    assert {m.p for m in tiny("distilbert").modules() if isinstance(m, nn.Dropout)} == {0.1}


@pytest.mark.parametrize("name", ["bert", "distilbert", "modernbert"])
def test_adapters_alone_learn_and_are_merged_for_export(name, tmp_path):
    pytest.importorskip("peft")
    network = tiny(name, lora={"rank": 4}).train()
    learning = {each for each, p in network.named_parameters() if p.requires_grad}
    assert all("lora_" in each or each.startswith("head.") for each in learning)
    assert any(".layers.1." in each for each in learning)
    ids, mask, _ = pairs()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):  # the second matrix of an adapter starts at 0
        optimizer.zero_grad()
        network(ids, mask).square().sum().backward()
        optimizer.step()

    again = build(name, **json.loads(json.dumps(network.rebuild)))
    again.load_state_dict(load(save({k: v.contiguous() for k, v in network.state_dict().items()})))
    plain = again.eval().merged()
    assert not [each for each, _ in plain.named_parameters() if "lora" in each]
    bare = tiny(name)
    assert list(plain.state_dict()) == list(bare.state_dict())
    with torch.no_grad():
        expected = network.eval()(ids, mask)
        torch.testing.assert_close(plain(ids, mask), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(again(ids, mask), expected)  # as it was
        assert not torch.allclose(bare(ids, mask), expected, atol=1e-3)


def test_an_adapter_for_a_layer_that_there_is_not_names_the_nearest():
    pytest.importorskip("peft")
    with pytest.raises(SpecError, match=r"there is no linear layer 'queri'\. Did you mean 'query'\?"):
        tiny("bert", lora={"targets": ["queri"]})


def test_a_cell_writes_options_that_are_checked():
    item = registry.get("architecture", "minilm")

    def error(path, message, *, hint=None, key=False):
        return SpecError(message, hint=hint)

    def options(**written):
        return validate_options(item, read_step({"minilm": written}), error, ("model",))

    assert options(lora={"rank": 16})["lora"] == {"rank": 16, "alpha": 16, "dropout": 0.0, "targets": None}
    with pytest.raises(SpecError, match="rank"):
        options(lora={"rank": 0})
    with pytest.raises(SpecError, match="Did you mean 'freeze_layers'"):
        options(freeze_layer=2)
    with pytest.raises(SpecError, match="pooling must be"):
        options(pooling="max")


def test_class_weights_and_frozen_names_work_with_an_encoder():
    network = tiny("minilm")
    frozen = freezing.Frozen(network, ["encoder.embeddings", "encoder.layers.0*"])
    frozen.hold()
    network.train()
    frozen.rest()
    assert not network.encoder.layers[0].training
    assert network.encoder.layers[1].training
    build_loss = registry.get("loss", "cross_entropy").build
    loss = build_loss(Target(("a", "b"), (30, 10)), class_weights="balanced")
    ids, mask, _ = pairs()
    loss(network(ids, mask)[:, :2], torch.tensor([0, 1, 0])).sum().backward()
    assert network.encoder.layers[0].attention.self.query.weight.grad is None
    assert network.encoder.layers[1].attention.self.query.weight.grad is not None
