"""A list of layers -> one network, shapes inferred; where they do not fit, an error with the layer and both shapes.

Needs torch, no Spark: the driver builds the list once to check it, the executors to train it. A layer is given as plain
values, `{"name": "dense", "ref": "sparknn_zoo.layers.dense:dense", "options": {"units": 10}}`.

The shape of a row is what follows the batch: (channels, height, width), (steps, features) or (features,).
B batch, C channels, H height, W width, F numeric columns, G categorical columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparknn_magic.errors import PluginError, SparkNNError, SpecError
from sparknn_magic.features import Features
from sparknn_magic.plugin import ImageInputs, Part, TextInputs, VectorInputs

Shape = tuple[int, ...]
Place = tuple[str | int, ...]  # (2, "layers", 0): the first of the layers inside the third

EXAMPLE_ROWS = 2  # of zeros, which every layer is tried on


class ShapeError(SpecError):
    """For a layer that cannot take rows of this shape. The list says which layer that is and what stands before it.

    `takes` is what it takes, "[features]"; `add` the layer that helps when it stands before this one, where one does.
    """

    def __init__(self, takes: str, *, add: str = ""):
        super().__init__(f"it takes rows of shape {takes}.")
        self.takes, self.add = takes, add


class LayerError(SpecError):
    """An error at a layer of a list; `place` says which one."""

    place: Place = ()


class Chain(nn.Module):
    """Layers one after the other: a batch of rows -> a batch of rows.

    Each is an attribute named as in the cell, the second of a name with a number: conv2d, relu, conv2d_1, relu_1.
    """

    def __init__(self, shape: Shape, title: str = ""):
        super().__init__()
        self.title = title  # of a branch, in the table of layers
        self.shape = shape  # of the rows that it gives
        self.shapes: dict[str, Shape] = {}  # of the rows that each layer gives, by its attribute

    def append(self, name: str, module: nn.Module, shape: Shape) -> None:
        """Add a layer that gives rows of `shape`."""
        number = 0
        key = name = name.replace(".", "_")
        while key in self.shapes or hasattr(self, key):
            number += 1
            key = f"{name}_{number}"
        self.add_module(key, module)
        self.shapes[key] = self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Rows of the first layer's shape -> rows of the last one's."""
        for layer in self.layers():
            x = layer(x)
        return x

    def layers(self) -> list[nn.Module]:
        """Return the layers in their order."""
        return [layer for layer in self._modules.values() if layer is not None]


class ColumnStack(nn.Module):
    """A list of layers for rows of columns: numbers float32[B, F], codes int64[B, G] -> float32[B, outputs]."""

    def __init__(self, columns: Features, layers: Chain):
        super().__init__()
        self.columns, self.layers = columns, layers

    def forward(self, numbers_BF: Tensor, codes_BG: Tensor) -> Tensor:
        """Return the outputs of the last layer."""
        return self.layers(self.columns(numbers_BF, codes_BG))


class TextStack(nn.Module):
    """A list of layers for texts: input_ids int64[B, T], attention_mask int64[B, T] -> float32[B, outputs].

    Of each token float32[B, T, outputs]. The layers always see `length` tokens: most of them have no idea of a mask,
    and some need a fixed number of steps.
    """

    def __init__(self, inputs: TextInputs, layers: Chain):
        super().__init__()
        self.layers, self.length, self.pad = layers, inputs.length, inputs.pad
        self.each_token = inputs.each_token

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the outputs of the last layer."""
        ids_BT = input_ids.masked_fill(attention_mask == 0, self.pad)
        outputs = self.layers(nn.functional.pad(ids_BT, (0, self.length - ids_BT.shape[1]), value=self.pad))
        return outputs[:, : ids_BT.shape[1]] if self.each_token else outputs


def stack(
    inputs: Any, outputs: int, *, layers: Sequence[Mapping[str, Any]], init: Mapping[str, Any] | None = None
) -> nn.Module:
    """Build a cell's list of layers: float32[B, C, H, W], numbers and codes, or tokens -> float32[B, outputs].

    `inputs` is an `ImageInputs`, a `VectorInputs` or a `TextInputs`; of the last, `embedding` has its vocabulary by
    itself. The last `dense` of the list gets its units from `outputs` where
    it has none. `init` (ref and options) draws the weights again; without it they are as torch draws them.
    Raises: LayerError where shapes do not fit, or the last layer does not give `outputs` numbers.
    """
    columns: Features | None = None
    if isinstance(inputs, ImageInputs):
        shape: Shape = (inputs.channels, inputs.height, inputs.width)
        given = "the pictures are"
    elif isinstance(inputs, VectorInputs):
        columns = Features(inputs)
        shape, given = (columns.width,), "the columns are"
    elif isinstance(inputs, TextInputs):
        shape, given = (inputs.length,), "the texts are"
        layers = _with_vocabulary(layers, inputs.vocabulary)
    else:
        raise SpecError(f"a list of layers takes pictures, columns or texts, not {type(inputs).__name__}.")
    layers = _with_units(layers, outputs)
    body = chain(shape, layers, at=(), given=given)
    if isinstance(inputs, TextInputs) and inputs.each_token:
        _check_tokens(body.shape, layers, inputs.length, outputs)
    else:
        _check_outputs(body.shape, layers, outputs)
    network: nn.Module = body if columns is None else ColumnStack(columns, body)
    if isinstance(inputs, TextInputs):
        network = TextStack(inputs, body)
    if init is not None:
        from sparknn_magic.initializers import initialize

        initialize(network, Part(init["ref"], init["options"]))
    return network


def chain(
    shape: Sequence[int],
    layers: Sequence[Mapping[str, Any]],
    *,
    at: Place = ("layers",),
    given: str = "it is given",
    title: str = "",
) -> Chain:
    """Build layers for rows of `shape`, one after the other; how a layer with layers in it builds those.

    `at` is the option that holds them, `("branches", 1)` the second list of an option `branches`; `given` words where
    the first one's rows come from; `title` heads them in the table of layers.
    Raises: LayerError with the place of the layer that does not fit.
    """
    built = Chain(tuple(shape), title)
    example = torch.zeros(EXAMPLE_ROWS, *shape)
    for n, layer in enumerate(layers):
        try:
            module, example = _grow(layer, example, given)
        except SparkNNError as error:
            raise _placed(error, (*at, n)) from error
        built.append(layer["name"], module, tuple(example.shape[1:]))
        given = f"{layer['name']} before it gives"
    return built


def _grow(layer: Mapping[str, Any], example: Tensor, given: str) -> tuple[nn.Module, Tensor]:
    """Build one layer and try it; return it and zeros in the shape and type of what it gives."""
    name, shape = layer["name"], tuple(example.shape[1:])
    try:
        module = Part(layer["ref"], layer["options"], layer.get("code")).build(shape)
        with torch.no_grad():
            found = module.eval()(example)
    except ShapeError as error:
        add = f" Add `{error.add}`." if error.add else ""
        raise SpecError(f"{name} takes rows of shape {error.takes}; {given} {words(shape)}.{add}") from error
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
        reason = str(error).strip().split("\n")[0]
        raise SpecError(f"{name} cannot take what {given} {words(shape)}: {reason}") from error
    if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != EXAMPLE_ROWS:
        raise PluginError(f"{name} must give a batch of {EXAMPLE_ROWS} rows for {EXAMPLE_ROWS} rows, and does not.")
    return module.train(), torch.zeros_like(found)


def _placed(error: SparkNNError, place: Place) -> LayerError:
    placed = LayerError(error.message, hint=error.hint)
    placed.place = (*place, *(error.place if isinstance(error, LayerError) else ()))
    return placed


def words(shape: Sequence[int]) -> str:
    """(32, 14, 14) -> '[32, 14, 14]'."""
    return str(list(shape))


def _with_units(layers: Sequence[Mapping[str, Any]], outputs: int) -> list[Mapping[str, Any]]:
    """Give the last layer that has units as many as there are outputs, where the cell does not say how many."""
    found = [n for n, layer in enumerate(layers) if "units" in layer["options"]]
    if not found or layers[found[-1]]["options"]["units"] is not None:
        return list(layers)
    last = dict(layers[found[-1]])
    last["options"] = {**last["options"], "units": outputs}
    return [*layers[: found[-1]], last, *layers[found[-1] + 1 :]]


def _with_vocabulary(layers: Sequence[Mapping[str, Any]], tokens: int) -> list[Mapping[str, Any]]:
    """Give an embedding that the texts enter the number of tokens, where the cell does not say how many there are."""
    if not layers or layers[0]["options"].get("vocabulary", tokens) is not None:
        return list(layers)
    first = {**layers[0], "options": {**layers[0]["options"], "vocabulary": tokens}}
    return [first, *layers[1:]]


def _check_outputs(shape: Shape, layers: Sequence[Mapping[str, Any]], outputs: int) -> None:
    if shape == (outputs,):
        return
    wanted = f"there are {outputs} classes" if outputs > 1 else "the label is one number"
    dense = next((n for n in range(len(layers) - 1, -1, -1) if layers[n]["name"] == "dense"), None)
    if dense is not None and len(shape) == 1 and shape == (layers[dense]["options"]["units"],):
        error = SpecError(
            f"the last dense has {shape[0]} units, but {wanted}.",
            hint=f"Write `dense: {outputs}`, or `dense` alone: the last one takes their number by itself.",
        )
        raise _placed(error, (dense,))
    add = "`dense`" if len(shape) == 1 else "`flatten` and `dense`"
    last = f"the last layer, {layers[-1]['name']}, gives" if layers else "without a layer a row is"
    raise _placed(SpecError(f"{last} {words(shape)}, but {wanted}. Add {add}."), (max(0, len(layers) - 1),))


def _check_tokens(shape: Shape, layers: Sequence[Mapping[str, Any]], length: int, outputs: int) -> None:
    if shape == (length, outputs):
        return
    last = f"the last layer, {layers[-1]['name']}, gives" if layers else "without a layer a row is"
    message = f"{last} {words(shape)}, but each of {length} tokens needs {outputs} numbers: {[length, outputs]}."
    hint = "Leave out what pools or flattens, give recurrent layers `return_sequences: true`, and end with `dense`."
    raise _placed(SpecError(message, hint=hint), (max(0, len(layers) - 1),))


def table(network: nn.Module) -> list[dict[str, Any]]:
    """Return a row for each layer of what `stack` built: name, output, parameters and depth.

    `output` is the shape of a row; depth 0 is the list itself, and its parameters add up to the network's.
    """
    if isinstance(network, TextStack):
        return list(_rows(network.layers, 0))
    if isinstance(network, ColumnStack):
        columns = _row("columns", (network.columns.width,), network.columns, 0)
        return [columns, *_rows(network.layers, 0)]
    return list(_rows(network, 0))


def _rows(module: nn.Module, depth: int) -> Iterator[dict[str, Any]]:
    """The layers of the chains in a module, in their order."""
    if not isinstance(module, Chain):
        for child in module.children():
            yield from _rows(child, depth)
        return
    if module.title:
        yield _row(module.title, module.shape, module, depth)
        depth += 1
    for (name, shape), layer in zip(module.shapes.items(), module.layers(), strict=True):
        yield _row(name, shape, layer, depth)
        yield from _rows(layer, depth + 1)


def _row(name: str, shape: Shape, module: nn.Module, depth: int) -> dict[str, Any]:
    count = sum(p.numel() for p in module.parameters())
    return {"name": name, "output": list(shape), "parameters": count, "depth": depth}
