"""Screenshots of JupyterLab: `python -m tests.notebook.screenshots` trains on Fashion-MNIST and writes them.

Those that README shows are written to notebooks/images, the others to artifacts/notebook.
"""

import re
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from tests.notebook.lab import ARGUMENTS, ARTIFACTS, CHROMIUM, Lab, Page, jupyterlab, photograph, write

IMAGES = Path(__file__).parents[2] / "notebooks" / "images"
SIZE = {"width": 1020, "height": 3600}  # high enough for all cells: those out of sight are not drawn
SHARP = 1.5  # pixels of a screenshot for each of the page
MINUTES = 60_000  # in milliseconds
BEGIN = """\
%load_ext sparknn_magic
import sparknn_magic
spark = sparknn_magic.session()
rows = sparknn_magic.sample("fashion-mnist", spark)"""
TRAIN = """\
%%sparknn train fashion
task: image-classification
data:
  train: SELECT image, label FROM fashion_mnist WHERE image IS NOT NULL
  validation: 10%
  test: fashion_mnist_test
augment:
- random_horizontal_flip
model:
  resnet9: {width: 8}
train:
  epochs: 12
  batch_size: 64
  optimizer: {adamw: {lr: 1e-2, weight_decay: 0.05}}
  workers: 2"""
PREVIEW = """\
%%sparknn preview --rows 3000
task: image-classification
data:
  train: fashion_mnist
  test: fashion_mnist_test
augment:
- random_horizontal_flip
- random_erasing"""
PREDICT = "%%sparknn predict fashion --into scored --show 12\nSELECT id, image FROM fashion_mnist_test"
CELLS = [BEGIN, TRAIN, PREDICT, "%sparknn zoo image-classification", PREVIEW]
PLAIN = ".jp-cell-toolbar { display: none !important; }"  # the buttons that a chosen cell has


def take(lab: Lab, browser: Browser) -> None:
    """Run the cells, and photograph each at its best."""
    write(lab, "fashion.ipynb", CELLS)
    tab = browser.new_page(viewport=SIZE, device_scale_factor=SHARP)
    page = Page(tab, lab, "fashion.ipynb")
    tab.add_style_tag(content=PLAIN)
    page.command("application:toggle-left-area")
    page.run(0)
    page.run(1)
    page.output(1).get_by_text(re.compile(r"epoch [789] of 12, step")).first.wait_for(timeout=5 * MINUTES)
    print(photograph(page.cell(1), "jupyterlab-running", IMAGES))
    page.output(1).get_by_text("About the model").wait_for(timeout=5 * MINUTES)
    page.output(1).get_by_text("How the training went").click()
    page.page.wait_for_timeout(500)
    print(photograph(page.output(1), "result", ARTIFACTS))
    page.run(2)
    expect(page.output(2).locator("img").first).to_be_visible(timeout=2 * MINUTES)
    page.page.wait_for_timeout(500)
    print(photograph(page.cell(2), "jupyterlab-predictions", IMAGES))
    page.run(3)
    expect(page.output(3)).to_contain_text("resnet18", timeout=MINUTES)
    print(photograph(page.cell(3), "zoo", ARTIFACTS))
    page.theme("JupyterLab Dark")
    for number, name in ((1, "result-dark"), (2, "predictions-dark"), (3, "zoo-dark")):
        print(photograph(page.output(number), name, ARTIFACTS))
    page.theme("JupyterLab Light")
    page.run(4)
    page.page.wait_for_timeout(4000)
    print(photograph(page.cell(4), "preview-running", ARTIFACTS))
    expect(page.output(4)).to_contain_text("After augmentation", timeout=3 * MINUTES)
    print(photograph(page.cell(4), "preview", ARTIFACTS))


def main() -> None:
    """Take all of them."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        with jupyterlab(Path(root), Path(home)) as lab:
            take(lab, browser)
        browser.close()
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
