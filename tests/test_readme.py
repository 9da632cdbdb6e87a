"""README's pictures and links lead somewhere."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "zoo/README.md"]
LINK = re.compile(r"(!?)\[[^\]\n]*\]\(([^)\s]+)\)")


def links(page):
    """Return (whether it is a picture, address) of each link outside of code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    return [(bool(mark), address) for mark, address in LINK.findall(text)]


def anchors(page):
    """Return what GitHub makes of the headings."""
    titles = re.findall(r"^#+ +(.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_are_there(page):
    for _, address in links(page):
        found = urlsplit(address)
        if found.scheme:
            assert found.scheme == "https"
            continue
        file = (ROOT / page).parent / found.path if found.path else ROOT / page
        assert file.exists(), address
        assert file.resolve().is_relative_to(ROOT)
        if found.fragment:
            assert found.fragment in anchors(file), address


def test_readmes_pictures_are_small_pngs_of_this_repository():
    pictures = [address for picture, address in links("README.md") if picture]
    assert sum("jupyterlab" in address for address in pictures) == 2
    for address in pictures:
        assert not urlsplit(address).scheme
        file = ROOT / address
        assert file.stat().st_size < 150_000
        with Image.open(file) as image:
            assert image.format == "PNG"
            assert 600 <= image.width <= 2000
