"""The zoo as it is listed: by task, kind, size and source, and without importing what tells of itself."""

import json
import re

import pytest

from sparknn_magic.errors import SpecError, UnknownName
from sparknn_magic.listing import FILE, Entry, listed
from sparknn_magic.show.zoo_listing import Zoo, zoo
from tests.show.conftest import HOSTILE
from tests.show.test_report import Reader

PLUGIN = '''
    import strange_is_imported
    from sparknn_magic.plugin import architecture

    @architecture("fourfold", task="image-classification", source="Strange 2026", notes={"parameters": 4})
    def build(inputs, outputs):
        """float32[B, C, H, W] -> float32[B, outputs]."""
'''
POINTS = "[sparknn.architectures]\nfourfold = {name}:build\n"


def named(found):
    return [entry.name for entry in found[0]]


def test_listing_all_built_in_plugins_imports_neither_torch_nor_any_of_them(run_script):
    done = run_script(
        """
        import sys
        import sparknn_magic
        shown = sparknn_magic.zoo()
        print("resnet18" in repr(shown), "resnet18" in shown._repr_html_())
        print([name for name in ("torch", "kornia", "pyspark", "matplotlib", "sparknn_zoo") if name in sys.modules])
        """
    )
    assert done.stdout.split("\n")[:2] == ["True True", "[]"]


def test_a_task_has_the_parameters_that_its_networks_have_for_it():
    mlp = next(entry for entry in listed("architectures")[0] if entry.name == "mlp")
    # Two hidden layers of 256: of 18 columns one number is learnt, of 3x32x32 pixels ten classes.
    columns, pixels = (18 + 1) * 256 + 257 * 256 + 257, (3072 + 1) * 256 + 257 * 256 + 257 * 10
    assert mlp.counts("vector-regression") == [columns]
    assert mlp.counts("image-classification") == [pixels]
    assert mlp.counts() == [columns, pixels]


def test_sizes_part_the_networks_at_one_and_ten_million_parameters():
    sizes = {size: named(listed("image-classification", size=size)) for size in ("small", "medium", "large")}
    assert "lenet5" in sizes["small"]
    assert "resnet9" in sizes["medium"]
    assert "resnet18" in sizes["large"]
    assert not set(sizes["small"]) & set(sizes["large"])
    assert "cross_entropy" not in sizes["small"]
    assert Entry("architecture", "x", parameters={"": 1_000_000}).sizes() == ["medium"]
    with pytest.raises(SpecError) as caught:
        listed(size="smal")
    assert str(caught.value) == (
        "zoo: there is no size 'smal'. Did you mean 'small'?\n"
        "Sizes: small: below 1 million parameters, medium: below 10 million, large: 10 million and more."
    )


def test_a_package_is_a_source_with_its_version_and_the_size_that_it_declares(package):
    package("strange_list", POINTS.format(name="strange_list"), PLUGIN.replace("import strange_is_imported", ""))
    assert named(listed(source="strange-list")) == ["fourfold"]
    (entry,) = listed("architectures", source="strange_list")[0]
    assert (entry.source, entry.counts(), entry.sizes()) == ("strange_list 1.0", [4], ["small"])
    assert "fourfold" not in named(listed("architectures", source="built-in"))
    assert named(listed("losses", source="strange_list")) == []
    with pytest.raises(UnknownName) as caught:
        listed(source="strange_lisp")
    assert str(caught.value).startswith("zoo: there is no source 'strange_lisp'. Did you mean 'strange_list'?\n")


def test_what_does_not_load_is_named_and_what_a_package_writes_down_is_not_imported(package, tmp_path):
    package("strange_bad", POINTS.format(name="strange_bad"), PLUGIN)
    entries, failures = listed("architectures", source="strange_bad")
    assert entries == []
    assert [(f.name, "No module named 'strange_is_imported'" in f.reason) for f in failures] == [("fourfold", True)]
    folder = tmp_path / "strange_told"
    folder.mkdir()
    (folder / "__init__.py").write_text("import strange_is_imported\n")
    said = {"kind": "architecture", "name": "fourfold", "ref": "strange_told:build", "parameters": {"": 4_000_000}}
    (folder / FILE).write_text(json.dumps({"plugins": [said]}))
    package("strange_told", POINTS.format(name="strange_told"), "")
    (entry,) = listed("architectures", source="strange_told")[0]
    assert (entry.name, entry.sizes()) == ("strange_told:fourfold", ["medium"])


def test_a_file_that_cannot_be_read_harms_only_its_own_package(package, tmp_path):
    (tmp_path / "strange_torn").mkdir()
    (tmp_path / "strange_torn" / "__init__.py").write_text("")
    (tmp_path / "strange_torn" / FILE).write_text("{")
    package("strange_torn", POINTS.format(name="strange_torn"), "")
    entries, failures = listed("architectures")
    assert "resnet18" in [entry.name for entry in entries]
    assert [f.kind for f in failures] == ["file", "architecture"]
    assert "cannot be read: JSONDecodeError" in failures[0].reason


def test_the_page_has_a_list_for_each_filter_and_rules_without_a_script():
    html = zoo(source="built-in")._repr_html_()
    read = Reader(html)
    assert read.tags.count("select") == 2  # all are built in
    assert read.tags.count("option") == 1 + 7 + 1 + 3
    assert (read.handlers, read.loads, "script" in read.tags) == ([], [], False)
    assert ".sparknn.zoo:has(option.size0:checked) tr.item:not(.size0) { display: none; }" in html
    row = html[html.rindex("<tr", 0, html.index("<code>resnet18</code>")) : html.index("<code>resnet18</code>")]
    assert "size2" in row
    assert "size0" not in row


def test_the_lists_are_hidden_where_the_rules_are_taken_away():
    html = zoo(source="built-in")._repr_html_()
    assert '<div class="filters" hidden="hidden">' in html
    assert ".sparknn.zoo .filters { display: flex;" in html


def test_where_no_plugin_fits_two_choices_the_page_says_so():
    html = zoo(source="built-in")._repr_html_()
    tasks = re.findall(r'<option class="(task\d)">([^<]+)', html)
    said = [name for mark, name in tasks if f"(option.{mark}:checked):has(option.size0:checked) .none" in html]
    assert "object-detection" in said
    assert "image-classification" not in said
    assert "Nothing in this list is both." in Reader(html).text


def test_a_source_that_all_have_is_no_column_and_shapes_that_all_have_are_not_told():
    shown = zoo("text-classification", source="built-in")
    assert "<th>source</th>" not in shown._repr_html_()
    assert "<td>Convolutions over words, the strongest match of each counts</td>" in shown._repr_html_()
    assert "ids, mask" not in repr(shown)


def test_whatever_a_package_says_shows_as_text():
    entry = Entry("loss", HOSTILE, (HOSTILE,), HOSTILE, HOSTILE, HOSTILE)
    shown = Zoo([entry, Entry("loss", "b")])
    read = Reader(shown._repr_html_())
    assert read.text.count(HOSTILE) >= 5
    assert "img" not in read.tags
