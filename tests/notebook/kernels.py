"""Notebooks in real kernels, in folders of their own."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import BlockingKernelClient, KernelManager
from nbclient import NotebookClient

# A session as a user has one, but small, silent and with two slots on any machine.
START = """\
from pyspark.sql import SparkSession
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.shuffle.partitions", "2").getOrCreate()
)
"""
ROWS = """\
import sparknn_magic
sparknn_magic.sample("fashion-mnist", spark).limit(400).createOrReplaceTempView("products")
sparknn_magic.sample("fashion-mnist", spark, "test").limit(100).createOrReplaceTempView("products_test")
"""
TRAIN = """\
%%sparknn train fashion
task: image-classification
data:
  train: SELECT image, label FROM products
  validation: 20%
  test: products_test
model: lenet5
train:
  epochs: 2
  batch_size: 32
  workers: 2
"""


def variables(home: Path) -> dict[str, str]:
    """Return the environment of a kernel whose files are all below `home`; the workers' Python is not chosen."""
    kept = {name: value for name, value in os.environ.items() if name != "PYSPARK_PYTHON"}
    folders = {"IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_CONFIG_DIR": "config"}
    return kept | {name: str(home / folder) for name, folder in folders.items()}


def execute(cells: list[str], home: Path, *, timeout: int = 300, **how: Any) -> nbformat.NotebookNode:
    """Run cells as nbclient does, with `home` as the kernel's folder, and return the notebook with its outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return execute_notebook(notebook, home, timeout=timeout, **how)


def execute_notebook(
    notebook: nbformat.NotebookNode,
    home: Path,
    *,
    allow_errors: bool = False,
    timeout: int = 600,
    env: Mapping[str, str] | None = None,
) -> nbformat.NotebookNode:
    """Run a notebook in place, in a kernel of this interpreter; `env` is added to its environment."""
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    resources = {"metadata": {"path": str(home)}}
    client = NotebookClient(notebook, timeout=timeout, allow_errors=allow_errors, resources=resources)
    client.execute(env=variables(home) | dict(env or {}))
    return notebook


class Kernel:
    """A running kernel, one cell after the other."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient):
        self.manager, self.client = manager, client

    def start(self, cell: str) -> str:
        """Send a cell and return at once; `wait` takes what this returns."""
        # After an error a kernel drops, for a moment, what was queued behind the cell; these cells wait for their turn.
        return self.client.execute(cell, store_history=True, stop_on_error=False)

    def wait(self, sent: str, seconds: float = 120) -> dict:
        """Return the cell's reply: its status, and ename and evalue of an error."""
        return self.client._recv_reply(sent, timeout=seconds)["content"]

    def run(self, cell: str, seconds: float = 120) -> dict:
        """Run a cell and return its reply."""
        return self.wait(self.start(cell), seconds)

    def shown(self, seconds: float = 1) -> list[dict]:
        """Return the next message of the kernel's outputs."""
        return self.client.get_iopub_msg(timeout=seconds)

    @property
    def process(self) -> int:
        """The kernel's process id."""
        return self.manager.provisioner.pid


@contextmanager
def kernel(home: Path) -> Iterator[Kernel]:
    """Start a kernel in `home` and end it after."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(home), env=variables(home))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def descendants(process: int) -> dict[int, str]:
    """Return the command lines of all processes below one, zombies left out."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[tuple[int, str]]] = {}
    for line in listed.splitlines():
        pid, parent, state, command = line.split(None, 3)
        if not state.startswith("Z"):
            children.setdefault(int(parent), []).append((int(pid), command))
    found, below = {}, [process]
    while below:
        for pid, command in children.get(below.pop(), []):
            found[pid] = command
            below.append(pid)
    return found


def until(condition, seconds: float, every: float = 0.2) -> bool:
    """Wait until a condition holds; return whether it does within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(every)
    return bool(condition())
