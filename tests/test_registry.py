"""Plugins are found by their entry points: listed without an import, loaded one by one, harmless when they fail."""

import shutil

import pytest

from sparknn_magic import registry
from sparknn_magic.errors import PluginError, UnknownName
from sparknn_magic.show.zoo_listing import zoo
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve

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
    assert {"resnet18", "mlp", "vit-tiny"} <= set(registry.names("architecture"))
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
        f"`%sparknn zoo architectures` lists all {len(registry.names('architecture'))}."
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


LOSS = """
from sparknn_magic.plugin import loss

@loss({words})
def build():
    '''(float32[N, K], int64[N]) -> float32[N].'''
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def build(): pass", "strange_four:build is listed as the loss 'x' but has no @loss decorator."),
        (
            GOOD.format(name="x"),
            "strange_four:build is listed as losses but is decorated as an architecture.\n"
            'strange_four is to list it under [project.entry-points."sparknn.architectures"].',
        ),
        (LOSS.format(words="'y'"), "strange_four:build is listed as 'x' but its decorator names it 'y'."),
        (
            "def builds(): pass",
            "the loss 'x' of strange_four is listed as strange_four:build, but strange_four has no 'build'. "
            "Did you mean 'builds'?",
        ),
        ("import sys; sys.exit('no')", "the loss 'x' of strange_four does not import: SystemExit: no"),
        ("1 / 0", "the loss 'x' of strange_four does not import: ZeroDivisionError: division by zero"),
        (
            LOSS.format(words="'x', requires='sparknn-magic>=99'"),
            "the loss 'x' of strange_four needs sparknn-magic>=99, and 0.1.0 is installed.\n"
            "pip install --upgrade 'sparknn-magic>=99'",
        ),
        (
            LOSS.format(words="'x', requires='no-such-package>2'"),
            "the loss 'x' of strange_four needs no-such-package>2, and none is installed.\n"
            "pip install --upgrade 'no-such-package>2'",
        ),
    ],
)
def test_an_entry_that_is_not_what_it_says_is_named(package, text, words):
    package("strange_four", "[sparknn.losses]\nx = strange_four:build\n", text)
    with pytest.raises(PluginError) as caught:
        registry.get("loss", "x")
    assert str(caught.value) == words
    assert registry.get("loss", "cross_entropy").name == "cross_entropy", "the rest of the zoo goes on"


def test_a_package_for_a_newer_version_is_named_before_it_is_imported(package):
    facts = "Requires-Dist: sparknn-magic[train]>=99; python_version > '3'\nRequires-Dist: numpy\n"
    package("strange_five", "[sparknn.losses]\nx = strange_five:build\n", "from sparknn_magic import tomorrow", facts)
    with pytest.raises(PluginError) as caught:
        registry.get("loss", "x")
    assert str(caught.value).startswith("the loss 'x' of strange_five needs sparknn-magic>=99, and 0.1.0 is installed.")


def test_a_module_that_is_not_there_is_named(package):
    package("strange_six", "[sparknn.losses]\nx = strange_away.losses:build\n", "")
    with pytest.raises(
        PluginError, match=r"listed as strange_away.losses:build, but there is no module 'strange_away'"
    ):
        registry.get("loss", "x")


def test_an_entry_point_of_a_group_that_nobody_reads_is_among_the_failures(package):
    package("strange_seven", "[sparknn.architecture]\nodd = strange_seven:build\n", GOOD.format(name="odd"))
    failures = registry.load_all()[1]
    assert [(f.name, f.package, f.reason) for f in failures] == [
        ("odd", "strange_seven", "there is no group 'sparknn.architecture'. Did you mean 'sparknn.architectures'?")
    ]


def test_two_strangers_of_one_name_are_both_used_by_their_packages(package):
    for name in ("strange_eight", "strange_nine"):
        text = GOOD.format(name="same").replace("Strange 2026", name)
        package(name, f"[sparknn.architectures]\nsame = {name}:build\n", text)
    with pytest.raises(PluginError) as caught:
        registry.get("architecture", "same")
    assert str(caught.value) == (
        "the architecture 'same' is claimed by strange_eight (strange_eight:build) and strange_nine "
        "(strange_nine:build).\nWrite 'strange_eight:same' or 'strange_nine:same' to choose one."
    )
    assert registry.find("strange-nine:same").source == "strange_nine"
    assert [item.source for item in registry.select("strange_eight")[0]] == ["strange_eight"]
    table = repr(zoo("architectures"))
    assert "strange_eight:same" in table
    assert "strange_nine:same" in table


def test_a_cell_names_a_plugin_by_its_package(package):
    package("strange_two", "[sparknn.architectures]\nresnet18 = strange_two:build\n", GOOD.format(name="resnet18"))
    cell = "task: image-classification\ndata: {train: t}\nmodel:\n  strange_two:resnet18: {width: 7}\n"
    resolved = resolve(Experiment.parse(cell))
    assert (resolved.model.item.source, resolved.model.options) == ("Strange 2026", {"width": 7})
    with pytest.raises(PluginError) as caught:
        resolve(Experiment.parse(cell.replace("strange_two:", "")))
    assert str(caught.value).startswith("line 4, column 3: the architecture 'resnet18' is claimed by sparknn-magic")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "nowhere:resnet18",
            "there is no architecture named 'resnet18' in a package 'nowhere'; sparknn-magic has one.",
        ),
        ("sparknn-magic:resnet81", "named 'resnet81' in a package 'sparknn-magic'. Did you mean 'resnet18'?"),
        ("sparknn-magik:resnot", "in a package 'sparknn-magik'. Did you mean 'sparknn-magic'?"),
    ],
)
def test_a_package_or_a_name_in_it_that_does_not_exist_is_told(name, words):
    with pytest.raises(UnknownName) as caught:
        registry.get("architecture", name)
    assert words in str(caught.value)


def test_the_licence_is_the_items_or_its_packages(package):
    package(
        "strange_ten",
        "[sparknn.losses]\nx = strange_ten:build\n",
        LOSS.format(words="'x'"),
        "License-Expression: MIT\n",
    )
    assert registry.licence(registry.get("loss", "x")) == "MIT"
    assert registry.licence(registry.get("loss", "cross_entropy")) == "Apache-2.0"


def test_a_package_that_is_installed_meanwhile_is_seen_and_one_that_is_removed_is_not(package, tmp_path):
    package("strange_eleven", "[sparknn.losses]\nfirst = strange_eleven:build\n", LOSS.format(words="'first'"))
    assert registry.get("loss", "first").name == "first"
    with pytest.raises(UnknownName, match="no loss named 'second'"):
        registry.get("loss", "second")
    package("strange_twelve", "[sparknn.losses]\nsecond = strange_twelve:build\n", LOSS.format(words="'second'"))
    assert registry.get("loss", "second").name == "second"
    shutil.rmtree(tmp_path / "strange_eleven-1.0.dist-info")
    assert "first" not in registry.names("loss")


def test_a_name_that_is_looked_up_again_reads_no_file(run_script):
    done = run_script("""
        import sys
        from sparknn_magic import registry

        def look():
            registry.get("architecture", "mlp")
            return registry.names("loss")

        first, opened = look(), []
        sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
        assert look() == first
        print("read:", opened)
    """)
    assert done.stdout == "read: []\n"
