"""A network's graph: as an indented tree, and drawn."""

import re

from sparknn_magic.show.graph import HIGH, WIDE, Block, NetworkGraph, graph_svg, graph_text, ranks
from sparknn_magic.show.html import plan_html
from tests.show.conftest import HOSTILE
from tests.show.test_report import Reader

RESIDUAL = NetworkGraph(
    "digits",
    [
        Block("x", "", ("?", 1, 8, 8)),
        Block("conv2d", "Conv2d", ("?", 4, 8, 8), 40, (0,)),
        Block("residual.layers.conv2d", "Conv2d", ("?", 4, 8, 8), 148, (1,), ("residual", "residual.layers")),
        Block("residual.layers.relu", "ReLU", ("?", 4, 8, 8), 0, (2,), ("residual", "residual.layers")),
        Block("add", "", ("?", 4, 8, 8), 0, (3, 1), ("residual",)),
        Block("dense", "Linear", ("?", 10), 2570, (4,)),
    ],
)


def boxes(svg):
    """Return left edge and top of each box."""
    return [(float(x), float(y)) for x, y in re.findall(r'<rect x="([-\d.]+)" y="(\d+)"', svg)]


def test_the_tree_names_what_a_block_takes_where_it_is_not_the_one_above():
    assert repr(RESIDUAL) == (
        "digits: 5 blocks, 2,758 parameters\n"
        "  x                   [?, 1, 8, 8]\n"
        "  conv2d      Conv2d  [?, 4, 8, 8]     40\n"
        "  residual\n"
        "    layers\n"
        "      conv2d  Conv2d  [?, 4, 8, 8]    148\n"
        "      relu    ReLU    [?, 4, 8, 8]\n"
        "    add               [?, 4, 8, 8]         from residual.layers.relu, conv2d\n"
        "  dense       Linear  [?, 10]       2,570"
    )


def test_a_block_stands_below_all_that_it_takes():
    assert ranks(RESIDUAL.blocks) == [0, 1, 2, 3, 4, 5]
    assert ranks([Block("a"), Block("b", inputs=(0,)), Block("c", inputs=(0,)), Block("d", inputs=(1, 2))]) == [
        0,
        1,
        1,
        2,
    ]


def test_a_chain_is_drawn_straight_and_a_shortcut_leads_past_it():
    svg = graph_svg(RESIDUAL)
    assert {x for x, _ in boxes(svg)} == {-WIDE / 2}
    beside = [float(x) for x in re.findall(r"C[-\d.]+ [-\d.]+ ([-\d.]+) ", svg) if float(x) > WIDE / 2]
    assert len(beside) == 2  # two ranks lie between the two ends
    assert svg.count('class="tip"') == 6


def test_branches_stand_side_by_side_around_the_middle_and_no_boxes_overlap():
    blocks = [Block("x"), *(Block(f"b{n}", inputs=(0,)) for n in range(3)), Block("cat", inputs=(1, 2, 3, 0))]
    found = boxes(graph_svg(NetworkGraph("p", blocks)))
    assert found[0][0] == found[2][0] == found[-1][0] == -WIDE / 2
    assert found[1][0] == -found[3][0] - WIDE
    assert all(abs(a - c) >= WIDE or abs(b - d) >= HIGH for i, (a, b) in enumerate(found) for c, d in found[:i])


def test_a_plan_has_the_drawing_to_unfold_or_why_there_is_none():
    html = plan_html({"name": "digits", "graph": RESIDUAL})
    assert html.index("<details>") < html.index("digits: 5 blocks") < html.index("</details>")
    assert f"not drawn: {HOSTILE}" in Reader(plan_html({"name": "digits", "not_drawn": HOSTILE})).text


def test_where_styles_are_taken_away_the_tree_is_left_and_the_drawing_is_hidden():
    html = RESIDUAL._repr_html_()
    assert '<div class="graph" hidden="hidden"><svg' in html
    assert ".sparknn .tree { display: none; }" in html
    assert html[html.index('<pre class="tree">') :].startswith(f'<pre class="tree">{graph_text(RESIDUAL)}</pre>')


def test_a_drawing_scrolls_from_fifteen_ranks_on():
    chain = [Block("x"), *(Block(f"b{n}", inputs=(n,)) for n in range(13))]
    assert "graph tall" not in NetworkGraph("p", chain)._repr_html_()
    assert (
        '<div class="graph tall" tabindex="0" hidden="hidden">'
        in NetworkGraph("p", [*chain, Block("y", inputs=(13,))])._repr_html_()
    )


def test_whatever_a_layer_is_called_shows_as_text():
    graph = NetworkGraph(HOSTILE, [Block("x"), Block(HOSTILE, HOSTILE, None, 3, (0,), (HOSTILE,))])
    read = Reader(graph._repr_html_())
    assert HOSTILE in read.text
    assert (read.handlers, read.loads, "img" in read.tags) == ([], [], False)
    assert repr(graph).count("<img") >= 3


def test_a_graph_without_blocks_is_no_error():
    assert repr(NetworkGraph("none", [])) == "none: 0 blocks, 0 parameters\n"
    Reader(NetworkGraph("none", [])._repr_html_())
