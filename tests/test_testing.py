"""Every built-in keeps to its contract; every broken plugin fails with the sentence that names its fault."""

import re

import pytest
import torch

from sparknn_magic import registry
from sparknn_magic.cli import main
from sparknn_magic.errors import PluginError, UnknownName
from sparknn_magic.testing import check_plugin
from sparknn_magic.testing.modules import CLOSE, Case, pairs
from tests.broken_plugins import architectures, detectors, general, layers, others, preprocessors, texts, training

KINDS = ["layer", "preprocessor", "tokenizer", "augmentation", "loss", "optimizer", "schedule", "sample", "task"]
BUILT_IN = [
    (kind, claim.name) for kind in KINDS for claim in registry.claims(kind) if claim.ref.startswith("sparknn_zoo.")
]
# Architectures of many layers, with options that make them quick. With their defaults zoo/test_catalogue.py builds all
# of them, and zoo/test_architectures.py runs those of pictures; detectors run and are exported at small sizes alone.
SMALL = {
    "compact": {"width": 8},
    "convnext-atto": {"width": 8},
    "densenet-small": {"depth": 16},
    "ft_transformer": {"dim": 16, "depth": 1, "heads": 2},
    "mobilenet_v2": {"width": 0.35},
    "resnet18": {"width": 8},
    "resnet20": {"width": 4},
    "resnet34": {"width": 4},
    "resnet50": {"width": 4},
    "resnet56": {"width": 2},
    "resnet9": {"width": 8},
    "resnet_mlp": {"width": 16, "depth": 1},
    "text_transformer": {"dim": 16, "depth": 1, "heads": 2},
    "centernet": {"width": 8, "channels": 16},
    "fcos": {"width": 8, "channels": 16},
    "vgg-small": {"width": 8},
    "vit-tiny": {"dim": 48, "depth": 2},
}
BRIDGED = {"layers": 1, "width": 32, "heads": 2}
SMALL |= dict.fromkeys(("bert", "distilbert", "electra", "minilm", "modernbert", "roberta"), BRIDGED)
DETRS = ("conditional_detr", "d_fine", "deformable_detr", "deim_v2", "rt_detr_v2")
SMALL |= dict.fromkeys(DETRS, BRIDGED | {"layers": 2, "queries": 8, "backbone": 8})
SMALL["yolos"] = BRIDGED | {"queries": 8}
BROKEN = [
    pair
    for module in (general, architectures, detectors, layers, preprocessors, texts, training, others)
    for pair in module.FAULTS
]

# PyTorch's own exporter says this of its own code.
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("kind", "name"), BUILT_IN, ids=lambda value: value)
def test_every_built_in_keeps_to_its_contract(kind, name):
    assert check_plugin(registry.get(kind, name)).passed


@pytest.mark.parametrize("name", registry.names("architecture"))
def test_every_built_in_architecture_keeps_to_its_contract(name):
    report = check_plugin(registry.get("architecture", name), SMALL.get(name))
    assert "ONNX Runtime agrees" in str(report)


@pytest.mark.parametrize(("plugin", "sentence"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_plugin_fails_with_the_sentence_that_names_its_fault(plugin, sentence):
    with pytest.raises(PluginError, match=re.escape(sentence)):
        check_plugin(plugin)


def test_candidates_are_a_set_whose_members_must_all_be_there():
    here = torch.tensor([[[0.0, 1.0], [5.0, 5.0], [9.0, 2.0]]])
    case = Case("sets", torch.nn.Identity, dict, unordered=True)

    def same(there):
        return all(torch.allclose(a, b, atol=CLOSE, rtol=CLOSE) for a, b in pairs(case, here, there))

    assert same(here[:, [2, 0, 1]] + 1e-4)
    assert not same(here[:, [2, 0, 0]])  # one is missing
    assert not same(torch.cat([here[:, :2], here[:, 2:] + 0.1], 1))  # one is another


def test_a_step_that_takes_long_for_a_long_text_is_named(monkeypatch):
    monkeypatch.setattr("sparknn_magic.testing.texts.SECONDS", 0.3)
    with pytest.raises(
        PluginError, match=r"it takes 0\.5 s for a text of 100,000 characters \(letters without a space\)"
    ):
        check_plugin(texts.slow)


def test_a_function_without_a_decorator_is_no_plugin():
    with pytest.raises(PluginError, match="escape has no decorator of"):
        check_plugin(re.escape)


def test_the_shell_prints_what_was_checked_and_fails_where_something_is_wrong(capsys, package):
    package(
        "strange_checked",
        "[sparknn.schedules]\nstrange_even = strange_checked:even\nstrange_odd = strange_checked:odd\n"
        "strange_gone = strange_checked:gone\n",
        """
        from sparknn_magic.plugin import schedule

        @schedule("strange_even", source="Me", licence="MIT")
        def even(steps, epoch_steps):
            '''Step number -> factor.'''
            return lambda step: 1.0

        @schedule("strange_odd", source="Me", licence="MIT")
        def odd(steps, epoch_steps):
            '''Step number -> factor.'''
            return lambda step: float("nan")
        """,
    )
    assert main(["check", "strange_checked"]) == 1
    said = capsys.readouterr()
    assert "schedule strange_even: ok\n" in said.out
    assert "schedule strange_odd: FAULTY\n  FAULT  its factor at step 0 of 100 is not finite." in said.out
    assert "strange_checked has no 'gone'" in said.out
    assert said.err == "error: 2 of the 3 plugins of strange_checked have faults.\n"


def test_the_shell_names_the_packages_that_have_plugins(capsys):
    assert main(["check", "sparknn-magick"]) == 1
    assert (
        "no package 'sparknn-magick' with plugins is installed. Did you mean 'sparknn-magic'?"
        in capsys.readouterr().err
    )


def test_a_package_without_plugins_is_unknown():
    with pytest.raises(UnknownName, match="no package 'numpy' with plugins"):
        registry.of_package("numpy")
