"""The search of a learning rate in a notebook and in the shell, on a real Spark session."""

import contextlib

import pytest
from IPython.core.interactiveshell import InteractiveShell

from sparknn_magic import cli
from sparknn_magic.lr_finder import LearningRates
from sparknn_magic.notebook.display import LiveDisplay, sweep_progress
from tests.flow.small import views
from tests.notebook.test_magics import BODY, Notebook


@pytest.fixture(scope="module")
def notebook(spark, tmp_path_factory):
    """A notebook in an empty folder, and the views of the body."""
    views(spark)
    with contextlib.chdir(tmp_path_factory.mktemp("notebook")):
        notebook = Notebook()
        notebook.names.update(spark=spark)
        yield notebook
        InteractiveShell.clear_instance()


def test_the_cell_prints_the_suggestion_and_binds_the_curve(notebook, capsys):
    notebook.run(f"%%sparknn lr-find fashion --steps 30 --start 1e-4 --end 1 train.batch_size=64\n{BODY}")
    found = notebook.names["fashion_lr"]
    assert isinstance(found, LearningRates)
    assert found.rates[0] == pytest.approx(1e-4)
    assert len(found.rates) <= 30
    assert repr(found) in capsys.readouterr().out
    assert "fashion" not in notebook.names


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fashion --steps many", r"lr-find: --steps must be a whole number, not 'many'."),
        ("fashion --start low", r"lr-find: --start must be a number, not 'low'."),
        ("fashion --step 30", r"lr-find has no option '--step'. Did you mean '--steps'?"),
        ("fashion --end 1e-9", r"lr-find: the rates go from 1e-07 to 1e-09; the first must be above 0"),
        ("", "lr-find: a name is missing."),
    ],
)
def test_a_wrong_line_is_answered_before_anything_runs(notebook, line, words):
    assert words in notebook.fails(f"%%sparknn lr-find {line}\n{BODY}")


def test_the_panel_of_a_notebook_names_the_search_and_ends_as_the_picture(notebook, monkeypatch):
    shell = notebook.shell
    monkeypatch.setattr(type(shell), "kernel", object(), raising=False)
    view = sweep_progress(shell, "fashion")
    assert isinstance(view, LiveDisplay)
    assert "looking for a learning rate for fashion" in view.state.html()
    assert "export" not in view.state.html()
    view.replace(LearningRates([1e-4 * 10 ** (n / 9) for n in range(10)], [2.0 - 0.1 * n for n in range(10)], 1.0))
    shown = shell.display_pub.outputs[-1]["data"]
    assert "data:image/svg+xml" in shown["text/html"]
    assert shown["text/plain"].startswith("suggested learning rate: ")


def test_the_shell_prints_the_suggestion_and_writes_the_picture(notebook, capsys, spark):
    from pathlib import Path

    Path("fashion.yaml").write_text(BODY)
    words = ["lr-find", "fashion.yaml", "--steps", "20", "--start", "1e-4", "--end", "1", "--picture", "rates.svg"]
    assert cli.main([*words, "train.workers=1"]) == 0
    assert "learning rate" in capsys.readouterr().out
    assert Path("rates.svg").read_text().lstrip().startswith("<?xml")
    assert cli.main(["lr-find", "fashion.yaml", "--steps", "few"]) == 1
    assert "--steps must be a whole number, not 'few'" in capsys.readouterr().err
