"""The demos: what they would run is checked here without running it; `make demo` runs one."""

import pytest

from sparknn_magic.demo import DEMOS, demo
from sparknn_magic.errors import UnknownName
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.resolve import resolve


@pytest.mark.parametrize("what", DEMOS)
def test_a_demos_cell_has_plugins_that_are_there_and_writes_into_a_folder_of_its_own(what):
    shown = DEMOS[what]
    experiment = Experiment.parse(shown.cell, name=shown.name)
    resolve(experiment)
    assert experiment.export.folder == f"models/{shown.name}"
    assert all(f"{shown.name}(" in query for query in shown.queries)


def test_a_demo_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(UnknownName, match=r"only pictures, text, detect\. Did you mean 'detect'"):
        demo("detekt")
