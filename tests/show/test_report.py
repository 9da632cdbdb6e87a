"""The report and the notebook's summaries: whole, self-contained, and safe with any label."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from sparknn_magic.registry import Failure
from sparknn_magic.show.html import metrics_html, model_html, plan_html
from sparknn_magic.show.report import Example, report_html, write_report
from sparknn_magic.show.zoo_listing import Zoo, zoo

VOID = {"img", "meta", "br", "source"}
LOADING = {"src", "srcset", "data", "action", "poster", "background", "xlink:href"}


class Reader(HTMLParser):
    """Checks that every element is closed in turn; gathers elements, texts and what would be loaded."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.loads, self.links, self.handlers = [], [], [], [], []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in LOADING or (name == "href" and tag != "a"):
                self.loads.append(value)
            if name == "href" and tag == "a":
                self.links.append(value)
            if name.startswith("on") or (value or "").lower().startswith("javascript:"):
                self.handlers.append((tag, name))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data + "\n"


def pictures(classes, rows=40, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(28, 28, 1), (300, 200, 3)]
    return [
        Example(
            rng.integers(0, 256, shapes[i % 2], dtype=np.uint8),
            classes[i % len(classes)],
            classes[(i + (i % 3 == 0)) % len(classes)],
            float(rng.random()),
        )
        for i in range(rows)
    ]


def test_the_report_parses_and_loads_nothing(make_meta):
    meta = make_meta()
    html = report_html(meta, pictures(meta["classes"]))
    read = Reader(html)
    assert html.startswith("<!doctype html>")
    assert read.loads
    assert all(address.startswith("data:image/") for address in read.loads)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(read.tags)
    assert not re.search(r"@import|url\(", html)
    assert read.links == ["https://arxiv.org/abs/1512.03385"]
    assert read.handlers == []


def test_the_report_says_the_headline_figures(make_meta):
    meta = make_meta()
    meta["metrics"] |= {"accuracy": 0.91234, "baseline_accuracy": 0.101, "log_loss": 0.2731}
    meta["metrics"]["macro"]["f1"] = 0.9087
    text = Reader(report_html(meta)).text
    for words in (
        "91.23%",
        "2,000 rows of test; the most frequent class alone gives 10.1%",
        "0.9087",
        "0.2731",
        "99.87%",
        "1 min 54 s",
        "10 epochs, best 7",
        "77.8 k",
        "321 kB",
        "The weights kept are those of epoch 7.",
        "4: the file is cut short",
        "2.13.0",
        "random_horizontal_flip",
        "ONNX Runtime and PyTorch differ by at most 2.4e-07 on 1,000 rows, no decision changed",
    ):
        assert words in text


def test_the_most_confused_pairs_stand_in_order_with_their_share():
    meta = {
        "name": "m",
        "task": "t",
        "classes": ["cat", "dog"],
        "metrics": {
            "rows": 20,
            "errors": 0,
            "unknown_labels": 0,
            "accuracy": 0.8,
            "top5_accuracy": None,
            "log_loss": 0.5,
            "baseline_accuracy": 0.5,
            "macro": {"precision": 0.8, "recall": 0.8, "f1": 0.8},
            "weighted": {"precision": 0.8, "recall": 0.8, "f1": 0.8},
            "per_class": [
                {"label": c, "precision": 0.8, "recall": 0.8, "f1": 0.8, "support": 10} for c in ("cat", "dog")
            ],
            "confusion": [[9, 1], [3, 7]],
        },
    }
    text = Reader(report_html(meta)).text
    assert re.search(r"dog\n taken for \ncat\n3\n30\.0%\ncat\n taken for \ndog\n1\n10\.0%", text)


@pytest.mark.parametrize("classes", [1, 10, 24, 25, 200])
def test_the_report_takes_any_number_of_classes(make_meta, classes):
    read = Reader(report_html(make_meta([f"class {i}" for i in range(classes)])))
    assert f"class {classes - 1}" in read.text


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_report_takes_one_epoch_and_no_validation(make_meta, epochs, validated):
    assert "NaN" not in Reader(report_html(make_meta(epochs=epochs, validated=validated))).text


def test_every_label_is_text_wherever_it_stands(make_meta, strange):
    meta = make_meta(strange)
    hostile = strange[0]
    meta["name"] = meta["model"]["source"] = meta["model"]["licence"] = hostile
    meta["spec"] = {hostile: [hostile]}
    meta["rows"]["dropped"] = [{"reason": hostile, "rows": 1}]
    meta["versions"] = {hostile: hostile}
    meta["training"]["device"] = "<script>alert(1)</script>"
    for html in (report_html(meta, pictures(strange)), model_html(meta), metrics_html(meta["metrics"])):
        read = Reader(html)
        assert hostile in read.text
        assert read.handlers == []
        assert "script" not in read.tags
        assert "<img src=x" not in html


def test_a_source_with_another_scheme_is_no_link(make_meta):
    meta = make_meta()
    meta["model"]["source"] = 'javascript:alert(1) https://example.org/"onclick="x data:text/html,x'
    read = Reader(report_html(meta))
    assert read.links == ["https://example.org/"]
    assert read.handlers == []


def test_mistakes_come_first_the_most_confident_on_top(make_meta):
    image = np.zeros((4, 4, 1), np.uint8)
    examples = [Example(image, "a", "a", 0.99), Example(image, "a", "b", 0.4), Example(image, "a", "c", 0.9)]
    text = Reader(report_html(make_meta(), examples)).text
    assert text.index("✗ c") < text.index("✗ b") < text.index("✓ a")
    assert "90%, is a" in text


def test_right_answers_show_every_class_before_any_comes_twice(make_meta):
    image = np.zeros((4, 4, 1), np.uint8)
    examples = [Example(image, c, c, 0.9) for c in ["a"] * 30 + ["b", "c"]]
    said = re.findall(r"✓ (\w)", Reader(report_html(make_meta(), examples)).text)
    assert said[:3] == ["a", "b", "c"]
    assert len(said) == 16


def test_pictures_are_embedded_and_scaled_down(make_meta):
    examples = [Example(np.zeros((2000, 1000, 3), np.uint8), "a", "a", 1.0)]
    html = report_html(make_meta(), examples)
    content = base64.b64decode(re.findall(r"data:image/png;base64,([^\"]+)", html)[0])
    assert int.from_bytes(content[16:20], "big") == 96  # the width that a PNG states
    assert int.from_bytes(content[20:24], "big") == 192


def test_what_the_meta_lacks_is_left_out():
    read = Reader(report_html({"name": "m", "task": "t", "classes": []}))
    assert "None" not in read.text
    assert "Learning curves" not in read.text


def test_the_report_is_written_whole_into_a_folder_that_is_made(make_meta, tmp_path):
    path = write_report(tmp_path / "runs" / "1" / "report.html", make_meta(), [])
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_the_notebook_summaries_have_no_scripts_and_load_nothing(make_meta):
    meta = make_meta([f"class {i}" for i in range(300)])
    listed = Zoo(zoo("losses").entries, [Failure("loss", "<b>", "p", "<script>")])
    plan = {"name": "<b>x</b>", "source": "SELECT '<script>'"}
    for html in (model_html(meta), metrics_html(meta["metrics"]), listed._repr_html_(), plan_html(plan)):
        read = Reader(html)
        assert read.loads == []
        assert "script" not in read.tags
        assert "<b>x</b>" not in html
        assert all(link.startswith("https://") for link in read.links)


def test_the_summary_of_a_model_has_its_figures_and_classes(make_meta):
    text = Reader(model_html(make_meta())).text
    assert "93.30%" in text
    assert "accuracy (baseline 10.9%)" in text
    assert "rows, 5 not counted" in text
    assert "Ankle boot" in text
    assert "resnet8 {width: 16}" in text


def test_the_styles_of_a_summary_reach_nothing_else_on_the_page(make_meta):
    style = re.search(r"<style>(.*?)</style>", model_html(make_meta()), re.DOTALL)[1]
    rules = re.sub(r"@media[^{]*\{(.*?\})\s*\}", r"\1", style, flags=re.DOTALL)
    selectors = [s.strip() for block in re.findall(r"([^{}]+)\{", rules) for s in block.split(",")]
    assert selectors
    assert all(".sparknn" in s for s in selectors)
