"""The graph of a network: drawn as SVG, and as an indented tree of text. Knows no torch.

Drawn from top to bottom by ranks: a block stands below all that it takes. An edge that spans ranks gets a place of its
own in each of them, so it leads past the blocks between. Source: Sugiyama et al. 1981, Methods for Visual Understanding
of Hierarchical System Structures, in its simplest form.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.words import amount, count, plain, plural, shorten, table

WIDE, HIGH, ACROSS, DOWN = 216, 44, 26, 24  # pixels of a block, and between blocks
EDGE = 10  # pixels that an edge takes beside blocks
NAME, KIND = 25, 34  # letters
TALL = 14  # ranks, beyond which the drawing scrolls
LABEL = 40  # columns of a name in the text form

STYLE = """
.sparknn .graph { display: block; overflow: auto; margin: 4px 0 8px; border: 1px solid rgba(128, 128, 128, 0.25);
  border-radius: 8px; }
.sparknn .graph.tall { max-height: 640px; }
.sparknn .tree { display: none; }
.sparknn .graph svg { display: block; margin: 0 auto; color: inherit; }
.sparknn .graph rect { fill: rgba(128, 128, 128, 0.1); stroke: rgba(128, 128, 128, 0.55); }
.sparknn .graph .learns rect { fill: rgba(0, 114, 178, 0.16); stroke: rgba(0, 114, 178, 0.75); }
.sparknn .graph path { fill: none; stroke: rgba(128, 128, 128, 0.9); stroke-width: 1.4; }
.sparknn .graph .tip { fill: rgb(128, 128, 128); stroke: none; }
.sparknn .graph text { fill: currentColor; font: 12px system-ui, -apple-system, "Segoe UI", "Noto Sans",
  "Liberation Sans", sans-serif; }
.sparknn .graph .name { font-weight: 600; }
.sparknn .graph .small { font-size: 11px; opacity: 0.75; }
"""


@dataclass(frozen=True)
class Block:
    """A part of a network: an input, a module, or a few operations."""

    name: str  # of a module, its whole name
    kind: str = ""  # the module's class
    shape: tuple[int | str, ...] | None = None  # of what it gives
    parameters: int = 0
    inputs: tuple[int, ...] = ()  # positions of the blocks whose outputs it takes
    place: tuple[str, ...] = ()  # whole names of the modules that it stands in, the outermost first


@dataclass(frozen=True)
class NetworkGraph:
    """The blocks of a network, each after all that it takes."""

    title: str
    blocks: Sequence[Block]
    parameters: int | None = None  # of the whole network; None: those of the blocks

    def __repr__(self) -> str:
        return f"{_headline(self)}\n{graph_text(self)}"

    def _repr_html_(self) -> str:
        return scoped(self.drawing())

    def drawing(self) -> Markup:
        """Return the drawing under its headline; a tall one scrolls. Where styles are taken away, it is the tree.

        A frontend that takes them away, as of a notebook that is not trusted, leaves of a drawing its words alone.
        """
        tall = len(set(ranks(self.blocks))) > TALL
        shape = "graph tall" if tall else "graph"
        drawn = el("div", graph_svg(self), cls=shape, tabindex="0" if tall else None, hidden="hidden")
        tree = el("pre", graph_text(self), cls="tree")
        return el("div", el("style", Markup(STYLE)), el("div", _headline(self), cls="soft"), drawn, tree)


def _headline(graph: NetworkGraph) -> str:
    total = sum(block.parameters for block in graph.blocks)
    inputs = sum(not block.inputs for block in graph.blocks)
    whole = total if graph.parameters is None else graph.parameters
    idle = f", {count(whole - total)} of them without a part in the answer" if whole > total else ""
    return f"{plain(graph.title)}: {plural(len(graph.blocks) - inputs, 'block')}, {count(whole)} parameters{idle}"


def graph_text(graph: NetworkGraph) -> str:
    """Return a line for each block, indented by its modules; with what it takes, where that is not the one above."""
    rows: list[list[str]] = []
    open_: tuple[str, ...] = ()
    for n, block in enumerate(graph.blocks):
        shared = 0
        while shared < min(len(open_), len(block.place)) and open_[shared] == block.place[shared]:
            shared += 1
        for depth in range(shared, len(block.place)):
            rows.append(["  " * depth + _short(block.place[: depth + 1]), "", "", "", ""])
        open_ = block.place
        name = "  " * len(block.place) + _short((*block.place, block.name) if block.kind else (block.name,))
        taken = ", ".join(_called(graph.blocks[i]) for i in block.inputs)
        said = f"from {taken}" if block.inputs and block.inputs != (n - 1,) else ""
        parameters = count(block.parameters) if block.parameters else ""
        rows.append([name, plain(block.kind) if block.kind else "", _shape(block), parameters, said])
    return table(rows, "lllrl", indent="  ")


def _short(names: Sequence[str]) -> str:
    """Return the last name without that of the module around it: layer1.0 in layer1 is 0."""
    around = f"{names[-2]}." if len(names) > 1 else ""
    return shorten(names[-1].removeprefix(around), LABEL)


def _called(block: Block) -> str:
    """Return a name that tells a block from others: operations with the module that they stand in."""
    name = shorten(block.name, LABEL)
    return name if block.kind or not block.place else f"{name} of {shorten(block.place[-1], LABEL)}"


def _shape(block: Block) -> str:
    return "" if block.shape is None else "[" + ", ".join(map(str, block.shape)) + "]"


@dataclass
class _Spot:
    """A place in a rank: of a block, or of an edge that leads past."""

    block: int | None
    above: list["_Spot"] = field(default_factory=list)
    x: float = 0.0  # of its middle

    @property
    def width(self) -> int:
        return EDGE if self.block is None else WIDE


def ranks(blocks: Sequence[Block]) -> list[int]:
    """Return for each block how many blocks stand above it at least: the longest way from an input."""
    found: list[int] = []
    for block in blocks:
        found.append(max((found[i] + 1 for i in block.inputs), default=0))
    return found


def _placed(blocks: Sequence[Block]) -> list[list[_Spot]]:
    """Return the ranks with their spots, each below the middle of what it takes where there is room."""
    level = ranks(blocks)
    rows: list[list[_Spot]] = [[] for _ in range(max(level, default=-1) + 1)]
    spots = [_Spot(n) for n in range(len(blocks))]
    for spot, at in zip(spots, level, strict=True):
        rows[at].append(spot)
    for n, block in enumerate(blocks):
        for i in block.inputs:
            above = spots[i]
            for between in range(level[i] + 1, level[n]):
                above = _Spot(None, [above])
                rows[between].append(above)
            spots[n].above.append(above)
    for row in rows:
        _spread(row)
    return rows


def _spread(row: list[_Spot]) -> None:
    for spot in row:
        # Below blocks, where it takes any: what leads past them must not draw a chain aside.
        above = [s for s in spot.above if s.block is not None] or spot.above
        spot.x = sum(s.x for s in above) / len(above) if above else 0.0
    row.sort(key=lambda spot: (round(spot.x), spot.block is None))
    wanted = [spot.x for spot in row]
    for left, right in pairwise(row):
        room = ACROSS if left.block is not None or right.block is not None else 0
        right.x = max(right.x, left.x + (left.width + right.width) / 2 + room)
    # Several blocks side by side stand around the middle of what they take; one alone stays where it is.
    moved = [spot.x - x for spot, x in zip(row, wanted, strict=True) if spot.block is not None]
    shift = sum(moved) / len(moved) if len(moved) > 1 else 0.0
    for spot in row:
        spot.x -= shift


def graph_svg(graph: NetworkGraph) -> Markup:
    """Return the drawing."""
    rows = _placed(graph.blocks)
    spots = [spot for row in rows for spot in row]
    left = min((spot.x - spot.width / 2 for spot in spots), default=0.0) - 12
    right = max((spot.x + spot.width / 2 for spot in spots), default=0.0) + 12
    height = len(rows) * (HIGH + DOWN) - DOWN + 24
    drawn: list[Markup] = []
    for n, row in enumerate(rows):
        y = 12 + n * (HIGH + DOWN)
        for spot in row:
            drawn += _edges(spot, y)
            drawn += [] if spot.block is None else [_box(graph.blocks[spot.block], spot.x - WIDE / 2, y)]
    size = f"{left:.0f} 0 {right - left:.0f} {height}"
    said = f"The graph of {plain(graph.title)}"
    return el("svg", *drawn, viewBox=size, width=f"{right - left:.0f}", height=height, role="img", aria_label=said)


def _edges(spot: _Spot, y: float) -> Iterable[Markup]:
    """Return what leads to a spot from those above; past a rank it goes straight down."""
    for above in spot.above:
        start, middle = y - DOWN, y - DOWN / 2
        line = f"M{above.x:.1f} {start} C{above.x:.1f} {middle} {spot.x:.1f} {middle} {spot.x:.1f} {y - 3}"
        if spot.block is None:
            yield el("path", d=f"{line} V{y + HIGH}")
            continue
        yield el("path", d=line)
        yield el("path", d=f"M{spot.x - 4:.1f} {y - 7} L{spot.x + 4:.1f} {y - 7} L{spot.x:.1f} {y} Z", cls="tip")


def _box(block: Block, x: float, y: float) -> Markup:
    about = " ".join(part for part in (plain(block.kind) if block.kind else "", _shape(block)) if part)
    said = amount(block.parameters) if block.parameters else ""
    room = NAME - (len(said) + 1 if said else 0)
    name = _end(block.name, room) if block.kind else shorten(block.name, room)
    size = el("text", said, x=f"{x + WIDE - 8:.1f}", y=y + 18, text_anchor="end", cls="small")
    whole = f"{plain(block.name)} {about}" + (f", {count(block.parameters)} parameters" if block.parameters else "")
    return el(
        "g",
        el("title", whole),
        el("rect", x=f"{x:.1f}", y=y, width=WIDE, height=HIGH, rx=6),
        el("text", name, x=f"{x + 8:.1f}", y=y + 18, cls="name"),
        el("text", shorten(about, KIND), x=f"{x + 8:.1f}", y=y + 34, cls="small") if about else None,
        size if said else None,
        cls="learns" if block.parameters else None,
    )


def _end(name: str, limit: int) -> str:
    """Return a module's name, the end of a long one: that tells it from its neighbours."""
    label = plain(name)
    return label if len(label) <= limit else f"…{label[1 - limit :].lstrip('.')}"
