"""Completion as IPython, its kernel and a Spark session give it."""

import json
import threading
import time

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from sparknn_magic.notebook.completion import complete
from sparknn_magic.notebook.completion_rows import SparkCatalog
from tests.notebook.kernels import kernel

CELL = "%%sparknn train fashion\ntask: image-classification\ndata: {train: products}\nmodel: resnet1"
QUICK = 0.1  # seconds


@pytest.fixture
def shell():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "sparknn_magic")
    yield shell
    InteractiveShell.clear_instance()


def completed(shell, cell: str, cursor: int | None = None) -> list[tuple[str, str]]:
    """What the whole text becomes with each completion, and its kind."""
    cursor = len(cell) if cursor is None else cursor
    with provisionalcompleter():
        found = list(shell.Completer.completions(cell, cursor))
    return [(cell[: each.start] + each.text + cell[each.end :], each.type) for each in found]


def test_ipythons_completer_offers_ours_alone(shell):
    assert completed(shell, CELL) == [(f"{CELL}8", "plugin")]
    offered = [text.split("\n")[-1] for text, _ in completed(shell, f"{CELL}\ntrain:\n  ")]
    assert "  epochs: " in offered
    assert len(offered) == len(set(offered))
    assert not any(text.strip().startswith(("%", "print")) for text in offered)


def test_ipythons_older_way_knows_lines_and_cells(shell):
    with pytest.warns(PendingDeprecationWarning):
        assert shell.complete("", "%sparknn zoo opti", 17) == ("opti", ["optimizers"])
    with pytest.warns(PendingDeprecationWarning):
        assert shell.complete("", CELL, len(CELL)) == ("resnet1", ["resnet18"])


def test_cells_of_python_are_left_to_ipython(shell):
    assert "import json" in [text for text, _ in completed(shell, "import jso")]
    assert all(kind != "plugin" for _, kind in completed(shell, "model = 'resnet1"))


def test_a_kernel_completes_in_a_cell_of_many_lines_and_imports_neither_torch_nor_spark(tmp_path):
    with kernel(tmp_path) as running:
        assert running.run("%load_ext sparknn_magic")["status"] == "ok"

        def ask(cell: str, cursor: int) -> dict:
            return running.client.complete(cell, cursor, reply=True, timeout=60)["content"]

        cell = CELL.replace("model", "# größe 😀\nmodel") + "\naugment: [mix]\n"
        first = ask(cell, cell.index("\naugment"))
        assert first["matches"] == ["resnet18"]
        assert cell[first["cursor_start"] : first["cursor_end"]] == "resnet1"
        for cursor in (cell.index("\naugment"), cell.index("mix") + 3, cell.index("data") + 2):
            started = time.monotonic()
            assert ask(cell, cursor)["matches"]
            assert time.monotonic() - started < 5 * QUICK  # there and back, on a machine that is busy
        running.run("import sys, json; loaded = json.dumps(sorted({'torch', 'pyspark'} & set(sys.modules)))")
        said = running.client.execute_interactive  # the kernel's own word, by user expressions
        reply = said("", user_expressions={"loaded": "loaded"}, timeout=60, output_hook=lambda _: None)
        shown = reply["content"]["user_expressions"]["loaded"]["data"]["text/plain"]
        assert json.loads(shown.strip("'")) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # py4j's sockets
def test_a_session_s_tables_views_and_columns_are_offered_and_no_job_runs(spark):
    spark.sql("SELECT 1 AS id, 'a' AS colour, 2.0 AS price").createOrReplaceTempView("zz_view")
    names = {"zz_held": spark.table("zz_view").select("price")}
    catalog, status = SparkCatalog(wait=30, kept=60), spark.sparkContext.statusTracker()
    jobs = status.getJobIdsForGroup(None)

    def offered(body: str) -> tuple[str, ...]:
        cell = f"%%sparknn train m\ntask: vector-classification\ndata:\n  train: {body}"
        return complete(cell, len(cell), names, catalog).texts

    assert offered("zz_v") == ("zz_view",)
    assert offered("zz_h") == ("zz_held",)
    assert offered("zz_view\n  label: ") == ("id", "colour", "price")
    assert offered("zz_held\n  label: ") == ("price",)
    assert offered("SELECT * FROM zz_v") == ("zz_view",)
    assert offered("SELECT price AS p, colour FROM zz_view\n  label: ") == ("p", "colour")
    assert offered("SELECT 1 FROM no_such_view\n  label: no") == ()
    assert status.getJobIdsForGroup(None) == jobs
    started = time.monotonic()
    offered("zz_view\n  label: ")
    assert time.monotonic() - started < QUICK
    spark.catalog.dropTempView("zz_view")


class Slow:
    """A session whose metastore does not answer."""

    def __init__(self):
        self.released = threading.Event()

    def sql(self, query):
        self.released.wait(30)
        return self

    def collect(self):
        return []


def test_a_catalog_that_does_not_answer_holds_nobody_up():
    session = Slow()
    catalog, started = SparkCatalog(wait=0.05, session=lambda: session), time.monotonic()
    assert list(catalog.tables()) == []
    assert list(catalog.tables()) == []
    assert time.monotonic() - started < 1
    session.released.set()
