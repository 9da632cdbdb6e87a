"""JupyterLab on the loopback address and a browser in front of it."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
from nbformat.sign import NotebookNotary
from PIL import Image

from tests.notebook.kernels import variables

ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "notebook"  # what the browser tests leave to look at
CHROMIUM = os.environ.get("CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-dev-shm-usage",
]
SETTINGS = {
    "notification": {"fetchNews": "false", "checkForUpdates": False},
    "themes": {"adaptive-theme": False},
}


@dataclass
class Lab:
    """A running server."""

    address: str
    token: str
    root: Path  # where its notebooks are
    home: Path  # where its own files are

    def sign(self, notebook: nbformat.NotebookNode) -> None:
        """Have the server trust a notebook's outputs, as it does those that it has seen run."""
        NotebookNotary(data_dir=str(self.home / "data")).sign(notebook)

    def kernels(self) -> list[str]:
        """Return the ids of the running kernels."""
        with self._ask("kernels") as answer:
            return [kernel["id"] for kernel in json.load(answer)]

    def end_kernels(self) -> None:
        """Shut every kernel down."""
        for kernel in self.kernels():
            self._ask(f"kernels/{kernel}", "DELETE").close()

    def _ask(self, what: str, method: str = "GET") -> Any:
        request = urllib.request.Request(f"{self.address}/api/{what}", method=method)
        request.add_header("Authorization", f"token {self.token}")
        return urllib.request.urlopen(request, timeout=30)


@contextlib.contextmanager
def jupyterlab(root: Path, home: Path) -> Iterator[Lab]:
    """Start JupyterLab on the notebooks in `root`; its own files are below `home`."""
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        port = any_port.getsockname()[1]
    token = secrets.token_hex(8)
    config = home / "config.py"
    # The page's own application object is how tests run commands.
    config.write_text("c.LabApp.expose_app_in_browser = True\nc.LabApp.news_url = None\n")
    settings = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    for name, values in SETTINGS.items():
        (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(values))
    command = [sys.executable, "-m", "jupyterlab", f"--config={config}", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    log = home / "lab.log"
    environment = variables(home) | {"JUPYTER_DATA_DIR": str(home / "data")}
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    lab = Lab(f"http://127.0.0.1:{port}", token, root, home)
    try:
        _wait_for(lab, server, log)
        yield lab
        lab.end_kernels()
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(lab: Lab, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        try:
            lab.kernels()
            return
        except (urllib.error.URLError, ConnectionError):
            if server.poll() is not None:
                break
            time.sleep(0.25)
    raise RuntimeError(log.read_text())


class Page:
    """A notebook in the browser; `elsewhere` has the addresses that it asks for beyond the server."""

    def __init__(self, page: Any, lab: Lab, name: str, *, kernel: bool = True):
        self.page = page
        self.elsewhere: list[str] = []
        page.on("request", lambda request: self._note(request.url, lab.address))
        page.goto(f"{lab.address}/lab/tree/{name}?reset&token={lab.token}", wait_until="domcontentloaded")
        if kernel:
            # The status bar: the toolbar's sign says idle before the kernel has started.
            page.wait_for_selector("text=/\\| Idle$/", timeout=90_000)
        else:
            page.locator(".jp-Dialog button", has_text="No Kernel").click(timeout=90_000)
        page.wait_for_timeout(500)

    def _note(self, address: str, server: str) -> None:
        if not address.startswith((server, server.replace("http", "ws", 1), "data:", "blob:")):
            self.elsewhere.append(address)

    def command(self, name: str, **values: Any) -> None:
        """Have JupyterLab carry out a command; its end is not waited for."""
        self.page.evaluate("([name, values]) => { window.jupyterapp.commands.execute(name, values) }", [name, values])

    def cell(self, number: int) -> Any:
        """Return a cell, the first being 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def output(self, number: int) -> Any:
        """Return what stands below a cell."""
        return self.cell(number).locator(".jp-OutputArea")

    def run(self, number: int) -> None:
        """Start a cell."""
        self.cell(number).locator(".cm-content").click()
        self.command("notebook:run-cell")

    def press(self, name: str) -> None:
        """Click on a button of the notebook's toolbar, such as `interrupt`."""
        self.page.locator(f".jp-NotebookPanel-toolbar [data-jp-item-name={name}] jp-button").click()

    def theme(self, name: str) -> None:
        """Change to JupyterLab's theme of this name."""
        self.command("apputils:change-theme", theme=name)
        self.page.wait_for_selector(f"body[data-jp-theme-name='{name}']", state="attached", timeout=30_000)
        self.page.wait_for_timeout(1000)

    def count(self, number: int) -> str:
        """Return what stands in front of a cell: "[ ]:", "[*]:" while it runs, then its number."""
        return self.cell(number).locator(".jp-InputPrompt").inner_text()


def photograph(shown: Any, name: str, folder: Path = ARTIFACTS) -> Path:
    """Write a picture of what a locator finds as PNG, of at most 256 colours, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(BytesIO(shown.screenshot())) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(folder / f"{name}.png", optimize=True)
    return folder / f"{name}.png"


def write(lab: Lab, name: str, cells: list[str]) -> Path:
    """Write a notebook to the server's folder."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(notebook, lab.root / name)
    return lab.root / name
