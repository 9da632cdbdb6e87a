import inspect
import json
import re
from pathlib import Path

import pytest
import torch

from sparknn_magic import registry
from sparknn_magic.plugin import ImageInputs
from tests.zoo import catalogue_tables

CATALOGUE = (Path(__file__).parents[2] / "zoo" / "README.md").read_text()
KINDS = ["preprocessor", "tokenizer", "augmentation", "loss", "optimizer", "schedule"]
OPTION = re.compile(r"(\*\*)?`(\w+)`(?:\*\*)?(?: (\[[^]]*\]|[^,\s]+))?")


def table(kind):
    """Return name -> the options column, of the section on this kind."""
    section = CATALOGUE.split(f"\n## {registry.plural(kind).capitalize()}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \|([^|]*)\|", section, re.MULTILINE)
    return {name: options.strip() for name, options in rows}


def plain(default):
    return list(default) if isinstance(default, tuple) else default


@pytest.mark.parametrize("kind", [*KINDS, "layer", "task", "architecture", "sample"])
def test_the_catalogue_lists_every_item(kind):
    assert sorted(table(kind)) == [name for name in registry.names(kind) if is_built_in(kind, name)]


def is_built_in(kind, name):
    return registry.get(kind, name).ref.startswith("sparknn_zoo.")


@pytest.mark.parametrize("kind", KINDS)
def test_the_catalogue_gives_every_option_with_its_default_and_the_main_one_in_bold(kind):
    for name, written in table(kind).items():
        item = registry.get(kind, name)
        parameters = inspect.signature(item.build).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        found = OPTION.findall(written)
        assert [option for _, option, _ in found] == list(defaults), name
        assert [option for bold, option, _ in found if bold] == ([item.main] if item.main else []), name
        for _, option, default in found:
            if defaults[option] is inspect.Parameter.empty:
                assert default == "", (name, option)
            elif isinstance(defaults[option], str):
                assert default == defaults[option], (name, option)
            else:
                value, expected = json.loads(default), plain(defaults[option])
                # What holds a null is compared as it is: approx takes none.
                assert value == expected or value == pytest.approx(expected, rel=1e-3), (name, option)


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_explained_in_the_docstring(kind):
    for name in table(kind):
        build = registry.get(kind, name).build
        for parameter in inspect.signature(build).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert re.search(rf"^{parameter.name}: \S", inspect.getdoc(build), re.MULTILINE), (name, parameter.name)


def test_the_example_of_the_catalogue_is_a_working_architecture():
    example = re.search(r"```python\n(.*?)```", CATALOGUE, re.DOTALL)[1]
    names = {"__name__": "example"}
    exec(example, names)
    network = names["tiny"].__sparknn__.build(ImageInputs(3, 8, 9), 10, width=4)
    assert network(torch.zeros(2, 3, 8, 9)).shape == (2, 10)


def test_the_list_is_what_the_plugins_say():
    made = catalogue_tables.listed()
    assert catalogue_tables.LIST.read_text(encoding="utf-8") == made, "run `python -m tests.zoo.catalogue_tables write`"


@pytest.mark.parametrize("name", catalogue_tables.TABLES)
def test_every_table_is_what_the_plugins_say(name):
    written, made = catalogue_tables.tables(CATALOGUE)[name]
    assert written == made, "run `python -m tests.zoo.catalogue_tables write`"


def test_every_built_in_is_in_a_table():
    assert [item.name for item in catalogue_tables.homeless()] == []
