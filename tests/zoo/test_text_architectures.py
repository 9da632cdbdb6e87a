"""What holds for every architecture of the text tasks: any length, padding, gradients, seeds, sizes."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from sparknn_magic import registry
from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import TextInputs
from sparknn_magic.spec.schema import options_model
from tests.zoo.texts import INPUTS, PAD, SMALL, batch, build, row, rows, shaken

EVERY = pytest.mark.parametrize("name", SMALL)
TOKENIZERS = {
    "fasttext": "characters",
    "textcnn": "words",
    "bilstm": "words",
    "gru_attention": "words",
    "text_transformer": "wordpiece",
}
VARIANTS = [
    *((name, {}) for name in SMALL),
    ("fasttext", {"max_n": 0}),
    ("fasttext", {"word_ngrams": 1, "min_n": 1, "max_n": 2}),
    ("textcnn", {"widths": (1, 2, 7)}),
    *(("bilstm", {"pooling": pooling, "depth": 2}) for pooling in ("last", "mean", "max")),
    ("gru_attention", {"depth": 2}),
    ("text_transformer", {"depth": 1}),
]
EVERY_VARIANT = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=lambda value: str(value))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@EVERY
def test_an_architecture_names_its_task_source_licence_tokenizer_and_free_axes(name):
    item = registry.get("architecture", name)
    assert "text-classification" in item.tasks
    assert item.source
    assert item.licence == "Apache-2.0"
    assert item.notes["tokenizer"] == TOKENIZERS[name]
    assert item.dynamic == ("batch", "length")
    assert "int64[B, T] -> float32[B, outputs]" in item.summary


@EVERY_VARIANT
@pytest.mark.parametrize("outputs", [1, 3])
def test_texts_of_any_length_give_one_row_of_outputs_a_text(name, options, outputs):
    network = build(name, outputs, **options).eval()
    for lengths in ([1], [2], [1, 2], [24, 1, 7]):
        found = network(*rows(INPUTS[name], lengths))
        assert found.shape == (len(lengths), outputs)
        assert found.dtype == torch.float32
        assert found.isfinite().all()


@EVERY_VARIANT
def test_padding_and_the_other_rows_do_not_change_an_answer(name, options):
    network = shaken(build(name, **options)).eval()
    draw = torch.Generator().manual_seed(1)
    texts = [row(INPUTS[name], tokens, draw) for tokens in (1, 2, 3, 9, 17)]
    with torch.no_grad():
        alone = torch.cat([network(*batch([ids])) for ids in texts])
        together = network(*batch(texts))
        wide = network(*batch(texts, width=24))
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wide, alone, rtol=1e-5, atol=1e-5)


@EVERY_VARIANT
def test_what_stands_at_the_padding_is_not_looked_at(name, options):
    network = shaken(build(name, **options)).eval()
    ids, mask = rows(INPUTS[name], [24, 3, 8])
    others = torch.where(mask > 0, ids, rows(INPUTS[name], [24, 24, 24], seed=5)[0])
    with torch.no_grad():
        torch.testing.assert_close(network(others, mask), network(ids, mask), rtol=1e-5, atol=1e-5)


@EVERY_VARIANT
def test_a_row_without_any_token_gets_numbers_and_harms_no_other(name, options):
    network = shaken(build(name, **options)).train()
    ids, mask = rows(INPUTS[name], [5, 4])
    mask[1], ids[1] = 0, PAD
    found = network(ids, mask)
    assert found.isfinite().all()
    torch.testing.assert_close(found[:1], network(ids[:1], mask[:1]), rtol=1e-5, atol=1e-5)
    nn.functional.cross_entropy(found, torch.tensor([0, 1])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@EVERY_VARIANT
def test_gradient_reaches_every_parameter(name, options):
    network = shaken(build(name, **options)).train()
    nn.functional.cross_entropy(network(*rows(INPUTS[name], [9] * 64)), torch.arange(64) % 3).backward()
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@EVERY
def test_the_same_seed_gives_the_same_weights_after_some_steps_and_another_seed_others(name):
    def weights(seed):
        torch.manual_seed(seed)
        network = registry.get("architecture", name).build(INPUTS[name], 3)  # with its dropout
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(*rows(INPUTS[name], [9] * 12)), torch.arange(12) % 3).backward()
            optimizer.step()
        return nn.utils.parameters_to_vector(network.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@EVERY
def test_first_outputs_are_of_order_one(name):
    network = registry.get("architecture", name).build(INPUTS[name], 10).train()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(network(*rows(INPUTS[name], [12] * 100)), torch.arange(100) % 10)
    assert 2.0 < loss < 3.0  # guessing evenly gives 2.3


@EVERY
def test_the_last_linear_layer_is_the_head_whose_input_the_features_are(name):
    network = build(name).eval()
    seen = []
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda layer, args, out: seen.append((layer, args[0])))
    network(*rows(INPUTS[name], [4, 5]))
    registered = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert seen[-1][0] is registered[-1] is network.head
    assert seen[-1][1].shape == (2, network.head.in_features)
    assert network.head.out_features == 3


@EVERY
@pytest.mark.parametrize(("option", "wrong"), [("dim", 0), ("dropout", 1.0), ("dmi", 8)])
def test_options_out_of_range_or_unknown_are_refused(name, option, wrong):
    schema = options_model(registry.get("architecture", name))
    with pytest.raises(ValidationError) as refused:
        schema.model_validate({option: wrong})
    assert refused.value.errors()[0]["loc"] == (option,)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        (
            "text_transformer",
            {"dim": 30, "heads": 4},
            "30 dimensions in pairs among 4 heads: dim must be a multiple of 8",
        ),
        ("fasttext", {"min_n": 4, "max_n": 3}, "max_n is 3, below min_n, which is 4"),
        ("textcnn", {"widths": ()}, "textcnn needs at least one width"),
    ],
)
def test_options_that_do_not_go_together_are_refused_with_a_way_out(name, options, words):
    with pytest.raises(SpecError, match=words) as refused:
        build(name, **options)
    assert refused.value.hint


V, K = 1000, 7


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("fasttext", {"dim": 32, "buckets": 5000}, 5000 * 32 + 32 * K + K),
        # tokens' vectors, then of each width its weights and biases, then the head
        (
            "textcnn",
            {"dim": 20, "widths": (3, 4, 5), "filters": 10},
            V * 20 + (3 + 4 + 5) * 20 * 10 + 3 * 10 + 30 * K + K,
        ),
        # of each direction and layer four gates: weights of inputs and of states, and two biases
        (
            "bilstm",
            {"dim": 20, "units": 15, "depth": 2},
            V * 20 + 2 * 4 * (15 * (20 + 15) + 2 * 15) + 2 * 4 * (15 * (30 + 15) + 2 * 15) + 30 * K + K,
        ),
        # three gates; then the attention's layer and its question
        (
            "gru_attention",
            {"dim": 20, "units": 15, "attention": 9},
            V * 20 + 2 * 3 * (15 * (20 + 15) + 2 * 15) + (30 * 9 + 9) + 9 + 30 * K + K,
        ),
        # a layer: queries, keys, values and output; the perceptron; two LayerNorms. Then one more, and the head
        (
            "text_transformer",
            {"dim": 32, "depth": 3, "heads": 4, "mlp_ratio": 2.0},
            V * 32 + 3 * (4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 4 * 32) + 2 * 32 + 32 * K + K,
        ),
    ],
)
def test_parameter_count_is_exactly(name, options, count):
    network = build(name, K, TextInputs(V, 50, separator=3), **options)
    assert sum(p.numel() for p in network.parameters()) == count + (V * 32 if name == "fasttext" else 0)
