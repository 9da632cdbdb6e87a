"""Text architectures that give outputs for each token: as the kit checks them, and as ONNX Runtime runs them."""

import numpy as np
import pytest
import torch

from sparknn_magic import registry
from sparknn_magic.errors import SpecError
from sparknn_magic.export.tokens import Tagger, export_tags, run_both
from sparknn_magic.layers import stack
from sparknn_magic.plugin import TextInputs
from sparknn_magic.testing.architectures import of_tokens
from sparknn_magic.testing.kit import Subject
from tests.zoo.encoder_cases import OPTIONS

SMALL = {"bilstm": {"dim": 8, "units": 6}, "text_transformer": {"dim": 16, "depth": 1}}
EVERY = {**SMALL, **OPTIONS}
INPUTS = TextInputs(50, 16, separator=3, each_token=True)


def tokens(rows: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(4, 50, n).astype(np.int32) for n in draw.integers(1, 17, rows)]


def layer(name: str, where: str, **options) -> dict:
    return {"name": name, "ref": f"sparknn_zoo.layers.{where}:{name}", "options": options}


@pytest.mark.parametrize("name", EVERY)
def test_it_gives_outputs_for_each_token_whatever_stands_behind_it(name):
    assert "gives outputs for each token" in of_tokens(Subject(registry.get("architecture", name), EVERY[name]))


@pytest.mark.parametrize("name", ["text_transformer", "bert", "modernbert"])
def test_both_engines_agree_at_every_length(name, tmp_path):
    torch.manual_seed(0)
    network = registry.get("architecture", name).build(INPUTS, 5, **EVERY[name])
    model = Tagger(network).eval()
    export_tags(model, INPUTS.length, tmp_path / "model.onnx", {"name": "m"})
    here, there = run_both(model, tmp_path / "model.onnx", tokens(70), INPUTS.pad)
    assert here.shape == (sum(map(len, tokens(70))), 5)
    np.testing.assert_allclose(here, there, atol=1e-5)
    assert np.ptp(here) > 0.01


def test_a_list_of_layers_gives_a_row_for_each_token_or_says_which_layer_does_not():
    begin, end = layer("embedding", "embedding", dim=8, vocabulary=None), layer("dense", "dense", units=None)
    read = layer("gru", "recurrent", units=6, return_sequences=True, bidirectional=True)
    network = stack(INPUTS, 5, layers=[begin, read, end]).eval()
    ids = torch.randint(1, 50, (3, 7))
    short = network(ids, torch.ones_like(ids))
    assert short.shape == (3, 7, 5)
    padded = torch.nn.functional.pad(ids, (0, 9))
    torch.testing.assert_close(network(padded, (padded > 0).long())[:, :7], short)
    pooled = [begin, layer("global_max_pool1d", "adaptive_pool"), end]
    with pytest.raises(SpecError, match=r"the last layer, dense, gives \[5\], but each of 16 tokens needs 5 numbers"):
        stack(INPUTS, 5, layers=pooled)
