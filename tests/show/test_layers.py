"""The table that `--dry-run` prints of a list of layers."""

from sparknn_magic.show.html import plan_html
from sparknn_magic.show.text import plan_text
from sparknn_magic.show.words import step_text

LAYERS = [
    {"name": "conv2d", "output": [32, 26, 26], "parameters": 320, "depth": 0},
    {"name": "residual", "output": [32, 26, 26], "parameters": 9248, "depth": 0},
    {"name": "conv2d", "output": [32, 26, 26], "parameters": 9248, "depth": 1},
    {"name": "flatten", "output": [21632], "parameters": 0, "depth": 0},
    {"name": "dense", "output": [10], "parameters": 216330, "depth": 0},
]
PLAN = {"name": "digits", "model": {"name": "lenet5"}, "layers": LAYERS, "notes": ["the last softmax is left out"]}


def test_the_table_of_layers_word_for_word():
    assert plan_text(PLAN) == (
        "dry run of digits\n"
        "  classes  counted when the rows are read\n"
        "  model    lenet5\n"
        "  note     the last softmax is left out\n"
        "\n"
        "  layer     output shape     parameters\n"
        "  -------------------------------------\n"
        "  conv2d    [?, 32, 26, 26]         320\n"
        "  residual  [?, 32, 26, 26]       9,248\n"
        "    conv2d  [?, 32, 26, 26]       9,248\n"
        "  flatten   [?, 21632]                0\n"
        "  dense     [?, 10]             216,330\n"
        "  -------------------------------------\n"
        "  total                         225,898\n"
        "\n"
        "Nothing was trained and nothing was written.\n"
    )


def test_the_table_as_html_escapes_names():
    strange = [{"name": "<b>", "output": [1], "parameters": 0, "depth": 0}]
    html = plan_html({"name": "x", "layers": strange})
    assert "&lt;b&gt;" in html
    assert "<th>\u2003conv2d</th>" in plan_html(PLAN)
    assert "225,898" in plan_html(PLAN)


def test_a_list_of_layers_is_one_line_where_a_model_is_named():
    layers = [{"name": name, "options": {}} for name in ("flatten", "dense", "relu", "dense")]
    model = {"name": "layers", "options": {"layers": layers}}
    assert step_text(model) == "4 layers (flatten, dense, relu, dense)"
    model["options"]["init"] = {"name": "he", "options": {}}
    assert step_text(model) == "4 layers (flatten, dense, relu, dense), drawn by he"
    model["options"] = {"layers": layers * 5}
    assert step_text(model).startswith("20 layers (flatten, dense, relu, dense, flatten, dense, ")
    assert step_text(model).endswith(", …, dense)")
