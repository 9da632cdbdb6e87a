"""A network -> the graph of its blocks, with true edges, shapes and parameters. Needs torch.

It is followed by torch.export with tensors that hold no numbers: what comes out is what it computes, so a shortcut is
an edge, in a list of layers and in an architecture alike. Operations of one module are one block. How deep modules are
looked into depends on how many blocks that gives: the deepest level with at most `MOST` of them. Operations that stand
in no such module (a sum, an activation) are blocks of their own.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import DetectionInputs, ImageInputs, TextInputs, VectorInputs
from sparknn_magic.show.graph import Block, NetworkGraph

if TYPE_CHECKING:
    from torch import fx, nn

MOST = 40  # blocks
ROWS = 2  # of a batch
NAMED = 3  # operations that name a block
# What only lays tensors out anew: no block of its own.
LAYOUT = {
    *("_assert_scalar", "_assert_tensor_metadata", "_to_copy", "_unsafe_view", "alias", "arange", "clone"),
    *("contiguous", "copy", "detach", "detach_", "dropout", "empty", "expand", "flatten", "full", "full_like"),
    *("getitem", "lift_fresh_copy", "new_full", "new_ones", "new_zeros", "ones", "ones_like", "permute", "reshape"),
    *("select", "slice", "split", "split_with_sizes", "squeeze", "sym_size", "t", "to", "transpose", "type_as"),
    *("unbind", "unsqueeze", "view", "zeros", "zeros_like"),
}


def follow(network: "nn.Module", inputs: Any, *, title: str) -> NetworkGraph:
    """Return the graph of a network that was built for these inputs.

    Raises: SpecError where it cannot be followed, as for an export.
    """
    import torch

    examples = _examples(inputs)
    try:
        with warnings.catch_warnings():
            # A recurrent layer keeps its weights in one piece for cuDNN, which makes no difference here.
            warnings.filterwarnings("ignore", message="The tensor attributes", category=UserWarning)
            program = torch.export.export(network.eval(), examples, strict=False)
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        reason = str(error).strip().split("\n")[0]
        raise SpecError(f"{title}: the network cannot be followed: {reason}") from error
    nodes = [node for node in program.graph_module.graph.nodes if node.op in ("placeholder", "call_function")]
    leaves = {name for name, module in network.named_modules() if not any(module.children())}
    owned = program.graph_signature.inputs_to_parameters
    sizes = {name: value.numel() for name, value in network.named_parameters()}
    weights = {node: sizes.get(owned[node.name], 0) for node in nodes if node.name in owned}
    kinds = {name: type(module).__name__ for name, module in network.named_modules()}
    given = set(program.graph_signature.user_inputs)
    return NetworkGraph(title, _blocks(nodes, leaves, kinds, weights, given), sum(sizes.values()))


@dataclass
class _Run:
    """Operations that follow each other in one place."""

    place: tuple[str, ...]  # the modules that they stand in, by their whole names, the outermost first
    whole: bool  # they are all of the innermost of these
    nodes: list["fx.Node"] = field(default_factory=list)


def _blocks(
    nodes: Sequence["fx.Node"],
    leaves: set[str],
    kinds: Mapping[str, str],
    weights: Mapping["fx.Node", int],
    given: set[str],
) -> list[Block]:
    work = [node for node in nodes if node.op == "call_function"]
    runs = _runs(work, leaves, 1)
    deepest = max((len(_place(node)) for node in work), default=1)
    for depth in range(2, deepest + 1):
        deeper = _runs(work, leaves, depth)
        if sum(run.whole or bool(_words(run.nodes)) for run in deeper) > MOST:
            break
        runs = deeper
    blocks = [Block(node.name, "", _shape(node)) for node in nodes if node.name in given]
    at = {node: n for n, node in enumerate(node for node in nodes if node.name in given)}
    counted: set[fx.Node] = set()
    for run in runs:
        before = [at[n] for node in run.nodes for n in node.all_input_nodes if n in at and n not in run.nodes]
        words = [] if run.whole else _words(run.nodes)
        if not run.whole and not words:
            at |= dict.fromkeys(run.nodes, before[-1]) if before else {}
            continue
        own = {n for node in run.nodes for n in node.all_input_nodes if n in weights} - counted
        counted |= own
        name = run.place[-1] if run.whole else " + ".join(words)
        kind = kinds.get(run.place[-1], "") if run.whole else ""
        place = run.place[:-1] if run.whole else run.place
        edges = tuple(dict.fromkeys(before))
        blocks.append(Block(name, kind, _last(run.nodes), sum(weights[n] for n in own), edges, place))
        at |= dict.fromkeys(run.nodes, len(blocks) - 1)
    return blocks


def _runs(work: Sequence["fx.Node"], leaves: set[str], depth: int) -> list[_Run]:
    """Part operations into runs: those of one module of this depth, or of one place above it."""
    runs: list[_Run] = []
    for node in work:
        place = _place(node)
        whole = len(place) >= depth or bool(place and place[-1] in leaves)
        place = place[:depth]
        if not runs or runs[-1].place != place or runs[-1].whole != whole:
            runs.append(_Run(place, whole))
        runs[-1].nodes.append(node)
    return runs


def _place(node: "fx.Node") -> tuple[str, ...]:
    """Return the names of the modules that an operation stands in, the network itself left out."""
    stack = node.meta.get("nn_module_stack") or {}
    names = [re.sub(r"@\d+", "", path) for path, _ in stack.values()]
    return tuple(name for name in names if name)


def _words(nodes: Sequence["fx.Node"]) -> list[str]:
    """Return the names of the first operations that compute something."""
    names = [str(getattr(node.target, "__name__", node.target)).split(".")[0].rstrip("_") for node in nodes]
    return list(dict.fromkeys(name for name in names if name not in LAYOUT))[:NAMED]


def _last(nodes: Sequence["fx.Node"]) -> tuple[int | str, ...] | None:
    """Return the shape of what the last operation gives that somebody outside takes."""
    inside = set(nodes)
    for node in reversed(nodes):
        if any(user not in inside for user in node.users) and (shape := _shape(node)) is not None:
            return shape
    return _shape(nodes[-1])


def _shape(node: "fx.Node") -> tuple[int | str, ...] | None:
    given = getattr(node.meta.get("val"), "shape", None)
    if given is None:
        return None
    return tuple("?" if n == 0 and length == ROWS else int(length) for n, length in enumerate(given))


def _examples(inputs: Any) -> tuple[Any, ...]:
    import torch

    if isinstance(inputs, TextInputs):
        ids = torch.ones(ROWS, inputs.length, dtype=torch.int64)
        return ids, torch.ones_like(ids)
    if isinstance(inputs, VectorInputs):
        codes = torch.zeros(ROWS, len(inputs.categories), dtype=torch.int64)
        return torch.zeros(ROWS, inputs.numbers), codes
    if not isinstance(inputs, ImageInputs | DetectionInputs):
        raise SpecError(f"networks of {type(inputs).__name__} are not drawn.")
    return (torch.zeros(ROWS, inputs.channels, inputs.height, inputs.width),)
