"""What a person sees in JupyterLab, in a real browser."""

import os
import re

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

from sparknn_magic import registry
from tests.notebook.kernels import ROWS, START, TRAIN, until
from tests.notebook.lab import ARGUMENTS, CHROMIUM, Page, jupyterlab, photograph, write

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ,  # CI installs it: there its absence is a failure
    reason="there is no chromium (Debian, Ubuntu: apt-get install chromium)",
)

TYPO = "%%sparknn train fashion\ntask: image-classification\nmodel: resnet81\ndata: {train: products}"
TYPED = "%%sparknn train typed\ntask: image-classification\nmodel: res"
LONG = TRAIN.replace("epochs: 2", "epochs: 900").replace("train fashion", "train long")
CELLS = ["%load_ext sparknn_magic", TYPO, START + ROWS, TRAIN.replace("epochs: 2", "epochs: 6"), TYPED, LONG]
CELLS += ["%sparknn show fashion --examples 6"]
NOWHERE = {"name": "gone", "display_name": "Gone", "language": "gone"}  # a kernel that is not installed here
WINDOW = {"width": 1150, "height": 3600}  # high enough for all cells: those out of sight are not drawn
MINUTES = 60_000  # in milliseconds


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with jupyterlab(tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(lab, browser):
    """A notebook whose cells are run one after the other by the tests below."""
    write(lab, "fashion.ipynb", CELLS)
    tab = browser.new_page(viewport=WINDOW)
    yield Page(tab, lab, "fashion.ipynb")
    tab.close()


@pytest.fixture(scope="module")
def trained(page):
    """The notebook after its training cell; what was seen of the progress on the way."""
    page.run(0)
    page.run(2)
    page.run(3)
    bar = page.output(3).get_by_role("progressbar", name="training")
    bar.wait_for(timeout=3 * MINUTES)
    seen = page.output(3).inner_text()
    photograph(page.cell(3), "running")
    page.output(3).get_by_text("About the model").wait_for(timeout=3 * MINUTES)
    return page, seen


def test_an_error_is_two_lines_in_the_cells_output(page):
    page.run(0)
    page.run(1)
    error = page.output(1)
    expect(error).to_contain_text("UnknownName", timeout=2 * MINUTES)
    assert error.inner_text().strip() == (
        "UnknownName: line 3, column 8: there is no architecture named 'resnet81'. Did you mean 'resnet18'?\n"
        "    model: resnet81\n           ^\n"
        f"`%sparknn zoo architectures` lists all {len(registry.names('architecture'))}."
    )


def test_tab_offers_the_architectures_of_the_task_and_takes_the_one_that_is_chosen(page):
    page.run(0)
    expect(page.cell(0).locator(".jp-InputPrompt")).to_contain_text(re.compile(r"\d"), timeout=MINUTES)
    page.cell(4).locator(".cm-content").click()
    for key in ("Control+End", "Tab"):
        page.page.keyboard.press(key)
    offered = page.page.locator(".jp-Completer-item")
    offered.filter(has_text="resnet18").first.wait_for(timeout=MINUTES)
    assert offered.filter(has_text="fasttext").count() == 0
    offered.filter(has_text="resnet18").first.click()
    expect(page.cell(4).locator(".cm-content")).to_contain_text("model: resnet18")


def test_the_progress_is_shown_while_the_cell_runs(trained):
    _, seen = trained
    assert "training fashion" in seen
    assert "✓ prepare" in seen
    assert "… train" in seen
    assert "· export" in seen


def test_the_summary_takes_the_progresss_place(trained):
    page, _ = trained
    shown = page.output(3)
    assert page.output(3).get_by_role("progressbar").count() == 0
    assert shown.get_by_role("button").count() == 0
    text = shown.inner_text()
    assert "image-classification · lenet5" in text
    assert "macro F1" in text
    assert "model folder models/fashion · report report.html" in text
    shown.get_by_text("How the training went").click()
    assert shown.locator("svg polyline").count() == 4


def test_rows_are_shown_as_pictures_with_what_the_model_says_of_them(trained):
    page, _ = trained
    page.run(6)
    pictures = page.output(6).locator("img")
    expect(pictures).to_have_count(6, timeout=MINUTES)
    assert pictures.evaluate_all(LOADED)
    expect(page.output(6)).to_contain_text("6 labelled rows")


def progress(shown):
    """Return how far the training's bar is, in percent."""
    return float(shown.get_by_role("progressbar", name="training").get_attribute("aria-valuenow"))


def started(page):
    """Run the long training's cell until it has told of its first step; return what it shows."""
    page.run(5)
    shown = page.output(5)
    shown.get_by_text(re.compile(r"epoch \d+ of 900, step")).first.wait_for(timeout=3 * MINUTES)
    return shown


def test_the_panel_moves_and_an_interrupt_ends_the_training_at_once(trained):
    page, _ = trained
    shown = started(page)
    first = progress(shown)
    assert until(lambda: progress(shown) > first, 60)
    shown.get_by_text(re.compile(r"about .* left")).first.wait_for(timeout=MINUTES)
    photograph(page.cell(5), "long")
    page.press("interrupt")
    expect(shown).to_contain_text("Interrupted: train was interrupted.", timeout=MINUTES / 4)
    expect(shown).to_contain_text(re.compile(r"✗ train .* interrupted"))
    expect(shown.get_by_role("button")).to_have_count(0)
    expect(page.cell(5).locator(".jp-InputPrompt")).to_contain_text(re.compile(r"\d"))


def test_run_again_it_goes_on_and_a_click_on_stop_ends_it_after_the_epoch_and_keeps_the_model(trained):
    page, _ = trained
    shown = started(page)
    assert int(re.search(r"epoch (\d+) of 900, step", shown.inner_text())[1]) > 1  # where the checkpoint was
    shown.get_by_role("button", name="Stop after this epoch").click()
    shown.get_by_role("button", name="Stops after this epoch").wait_for(timeout=MINUTES / 2)
    shown.get_by_text("About the model").wait_for(timeout=3 * MINUTES)
    assert shown.get_by_role("button").count() == 0
    shown.get_by_text("About the model").click()
    expect(shown).to_contain_text("as asked; the weights are those of epoch")


LOADED = "pictures => pictures.every(picture => picture.complete && picture.naturalWidth > 0)"
LOOKS = """() => {
    const seen = [...document.querySelectorAll('.sparknn .tile b, .sparknn .tile span, .sparknn td, .sparknn svg text')]
    return seen.filter(e => e.textContent).map(e => {
        const style = getComputedStyle(e), svg = e.namespaceURI.endsWith('svg')
        let opacity = 1
        for (let at = e; at && at.classList; at = at.parentElement) opacity *= getComputedStyle(at).opacity
        return [e.textContent, svg ? style.fill : style.color, opacity]
    })
}"""
GROUND = "() => getComputedStyle(document.querySelector('.jp-NotebookPanel-notebook')).backgroundColor"


@pytest.mark.parametrize(("theme", "light"), [("JupyterLab Dark", False), ("JupyterLab Light", True)])
def test_text_stands_out_in_light_and_dark(trained, theme, light):
    page, _ = trained
    page.theme(theme)
    photograph(page.cell(3), "light" if light else "dark")
    ground = colour(page.page.evaluate(GROUND))
    assert (luminance(ground) > 0.5) is light
    looks = page.page.evaluate(LOOKS)
    assert len(looks) > 30
    # 4.5 is what WCAG 2.1 asks of text (success criterion 1.4.3).
    faint = [(text, ink) for text, ink, opacity in looks if contrast(colour(ink), ground, opacity) < 4.5]
    assert faint == []


def test_a_saved_notebook_shows_curves_and_pictures_with_no_kernel_behind_it(trained, lab, browser):
    page, _ = trained
    page.command("docmanager:save")
    page.page.wait_for_timeout(3000)
    saved = nbformat.read(lab.root / "fashion.ipynb", as_version=4)
    assert "widgets" not in saved.metadata
    both = ["text/html", "text/plain"]
    assert [sorted(output.data) for output in saved.cells[3].outputs] == [both, []]  # the button's has gone
    assert [sorted(output.data) for output in saved.cells[6].outputs] == [both]
    lab.end_kernels()
    saved.metadata.kernelspec = NOWHERE
    saved.metadata.pop("language_info")
    lab.sign(saved)
    nbformat.write(saved, lab.root / "sent.ipynb")
    again = Page(browser.new_page(viewport=WINDOW), lab, "sent.ipynb", kernel=False)
    shown = again.output(3)
    expect(shown).to_contain_text("macro F1", timeout=MINUTES)
    shown.get_by_text("How the training went").click()
    expect(shown.locator("svg polyline")).to_have_count(4)
    pictures = again.output(6).locator("img")
    expect(pictures).to_have_count(6)
    assert pictures.evaluate_all(LOADED)
    expect(again.output(1)).to_contain_text("Did you mean 'resnet18'?")
    words = again.page.locator(".jp-Notebook").inner_text()
    assert not re.search("widget|not trusted", words, re.IGNORECASE)
    assert lab.kernels() == []
    assert (page.elsewhere, again.elsewhere) == ([], [])
    photograph(again.cell(6), "again")
    again.page.close()


def colour(text: str) -> tuple[float, float, float]:
    """'rgb(17, 17, 17)' -> (0.067, 0.067, 0.067)."""
    red, green, blue = [float(part) for part in text[text.index("(") + 1 : -1].split(",")[:3]]
    return red / 255, green / 255, blue / 255


def luminance(rgb: tuple[float, ...]) -> float:
    """Return the relative luminance as WCAG 2.1 defines it."""
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(ink: tuple[float, ...], ground: tuple[float, ...], opacity: float) -> float:
    """Return the contrast ratio of text on its ground, 1 to 21."""
    mixed = tuple(opacity * i + (1 - opacity) * g for i, g in zip(ink, ground, strict=True))
    low, high = sorted((luminance(mixed), luminance(ground)))
    return (high + 0.05) / (low + 0.05)
