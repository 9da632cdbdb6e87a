"""The tutorials in notebooks/. `python -m tests.notebook.tutorials [NAME ...]` runs them and saves their outputs."""

import sys
import tempfile
import time
from pathlib import Path

import nbformat

from tests.notebook.kernels import execute_notebook

FOLDER = Path(__file__).parents[2] / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))


def read(file: Path) -> nbformat.NotebookNode:
    """Return the notebook of a file."""
    return nbformat.read(file, as_version=4)


def run(file: Path, home: Path) -> nbformat.NotebookNode:
    """Run the notebook in a kernel whose folder is `home`; cells tagged `raises-exception` have to fail."""
    notebook = read(file)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return execute_notebook(notebook, home)


def save(notebook: nbformat.NotebookNode, file: Path) -> None:
    """Write the notebook without times and versions, which only make differences from one run to the next."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata.language_info = {"name": "python"}
    nbformat.write(notebook, file)


def main(names: list[str]) -> None:
    """Run the named tutorials, or all of them, and write them back with their outputs."""
    for file in FILES:
        if not names or file.stem in names or file.name in names:
            start = time.monotonic()
            with tempfile.TemporaryDirectory() as home:
                notebook = run(file, Path(home))
            save(notebook, file)
            print(f"{file.name}: {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
