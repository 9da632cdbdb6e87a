"""What the text of a plugin's module tells, held against the plugin itself."""

import pytest

from sparknn_magic import registry
from sparknn_magic.initializers import ITEMS
from sparknn_magic.notebook import completion_plugins as plugins

KINDS = ("architecture", "layer", "preprocessor", "augmentation", "tokenizer", "loss", "optimizer", "schedule", "task")
CLAIMS = [(kind, claim) for kind in KINDS for claim in registry.claims(kind) if claim.entry is not None]
MADE_OF_TORCH = "sparknn_zoo.optimizers.of_torch"  # their signatures are torch's own, which no text of ours has


@pytest.mark.parametrize(("kind", "claim"), [pytest.param(k, c, id=f"{k}-{c.name}") for k, c in CLAIMS])
def test_the_text_of_a_built_in_tells_what_the_plugin_says(kind, claim):
    read, true = plugins.of_text(kind, claim.entry), plugins.of_item(registry.get(kind, claim.name))
    assert read.tasks == true.tasks
    if not claim.ref.startswith(MADE_OF_TORCH):
        assert read.main == true.main
        assert read == true


def test_initializers_are_read_without_their_module():
    assert plugins.names("initializer") == sorted(ITEMS)


def test_a_plugin_of_the_notebook_or_of_another_package_is_known(package):
    package(
        "strange_nets",
        "[sparknn.architectures]\nodd = strange_nets:odd\n",
        """
        from typing import Literal
        from sparknn_magic.plugin import architecture
        KIND, OTHER = "image-classification", "object-detection"
        Mode = Literal["fast", "slow"]
        @architecture("odd", task=(KIND, OTHER), source="me")
        def odd(inputs, outputs, *, mode: "Mode" = "fast", deep: bool = False):
            raise RuntimeError
        """,
    )
    found = plugins.outline("architecture", "odd")
    assert found.tasks == ("image-classification", "object-detection")
    assert found.options == (plugins.Option("mode", ("fast", "slow")), plugins.Option("deep", ("true", "false")))
    assert "odd" in plugins.names("architecture", "object-detection")
    assert "odd" not in plugins.names("architecture", "text-classification")


def test_a_module_that_cannot_be_read_leaves_everything_open(package):
    package("strange_text", "[sparknn.losses]\nworse = strange_text:worse\ngone = strange_gone:gone\n", "def (:")
    for name in ("worse", "gone", "no_such_loss"):
        assert plugins.outline("loss", name) == plugins.Outline()
    assert {"worse", "gone"} <= set(plugins.names("loss", "image-classification"))
