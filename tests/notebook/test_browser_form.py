"""The form of `%sparknn new` in JupyterLab, in a real browser."""

import os
import re

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.notebook.kernels import until
from tests.notebook.lab import ARGUMENTS, CHROMIUM, Page, jupyterlab, write

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ,  # CI installs it: there its absence is a failure
    reason="there is no chromium (Debian, Ubuntu: apt-get install chromium)",
)

MINUTES = 60_000  # in milliseconds
CELLS = ["%load_ext sparknn_magic", "%sparknn new vector-regression", "'the last cell'"]


def test_the_form_writes_the_cell(tmp_path):
    (tmp_path / "home").mkdir()
    with jupyterlab(tmp_path, tmp_path / "home") as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        write(lab, "form.ipynb", CELLS)
        page = Page(browser.new_page(viewport={"width": 1150, "height": 2000}), lab, "form.ipynb")
        page.run(0)
        page.run(1)
        form = page.output(1).first  # a widget in it has an output area too
        form.get_by_text("A valid cell").wait_for(timeout=2 * MINUTES)
        # JupyterLab shows its application object to no page but ours: the form must do without.
        page.page.evaluate("() => { delete window.jupyterapp; delete window.jupyterlab }")

        form.get_by_label("name", exact=True).fill("price_of")
        form.locator("input[placeholder*='data/photos']").fill("SELECT * FROM houses WHERE price < 1e6")
        form.get_by_label("learning rate").fill("3e-3")
        form.get_by_label("workers").fill("2")
        form.get_by_label("workers").press("Tab")
        expect(form.locator("pre").first).to_contain_text("workers: 2", timeout=MINUTES)
        assert "No Spark session is running" in form.inner_text()
        form.get_by_role("button", name="Write the cell below").click()

        made = page.cell(2).locator(".cm-content")
        expect(made).to_contain_text("%%sparknn train price_of", timeout=MINUTES)
        expect(made).to_contain_text("train: SELECT * FROM houses WHERE price < 1e6")
        expect(made).to_be_focused()
        expect(page.cell(3).locator(".cm-content")).to_contain_text("the last cell")
        expect(form).to_contain_text("The cell below was written by the form")
        assert form.get_by_role("button").count() == 0

        page.page.keyboard.press("Control+s")
        assert until(lambda: "price_of" in (lab.root / "form.ipynb").read_text(), 60)
        saved = nbformat.read(lab.root / "form.ipynb", as_version=4).cells
        assert [cell.source.split("\n")[0] for cell in saved] == [
            CELLS[0],
            CELLS[1],
            "%%sparknn train price_of",
            CELLS[2],
        ]
        assert re.search(r"lr: 0.003\n", saved[2].source)
        assert [sorted(output.data) for output in saved[1].outputs] == [["text/html", "text/plain"]]
        assert "script" not in saved[1].outputs[0].data["text/html"]
        browser.close()
