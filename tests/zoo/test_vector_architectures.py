"""What holds for every architecture of the vector tasks: any columns, gradients, seeds, sizes of the papers."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import SpecError
from sparknn_magic.features import Features
from sparknn_magic.plugin import VectorInputs
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve
from sparknn_magic.spec.schema import options_model

# Each architecture, with options that make it small and take its chance away; its structure stays.
SMALL = {
    "mlp": {"width": 32},
    "wide_and_deep": {"hidden": (32, 16)},
    "resnet_mlp": {"width": 24, "dropout": 0.0},
    "ft_transformer": {"dim": 16, "heads": 2, "attention_dropout": 0.0, "dropout": 0.0},
}
EVERY = pytest.mark.parametrize("name", SMALL)
NUMBERS, CATEGORIES = VectorInputs(5), VectorInputs(0, (4, 7), (0, 3))
MIXED = VectorInputs(3, (4, 2, 9), (0, 0, 5))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def build(name: str, inputs: VectorInputs, outputs: int = 3, **options) -> nn.Module:
    return registry.get("architecture", name).build(inputs, outputs, **{**SMALL[name], **options})


def rows(inputs: VectorInputs, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    codes = [torch.randint(0, n, (count,)) for n in inputs.categories]
    return torch.randn(count, inputs.numbers), torch.stack(codes, 1) if codes else torch.zeros(count, 0).long()


def shaken(network: nn.Module) -> nn.Module:
    """Move every parameter off its first value, so that what starts at zero counts too."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return network


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@EVERY
def test_an_architecture_names_its_two_tasks_source_and_licence(name):
    item = registry.get("architecture", name)
    assert set(item.tasks) >= {"vector-classification", "vector-regression"}
    assert item.source
    assert item.licence == "Apache-2.0"
    assert "float32[B, F], codes int64[B, G] -> float32[B, outputs]" in item.build.__doc__


@EVERY
@pytest.mark.parametrize("inputs", [NUMBERS, CATEGORIES, MIXED], ids=["numbers", "categories", "mixed"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_any_columns_give_one_row_of_outputs_a_row(name, inputs, outputs):
    found = build(name, inputs, outputs).eval()(*rows(inputs, 7))
    assert found.shape == (7, outputs)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


@EVERY
@pytest.mark.parametrize("inputs", [NUMBERS, CATEGORIES, MIXED], ids=["numbers", "categories", "mixed"])
def test_gradient_reaches_every_parameter(name, inputs):
    network = shaken(build(name, inputs)).train()
    nn.functional.cross_entropy(network(*rows(inputs, 64)), torch.arange(64) % 3).backward()
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@EVERY
def test_a_rows_outputs_do_not_depend_on_the_other_rows(name):
    network = shaken(build(name, MIXED)).eval()
    numbers, codes = rows(MIXED, 7)
    with torch.no_grad():
        together = network(numbers, codes)
        alone = torch.cat([network(numbers[i : i + 1], codes[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@EVERY
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name):
    def weights(seed):
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build(name, MIXED).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@EVERY
def test_first_outputs_are_of_order_one(name):
    network = build(name, MIXED, 10).train()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(network(*rows(MIXED, 200)), torch.arange(200) % 10)
    assert 2.0 < loss < 4.0  # guessing evenly gives 2.3


@EVERY
def test_the_last_linear_layer_is_the_head_whose_input_the_features_are(name):
    network = build(name, MIXED).eval()
    seen = []
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda layer, args, out: seen.append(layer))
    network(*rows(MIXED, 2))
    registered = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert seen[-1] is registered[-1] is network.head
    assert network.head.out_features == 3


@EVERY
def test_a_category_that_training_did_not_have_is_taken(name):
    network = shaken(build(name, CATEGORIES)).eval()
    with torch.no_grad():
        found = network(torch.zeros(1, 0), torch.zeros(1, 2, dtype=torch.int64))
    assert found.isfinite().all()


@EVERY
@pytest.mark.parametrize(("option", "wrong"), [("width", 0), ("dropout", 1.0), ("depth", -1), ("widht", 8)])
def test_options_out_of_range_or_unknown_are_refused(name, option, wrong):
    schema = options_model(registry.get("architecture", name))
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({option: wrong})
    assert option in str(refused.value)


@EVERY
def test_every_option_has_a_default_and_a_meaning(name):
    fields = options_model(registry.get("architecture", name)).model_fields
    assert [key for key, field in fields.items() if field.is_required() or not field.description] == []


def test_one_mlp_is_for_pictures_and_for_columns():
    for task in ("image-classification", "vector-classification", "vector-regression"):
        experiment = Experiment.parse(f"task: {task}\ndata: {{train: t}}\nmodel: mlp")
        assert resolve(experiment).model.item.name == "mlp"


def test_an_architecture_for_columns_is_refused_for_pictures_and_says_what_it_is_for():
    experiment = Experiment.parse("task: image-classification\ndata: {train: t}\nmodel: wide_and_deep")
    with pytest.raises(SpecError) as error:
        resolve(experiment)
    assert str(error.value) == (
        "line 3, column 8: the architecture 'wide_and_deep' is for vector-classification and vector-regression, "
        "not for image-classification.\n`%sparknn zoo image-classification` lists what this task can use."
    )


def test_features_are_the_numbers_then_the_one_hot_columns_then_the_embedded_ones():
    features = Features(VectorInputs(2, (3, 4, 3), (0, 2, 0)))
    numbers, codes = torch.tensor([[0.5, -1.0], [2.0, 3.0]]), torch.tensor([[2, 3, 1], [0, 0, 2]])
    found = features(numbers, codes)
    assert features.width == found.shape[1] == 2 + 2 + 2 + 2
    assert found[:, :6].tolist() == [[0.5, -1.0, 0, 1, 1, 0], [2.0, 3.0, 0, 0, 0, 1]]
    assert torch.equal(found[0, 6:], features.tables[0].weight[3])
    assert found[1, 6:].tolist() == [0, 0]  # code 0: nothing is known


def test_what_training_never_saw_stays_at_zero_whatever_is_learnt():
    network = build("mlp", CATEGORIES)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(5):
        numbers, codes = rows(CATEGORIES, 32)
        optimizer.zero_grad()
        network(numbers, codes).square().sum().backward()
        optimizer.step()
    unknown = network.features(torch.zeros(1, 0), torch.zeros(1, 2, dtype=torch.int64))
    assert unknown.tolist() == [[0.0] * 6]


def test_columns_that_hold_nothing_are_an_error():
    with pytest.raises(SpecError, match="the columns hold nothing to learn from"):
        Features(VectorInputs(0, (1,), (0,)))


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "options", "count"),
    [
        # Multiplied out from the papers' equations: inputs x units + units, layer by layer.
        ("mlp", NUMBERS, 3, {"width": 100, "depth": 2}, 5 * 100 + 100 + 100 * 100 + 100 + 100 * 3 + 3),
        ("mlp", VectorInputs(2, (4, 7), (0, 3)), 1, {"depth": 0}, 7 * 3 + (2 + 3 + 3) + 1),
        ("resnet_mlp", VectorInputs(50), 2, {"width": 192}, 9_792 + 2 * (384 + 74_112 + 73_920) + 384 + 386),
        # Rows of the wide table: the codes of both columns, and 4 x 7 pairs. The deep part has 3 one-hot, 3 embedded.
        ("wide_and_deep", CATEGORIES, 2, {"hidden": (8,)}, 2 + (11 + 28) * 2 + 7 * 3 + (6 * 8 + 8) + (8 * 2 + 2)),
        ("wide_and_deep", CATEGORIES, 2, {"hidden": (8,), "crosses": 27}, 2 + 11 * 2 + 21 + 56 + 18),
        ("wide_and_deep", NUMBERS, 1, {"hidden": (8,)}, 1 + 5 + (5 * 8 + 8) + 9),
    ],
)  # fmt: skip
def test_parameter_count_is_exactly(name, inputs, outputs, options, count):
    assert parameters(build(name, inputs, outputs, **options)) == count


def test_every_note_of_a_paper_agrees_with_the_network_that_is_built():
    for name in ("resnet_mlp", "ft_transformer"):
        item = registry.get("architecture", name)
        network = item.build(VectorInputs(item.notes["at"]["numbers"]), item.notes["at"]["outputs"])
        assert parameters(network) == item.notes["parameters"]


def ft_transformer_count(numbers, categories, outputs, dim, depth, ratio):
    """Gorishniy et al. 2021, sec. 3.3: [CLS], W and b of each column; attention, LayerNorms, ReGLU; the head."""
    hidden = int(dim * ratio)
    tokens = dim + 2 * numbers * dim + (sum(categories) + len(categories)) * dim
    attention, perceptron = 4 * (dim * dim + dim), dim * 2 * hidden + 2 * hidden + hidden * dim + dim
    layers = depth * (attention + perceptron + 2 * dim) + (depth - 1) * 2 * dim  # the first norm is left out
    return tokens + layers + 2 * dim + dim * outputs + outputs


@pytest.mark.parametrize("inputs", [NUMBERS, CATEGORIES, MIXED], ids=["numbers", "categories", "mixed"])
def test_ft_transformer_has_the_parameters_of_the_papers_equations(inputs):
    network = build("ft_transformer", inputs, 4, dim=24, depth=3, heads=4, hidden_ratio=1.5)
    assert parameters(network) == ft_transformer_count(inputs.numbers, inputs.categories, 4, 24, 3, 1.5)


def test_attention_computes_what_pytorchs_own_computes():
    from sparknn_zoo.vector.ft_transformer import Attention

    ours, theirs = Attention(12, 3, 0.0), nn.MultiheadAttention(12, 3, batch_first=True)
    layers = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.data = torch.cat([layer.weight for layer in layers])
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    x = torch.randn(2, 5, 12)
    with torch.no_grad():
        torch.testing.assert_close(ours(x[:, :1], x), theirs(x[:, :1], x, x)[0], rtol=1e-5, atol=1e-6)


def test_wide_part_is_a_linear_model_of_the_columns_and_their_crosses():
    network = shaken(build("wide_and_deep", VectorInputs(1, (3, 2), (0, 0)), 1)).wide
    weight, table = network.linear.weight[0, 0], network.table.weight[:, 0]
    with torch.no_grad():
        found = network(torch.tensor([[2.0]]), torch.tensor([[2, 1]]))
    # Rows 0..2 are the first column's codes, 3 and 4 the second's, 5..10 the pairs (0, 0), (0, 1), (1, 0), ...
    expected = network.bias[0] + 2 * weight + table[2] + table[4] + table[5 + 2 * 2 + 1]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_ft_transformer_heads_that_do_not_divide_its_dimensions_name_the_nearest():
    with pytest.raises(SpecError, match="ft_transformer cannot share 100 dimensions among 8 heads") as error:
        build("ft_transformer", NUMBERS, dim=100, heads=8)
    assert str(error.value).endswith("The nearest is dim: 96.")
