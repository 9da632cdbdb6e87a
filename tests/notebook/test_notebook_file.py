"""Notebooks run in real kernels: what a saved notebook holds, and what an interrupt leaves behind."""

import os
import re
import time
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

from sparknn_magic import registry
from sparknn_magic.notebook.display import NO_BUTTON
from tests.notebook.kernels import ROWS, START, TRAIN, descendants, execute, kernel, until

TYPO = "%%sparknn train fashion\ntask: image-classification\nmodel: resnet81\ndata: {train: products}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def saved(home):
    """A notebook that was run, saved and read again: the outputs of its cells."""
    cells = [
        "%load_ext sparknn_magic",
        START + ROWS,
        TYPO,
        TRAIN,
        "%%sparknn predict fashion --into scored\nSELECT id, image FROM products_test",
        "%sparknn evaluate fashion",
        "fashion",
    ]
    (home / "person").mkdir()
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))  # matplotlib's list of fonts is there
    env = {"HOME": str(home / "person"), "XDG_CACHE_HOME": cache}
    nbformat.write(execute(cells, home, allow_errors=True, env=env), home / "saved.ipynb")
    return [cell.outputs for cell in nbformat.read(home / "saved.ipynb", as_version=4).cells]


def test_loading_the_extension_shows_nothing(saved):
    assert saved[0] == []


def test_an_error_is_its_two_lines_with_the_cells_line_between(saved):
    (error,) = saved[2]
    said = "line 3, column 8: there is no architecture named 'resnet81'. Did you mean 'resnet18'?"
    hint = f"`%sparknn zoo architectures` lists all {len(registry.names('architecture'))}."
    assert error.output_type == "error"
    assert error.ename == "UnknownName"
    assert error.evalue == f"{said}\n{hint}"
    assert error.traceback == [f"UnknownName: {said}\n    model: resnet81\n           ^\n{hint}"]


def test_training_leaves_one_output_of_html_and_text(saved):
    (shown,) = saved[3]
    assert shown.output_type == "display_data"
    assert sorted(shown.data) == ["text/html", "text/plain"]
    text, html = shown.data["text/plain"], shown.data["text/html"]
    assert text.startswith("training fashion\nprepare: ")
    assert "epoch   2 of 2: loss" in text
    assert "fashion: image-classification\n=====" in text
    assert "model folder  models/fashion\nreport        sparknn_runs/fashion/" in text
    assert "About the model" in html
    assert "How the training went" in html
    assert html.count("<svg") == 2  # loss and accuracy
    assert "<script" not in html
    assert "progressbar" not in html


def test_every_other_result_has_html_and_text_too(saved):
    for outputs in saved[4:]:
        (shown,) = outputs
        assert sorted(shown.data) == ["text/html", "text/plain"]


def test_nbconvert_makes_a_page_of_it_with_the_curves(saved, home):
    page, _ = HTMLExporter().from_filename(str(home / "saved.ipynb"))
    body = page[page.index("<main") :]
    assert "How the training went" in body
    assert body.count("<svg") == 2
    assert "widget" not in body.lower()
    assert re.findall(r'src="(http[^"]+)"', body) == []


def test_no_thread_prints_anything_and_no_widget_is_kept(saved, home):
    assert [output for outputs in saved for output in outputs if output.output_type == "stream"] == []
    assert "widgets" not in nbformat.read(home / "saved.ipynb", as_version=4).metadata


def test_files_are_written_to_the_run_and_the_models_folder_and_none_to_the_persons_home(saved, home):
    assert [path for path in (home / "person").rglob("*") if path.is_file()] == []
    others = {"person", "saved.ipynb", "ipython", "runtime", "config"} | {"spark-warehouse"}  # Jupyter's and Spark's
    assert {path.name for path in home.iterdir()} - others == {"models", "sparknn_runs"}


README = Path(__file__).parents[2] / "README.md"


def test_as_readme_says_it_is_loaded_at_its_first_use_and_a_bad_cell_stops_nbclient(tmp_path):
    (setting,) = re.findall(r"`(c\.MagicsManager\.lazy_magics = [^`]+)`", README.read_text())
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(f"c = get_config()\n{setting}\n")
    with pytest.raises(CellExecutionError) as caught:
        execute([TYPO, "print('never')"], tmp_path)
    assert caught.value.ename == "UnknownName"
    assert caught.value.evalue.startswith("line 3, column 8: there is no architecture named 'resnet81'.")


def shown_text(running) -> str:
    """Return the text of the next output that is a display; "" for any other message."""
    return running.shown(seconds=120)["content"].get("data", {}).get("text/plain", "")


def test_an_interrupt_ends_the_training_and_its_processes_and_the_session_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "by hand.ipynb")  # as Jupyter's server sets it: a person sits before it
    endless = TRAIN.replace("epochs: 2", "epochs: 100000")
    with kernel(tmp_path) as running:
        assert running.run("%load_ext sparknn_magic")["status"] == "ok"
        assert running.run(START + ROWS)["status"] == "ok"
        sent = running.start(endless)
        seen = []
        while "epoch   2 of 100000" not in (text := shown_text(running)):
            seen.append(text)
        assert NO_BUTTON in seen  # where a frontend has no widgets
        ranks = computing(running.process, seconds=1)
        assert len(ranks) == 2
        start = time.monotonic()
        running.manager.interrupt_kernel()
        reply = running.wait(sent, seconds=10)
        assert reply["ename"] == "Interrupted"
        assert reply["evalue"] == "train was interrupted.\nFinished epochs are kept: run the cell again to go on."
        left = 10 - (time.monotonic() - start)
        assert until(lambda: ranks.isdisjoint(descendants(running.process)), left)
        assert computing(running.process, seconds=1) == set()

        counted = running.run("assert spark.table('products').count() == 400")
        assert counted["status"] == "ok", counted
        again = running.start(endless)
        while "goes on from the checkpoint of epoch" not in (text := shown_text(running)):
            assert "failed" not in text
        running.manager.interrupt_kernel()
        assert running.wait(again, seconds=10)["ename"] == "Interrupted"
        below = set(descendants(running.process))
    assert len(below) > 1  # Spark, and its daemon of Python workers
    assert until(lambda: not any(map(lives, below)), 20)


def test_an_interrupt_of_a_prediction_ends_its_job_too(saved, home):
    slow = "%%sparknn predict fashion --into scored\nSELECT id, slowly(image) AS image FROM products_test"
    with kernel(home) as running:  # where models/fashion is
        assert running.run("%load_ext sparknn_magic")["status"] == "ok"
        assert running.run(START + ROWS)["status"] == "ok"
        assert running.run(SLOWLY.replace("BEGUN", str(home / "begun")))["status"] == "ok"
        sent = running.start(slow)
        assert until((home / "begun").exists, 120)
        running.manager.interrupt_kernel()
        assert running.wait(sent, seconds=10)["evalue"] == "predict was interrupted."
        assert running.run(NO_JOB_IN_TEN_SECONDS)["status"] == "ok"
        assert running.run("assert [spark.range(n).count() for n in range(5)] == list(range(5))")["status"] == "ok"
        assert running.run("assert 'scored' not in globals()")["status"] == "ok"


NO_JOB_IN_TEN_SECONDS = """
import time

end = time.monotonic() + 10
while spark.sparkContext.statusTracker().getActiveJobsIds():
    assert time.monotonic() < end
    time.sleep(0.1)
"""
SLOWLY = """
from pyspark.sql.functions import udf

sparknn_magic.session()  # its workers are this interpreter from here on

@udf("binary")
def slowly(image):
    import time
    from pathlib import Path

    Path("BEGUN").touch()
    time.sleep(60)
    return image

spark.udf.register("slowly", slowly)
"""


def test_a_streams_display_goes_on_after_its_cell_until_it_ends(saved, home):
    arrive = "spark.sql('SELECT image FROM products_test LIMIT {0}').write.mode('append').parquet('arriving')"
    with kernel(home) as running:
        for cell in (START, ROWS, "%load_ext sparknn_magic", arrive.format(5)):
            assert running.run(cell)["status"] == "ok"
        reply = running.run(f"%%sparknn predict fashion --stream --into seen\n{home}/arriving")
        assert reply["status"] == "ok", reply["evalue"]
        assert until(lambda: "1 batch done, with 5 rows" in shown_text(running), 30)
        assert running.run(arrive.format(7))["status"] == "ok"
        assert until(lambda: "2 batches done, with 12 rows" in shown_text(running), 60)
        assert running.run("seen_stream.stop()")["status"] == "ok"
        assert until(lambda: "stopped: 2 batches done" in shown_text(running), 30)


def computing(process: int, seconds: float) -> set[int]:
    """Return the Python workers below a process that take CPU time within so many seconds."""
    before = {pid: cpu_time(pid) for pid, command in descendants(process).items() if "pyspark.daemon" in command}
    time.sleep(seconds)
    return {pid for pid, ticks in before.items() if ticks is not None and (cpu_time(pid) or 0) > ticks}


def lives(process: int) -> bool:
    """Return whether there is a process of this id that has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_time(process: int) -> int | None:
    """Return the clock ticks that a process has used; None where it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    return int(fields[11]) + int(fields[12])
