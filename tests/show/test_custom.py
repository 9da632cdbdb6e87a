"""The cell's own metrics stand beside the task's, wherever figures are shown."""

import pytest

from sparknn_magic.show.card import model_card
from sparknn_magic.show.html import metrics_html, model_html
from sparknn_magic.show.report import report_html
from sparknn_magic.show.text import metrics_table, model_text

CUSTOM = {"loss": 0.51234, "cost of errors": 12345.678, "bags": 17, "any": True, "none": None, "<b>|x": 1.0}


@pytest.fixture
def meta(make_meta):
    made = make_meta()
    return made | {"metrics": made["metrics"] | {"custom": CUSTOM}}


def test_the_table_gives_each_a_line(meta):
    for text in (metrics_table(meta["metrics"]), model_text(meta)):
        lines = [" ".join(line.split()) for line in text.split("\n")]
        assert "loss 0.5123 the SQL loss" in lines
        assert "cost of errors 12,346 SQL" in lines
        assert "bags 17 SQL" in lines
        assert "any true SQL" in lines
        assert "none - SQL" in lines


def test_the_notebook_and_the_report_give_each_a_tile(meta):
    for page in (metrics_html(meta["metrics"]), model_html(meta), report_html(meta, [])):
        assert "12,346" in page
        assert "cost of errors" in page
        assert "&lt;b&gt;|x" in page
        assert "<b>|x" not in page


def test_the_card_gives_each_a_row(meta):
    card = model_card(meta)
    assert "| cost of errors (SQL) | 12,346 |" in card
    assert "| loss (the SQL loss) | 0.5123 |" in card
    assert "<b>" not in card
