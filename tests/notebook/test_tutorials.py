"""The tutorials run as a reader runs them, and are saved with what they show."""

import re
from pathlib import Path

import pytest

from tests.notebook import tutorials

ids = [file.stem for file in tutorials.FILES]


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def texts(output):
    """Return every text of an output, pictures left out."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return [*output.traceback, output.evalue]
    return [text for kind, text in output.data.items() if kind.startswith("text/")]


def must_fail(cell):
    return "raises-exception" in cell.metadata.get("tags", [])


def test_there_is_a_quickstart():
    assert "01_quickstart" in ids


@pytest.mark.parametrize("file", tutorials.FILES, ids=ids)
def test_a_tutorial_runs_and_shows_what_its_saved_copy_shows(file, tmp_path):
    saved, fresh = tutorials.read(file), tutorials.run(file, tmp_path)
    for before, after in zip(code_cells(saved), code_cells(fresh), strict=True):
        kinds = [sorted(output.get("data", {})) for output in after.outputs if output.output_type != "stream"]
        assert kinds == [sorted(output.get("data", {})) for output in before.outputs if output.output_type != "stream"]
        assert any(output.output_type == "error" for output in after.outputs) == must_fail(after)


@pytest.mark.parametrize("file", tutorials.FILES, ids=ids)
def test_a_saved_tutorial_has_outputs_and_pictures_in_order(file):
    saved = tutorials.read(file)
    assert [cell.execution_count for cell in code_cells(saved)] == list(range(1, len(code_cells(saved)) + 1))
    assert sum("image/png" in output.get("data", {}) for output in outputs(saved)) >= 2
    for cell in code_cells(saved):
        assert any(output.output_type == "error" for output in cell.outputs) == must_fail(cell)


@pytest.mark.parametrize("file", tutorials.FILES, ids=ids)
def test_a_saved_tutorial_names_no_folder_of_the_machine_it_ran_on(file):
    found = [text for output in outputs(tutorials.read(file)) for text in texts(output)]
    folders = re.compile(r"(?<![\w./>])/(?:tmp|home|root|Users|usr|opt|var|work|mnt)/\S*")
    assert [match.group() for text in found for match in folders.finditer(text)] == []
    assert not any(str(Path.home()) in text for text in found)


def test_the_quickstarts_model_is_right_nine_times_of_ten():
    saved = tutorials.read(tutorials.FOLDER / "01_quickstart.ipynb")
    shown = next(text for output in outputs(saved) for text in texts(output) if text.startswith("training fashion"))
    assert float(re.search(r"accuracy +([\d.]+) ", shown)[1]) >= 0.88


def test_the_tutorial_on_shelves_finds_products_and_its_table_grows():
    saved = tutorials.read(tutorials.FOLDER / "02_shelf_detection.ipynb")
    found = [text for output in outputs(saved) for text in texts(output)]
    shown = next(text for text in found if text.startswith("training shelf") and "evaluate" in text)
    assert float(re.search(r"mAP at IoU 0.5 +([\d.]+) ", shown)[1]) >= 0.5
    looks = [len(set(re.findall(r"shelf_\d\d\.jpg", text))) for text in found if "shelf_00.jpg" in text]
    assert looks == [4, 12]
    assert any("running: 1 batch done, with 4 rows" in text for text in found)
    assert any("stopped: 2 batches done, with 12 rows" in text for text in found)


def test_the_tutorial_on_columns_shows_what_it_promises():
    saved = tutorials.read(tutorials.FOLDER / "04_vectors.ipynb")
    found = [text for output in outputs(saved) for text in texts(output)]

    def shown(name, words):
        text = next(text for text in found if text.startswith(f"training {name}") and "evaluate" in text)
        return float(re.search(rf"{words} +([\d.]+) ", text)[1])

    assert shown("tumour", "accuracy") >= 0.92
    assert shown("progression", "R2") >= 0.35
    assert shown("reader", "accuracy") >= 0.93
    rand = next(text for text in found if text.startswith("adjusted Rand index"))
    assert float(rand.split()[-1]) >= 0.6


def test_the_help_desk_tutorial_answers_as_it_promises():
    saved = tutorials.read(tutorials.FOLDER / "03_help_desk.ipynb")
    found = [text for output in outputs(saved) for text in texts(output)]

    def shown(name, words):
        text = next(text for text in found if text.startswith(f"training {name}") and "evaluate" in text)
        return float(re.search(rf"{words} +([\d.]+) ", text)[1])

    assert shown("intent", "accuracy") >= 0.8
    assert shown("careful", "accuracy") >= 0.9
    assert shown("meaning", "dimension") == 384
