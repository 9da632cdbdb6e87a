"""A notebook run with other parameters, as schedulers do it."""

import nbformat
import papermill
import pytest

from tests.notebook.kernels import variables

CELL = """\
%%sparknn train shoes --dry-run
task: vector-classification
data: {train: rows.parquet, label: label, validation: null}
model: mlp
train: {epochs: "${epochs}", seed: 1}
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning:papermill")
def test_parameters_reach_the_cell(tmp_path, monkeypatch):
    parameters = nbformat.v4.new_code_cell("epochs = 3")
    parameters.metadata["tags"] = ["parameters"]
    cells = ["%load_ext sparknn_magic", ROWS, CELL]
    notebook = nbformat.v4.new_notebook(cells=[parameters, *map(nbformat.v4.new_code_cell, cells)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    path, out = str(tmp_path / "in.ipynb"), str(tmp_path / "out.ipynb")
    papermill.execute_notebook(path, out, {"epochs": 7}, cwd=str(tmp_path), progress_bar=False)
    shown = nbformat.read(out, as_version=4).cells[-1].outputs
    (plan,) = [output.data["text/plain"] for output in shown if output.output_type == "display_data"]
    assert "dry run of shoes: vector-classification" in plan
    assert "epochs: 7" in plan


ROWS = """\
import pandas
pandas.DataFrame({"x": [0.1, 0.9] * 20, "label": ["low", "high"] * 20}).to_parquet("rows.parquet")
"""
