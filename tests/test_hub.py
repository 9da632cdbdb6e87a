"""Where a pretrained network's files are, and what is said where they are not."""

import json
import time

import pytest

from sparknn_magic.errors import BundleError
from sparknn_magic.hub import folder_of

FILES = {"config.json": "{}", "model.safetensors": "", "tokenizer.json": "{}"}


@pytest.fixture
def network(tmp_path):
    """Write a folder with files by name."""

    def write(**changes):
        folder = tmp_path / "network"
        folder.mkdir(exist_ok=True)
        for name, text in (FILES | changes).items():
            if text is not None:
                (folder / name).write_text(text)
        return folder

    return write


def message(pretrained):
    with pytest.raises(BundleError) as caught:
        folder_of(str(pretrained))
    assert str(caught.value).count("\n") == 1  # two lines
    return str(caught.value)


def test_a_folder_with_all_files_is_taken_as_it_is(network):
    assert folder_of(str(network())) == network()


def test_weights_in_several_files_are_taken_too(network):
    index = {"model.safetensors": None, "model.safetensors.index.json": "{}"}
    assert folder_of(str(network(**index))) == network()


@pytest.mark.parametrize("missing", FILES)
def test_each_missing_file_is_named(network, missing):
    said = message(network(**{missing: None}))
    assert f"has no {missing}" in said
    assert "a folder with config.json, model.safetensors and tokenizer.json" in said


def test_weights_that_would_be_unpickled_are_refused(network):
    said = message(network(**{"model.safetensors": None, "pytorch_model.bin": "x"}))
    assert "has its weights in pytorch_model.bin, and unpickling that file could run any program." in said
    assert "write model.safetensors once" in said


def test_an_older_tokenizer_is_told_how_it_becomes_a_file(network):
    said = message(network(**{"tokenizer.json": None, "vocab.txt": "[PAD]"}))
    assert "has vocab.txt, the older form of a tokenizer, but no tokenizer.json." in said
    assert "`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`" in said


def test_a_model_of_ours_belongs_under_train(tmp_path):
    (tmp_path / "bundle.json").write_text(json.dumps({}))
    assert "Write `pretrained:" in message(tmp_path)
    assert "under `train:`" in message(tmp_path)


def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub():
    assert message("./models/none").startswith("there is no folder './models/none'.")


def test_a_hub_that_cannot_be_reached_says_how_to_go_on_without_it_and_at_once(monkeypatch, tmp_path):
    from huggingface_hub import constants

    # An address of this machine where nobody listens: what a network without a way out comes to.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    started = time.monotonic()
    said = message("sentence-transformers/all-MiniLM-L6-v2")
    assert time.monotonic() - started < 10
    first, second = said.split("\n")
    assert first.startswith(
        "'sentence-transformers/all-MiniLM-L6-v2' is no folder here, and cannot be had from the hub"
    )
    assert second.startswith("Point `pretrained` at a folder with config.json, model.safetensors and tokenizer.json")


def test_a_copy_in_the_hubs_cache_is_used_without_the_hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    repository = tmp_path / "models--me--tiny"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    for name, text in FILES.items():
        (snapshot / name).write_text(text)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert folder_of("me/tiny").samefile(snapshot)
