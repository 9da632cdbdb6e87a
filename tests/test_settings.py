"""What a project sets for all its cells."""

import contextlib

import pytest
from IPython.core.interactiveshell import InteractiveShell

from sparknn_magic.errors import SpecError
from sparknn_magic.settings import Settings, choose, models_folder, runs_folder, settings
from sparknn_magic.spec.experiment import Experiment

CELL = "task: image-classification\ndata: {train: products}\nmodel: mlp\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder below a project's; `project(text)` writes its pyproject.toml."""
    monkeypatch.delenv("SPARKNN_RUNS", raising=False)
    inside = tmp_path / "notebooks" / "deep"
    inside.mkdir(parents=True)

    def write(text):
        (tmp_path / "pyproject.toml").write_text(text)
        return tmp_path

    with contextlib.chdir(inside):
        yield write
    choose(runs=None, models=None, train=None)


def test_without_a_project_the_defaults_hold(project):
    assert settings() == Settings("sparknn_runs", "models", {})
    project("[project]\nname = 'other'\n")
    assert settings() == Settings()


def test_the_nearest_project_counts_and_its_folders_are_its_own(project):
    folder = project("[tool.sparknn]\nruns = 'work/runs'\nmodels = '/data/models'\n[tool.sparknn.train]\nworkers = 2\n")
    assert runs_folder() == folder / "work" / "runs"
    assert str(models_folder()) == "/data/models"
    assert Experiment.parse(CELL).train.workers == 2
    assert Experiment.parse(CELL + "train: {workers: 1, seed: 3}").train.workers == 1
    assert Experiment.parse(CELL + "train: {seed: 3}").train.workers == 2


def test_a_task_that_trains_nothing_has_none_of_it(project):
    project("[tool.sparknn.train]\nworkers = 2\n")
    cell = "task: text-embedding\ndata: {train: faq}\nmodel: {minilm: {pretrained: files}}\n"
    assert Experiment.parse(cell).train == Experiment.parse(CELL + "train: {workers: auto}").train


def test_the_environment_and_what_is_given_go_before(project, monkeypatch):
    project("[tool.sparknn]\nruns = 'work'\n")
    monkeypatch.setenv("SPARKNN_RUNS", "/of/the/environment")
    assert str(runs_folder()) == "/of/the/environment"
    assert str(runs_folder("/given")) == "/given"


def test_config_in_a_notebook_goes_before_the_project(project):
    project("[tool.sparknn]\nmodels = 'theirs'\n[tool.sparknn.train]\nworkers = 2\n")
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "sparknn_magic")
        shell.run_line_magic("config", "SparkNNMagics.train = {'workers': 3}")
        shell.run_line_magic("config", "SparkNNMagics.models = 'mine'")
        assert Experiment.parse(CELL).train.workers == 3
        assert str(models_folder()) == "mine"
        shell.run_line_magic("config", "SparkNNMagics.train = {}")
        assert Experiment.parse(CELL).train.workers == 2
    finally:
        InteractiveShell.clear_instance()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.sparknn]\nrun = 'x'\n", r"pyproject.toml: \[tool.sparknn\] has no key 'run'. Did you mean 'runs'\?"),
        ("[tool.sparknn]\ntrain = 3\n", r"train is a table, as a cell's `train:`, not 3"),
        ("[tool.sparknn]\nruns = ''\n", r"runs is a folder, not ''"),
        ("[tool]\nsparknn = 3\n", r"\[tool.sparknn\] is no table of settings"),
        ("[tool.sparknn\n", r"pyproject.toml' cannot be read: "),
        ("[tool.sparknn.train]\nworkers = 0\n", r"the project's settings, train: workers must be .*not 0"),
        ("[tool.sparknn.train]\nworker = 1\n", r"settings, train: no key 'worker'. Did you mean 'workers'\?"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(project, text, words):
    project(text)
    with pytest.raises(SpecError, match=words):
        Experiment.parse(CELL)
