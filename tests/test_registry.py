"""Plugins are found by their entry points: listed without an import, loaded one by one, harmless when they fail."""

import sys
import textwrap

import pytest

from sparknn_magic import registry
from sparknn_magic.errors import PluginError, UnknownName


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package, as pip leaves one: `package(name, entry points, module text)`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name, points, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(textwrap.dedent(points))
        registry.refresh()

    yield install
    monkeypatch.undo()
    registry.refresh()
    for module in [m for m in sys.modules if m.startswith("strange_")]:
        del sys.modules[module]


GOOD = """
from sparknn_magic.plugin import architecture

@architecture("{name}", task="image-classification", source="Strange 2026")
def build(inputs, outputs, *, width: int = 4):
    '''float32[batch, channels, height, width] -> logits float32[batch, outputs].'''
"""


def test_listing_imports_neither_the_zoo_nor_torch(run_script):
    done = run_script(
        """
        import sys
        from sparknn_magic import registry
        print(registry.names("architecture"), registry.names("loss"))
        print([m for m in sys.modules if m.split(".")[0] in ("torch", "sparknn_zoo", "pyspark", "pydantic")])
        """
    )
    first, second = done.stdout.strip().splitlines()
    assert "'resnet18'" in first
    assert "'cross_entropy'" in first
    assert second == "[]"


def test_the_built_ins_are_listed():
    assert len(registry.names("architecture")) == 14
    assert {"adamw", "sgd"} <= set(registry.names("optimizer"))
    assert {"one_cycle", "cosine", "step"} <= set(registry.names("schedule"))


def test_everything_listed_loads():
    items, failures = registry.load_all()
    assert failures == []
    assert {item.name for item in items if item.kind == "architecture"} == set(registry.names("architecture"))


def test_a_package_of_ones_own_adds_an_architecture(package):
    package("strange_one", "[sparknn.architectures]\nodd = strange_one:build\n", GOOD.format(name="odd"))
    assert registry.get("architecture", "odd").source == "Strange 2026"
    assert "odd" in registry.names("architecture")


def test_hyphens_and_underscores_are_the_same():
    assert registry.get("architecture", "vgg_small") is registry.get("architecture", "vgg-small")


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownName) as caught:
        registry.get("architecture", "resnet81")
    assert str(caught.value) == (
        "there is no architecture named 'resnet81'. Did you mean 'resnet18'?\n"
        "`%sparknn zoo architectures` lists all 14."
    )


def test_two_packages_that_claim_one_name_are_both_named_and_one_can_be_chosen(package):
    package("strange_two", "[sparknn.architectures]\nresnet18 = strange_two:build\n", GOOD.format(name="resnet18"))
    with pytest.raises(PluginError) as caught:
        registry.get("architecture", "resnet18")
    assert "claimed by sparknn-magic (sparknn_zoo.vision.resnet:resnet18) and strange_two" in str(caught.value)
    assert registry.get("architecture", "strange_two:resnet18").source == "Strange 2026"


def test_a_package_that_does_not_import_harms_only_itself(package):
    package("strange_three", "[sparknn.losses]\nbroken = strange_three:loss\n", "import no_such_module_here\n")
    items, failures = registry.load_all(["loss"])
    assert "cross_entropy" in {item.name for item in items}
    assert [(f.name, f.package) for f in failures] == [("broken", "strange_three")]
    assert "No module named 'no_such_module_here'" in failures[0].reason


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def build(): pass", "has no @architecture decorator"),
        (GOOD.format(name="x").replace("architecture(", "layer(").replace("import architecture", "import layer")
         .replace(', task="image-classification"', ""), "is listed as architectures but is decorated as a layer"),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_what_it_says_is_named(package, text, words):
    package("strange_four", "[sparknn.architectures]\nx = strange_four:build\n", text)
    with pytest.raises(PluginError, match=words):
        registry.get("architecture", "x")
