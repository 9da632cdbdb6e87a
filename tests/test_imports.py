"""What a fresh interpreter has loaded: executors import our files too, and a notebook should open at once."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ["torch", "pyspark", "pandas", "onnxruntime", "pyarrow", "pydantic", "matplotlib"]
WORKERS = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in ROOT.glob("sparknn_magic/*/worker.py")
)
JOBS = sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in ROOT.glob("sparknn_magic/*/job.py"))


def loaded_by(run_script, code: str) -> set[str]:
    """Return the top-level packages in sys.modules after the code, in an interpreter of its own."""
    ending = "\nimport json, sys\nprint(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    return set(json.loads(run_script(code + ending).stdout.splitlines()[-1]))


def test_importing_the_package_loads_no_library(run_script):
    assert loaded_by(run_script, "import sparknn_magic").isdisjoint(HEAVY)


def test_loading_the_extension_loads_neither_torch_nor_spark(run_script):
    code = """
from IPython.core.interactiveshell import InteractiveShell
import sparknn_magic
shell = InteractiveShell.instance()
sparknn_magic.load_ipython_extension(shell)
assert "sparknn" in shell.magics_manager.magics["cell"]
"""
    assert loaded_by(run_script, code).isdisjoint(HEAVY)


@pytest.mark.parametrize("module", WORKERS)
def test_what_runs_on_executors_needs_no_spark_and_no_notebook(run_script, module):
    assert loaded_by(run_script, f"import {module}").isdisjoint({"pyspark", "py4j", "pandas", "IPython", "pydantic"})


def test_scoring_rows_needs_no_torch(run_script):
    assert "torch" not in loaded_by(run_script, "import sparknn_magic.infer.worker, sparknn_magic.data.worker")


@pytest.mark.parametrize("module", JOBS)
def test_what_is_pickled_to_executors_needs_the_standard_library_alone(run_script, module):
    ours_apart = loaded_by(run_script, f"import {module}") - loaded_by(run_script, "import sys")
    assert ours_apart.isdisjoint({*HEAVY, "numpy", "PIL", "ruamel", "IPython"})


def test_only_the_cluster_module_looks_behind_what_connect_has():
    words = (".sparkContext", "._jvm", "._jsc", "._jsparkSession", ".rdd.", "SparkContext.", "_jdf")
    found = [
        f"{file.relative_to(ROOT)}: {word}"
        for file in ROOT.glob("sparknn_magic/**/*.py")
        if file.name != "cluster.py"
        for word in words
        if word in file.read_text()
    ]
    assert found == []
