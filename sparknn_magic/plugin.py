"""The decorators: all that a plugin author imports. Standard library only.

    from sparknn_magic.plugin import ImageInputs, architecture

    @architecture("tiny", task="image-classification", source="Me 2026", licence="Apache-2.0")
    def tiny(inputs: ImageInputs, outputs: int, *, width: int = 16) -> nn.Module:
        '''float32[batch, channels, height, width] -> logits float32[batch, outputs].'''

and one line in the package's pyproject.toml:

    [project.entry-points."sparknn.architectures"]
    tiny = "my_package.tiny:tiny"

What each kind of function takes and returns:

| kind | call | returns |
| --- | --- | --- |
| architecture | `f(inputs, outputs, *, options)` | `torch.nn.Module` |
| layer | `f(shape, *, options)`, the shape of a row | `torch.nn.Module` of a batch of such rows |
| preprocessor of pictures | `f(*, options)` | a function of one `PIL.Image` to a `PIL.Image`; runs on executors |
| preprocessor of vectors | `f(*, options)` | a `ColumnStep` or a `CategoryStep` |
| preprocessor of texts | `f(*, options)` | a `tokenizers.normalizers.Normalizer`, or a function of `str` to `str` |
| tokenizer | `f(texts, normalizer, *, options)` | a `tokenizers.Tokenizer` trained on the texts; runs on an executor |
| augmentation | `f(*, options)` | a function of float32[N, C, H, W] in 0..1 to the same, by torch's global generator |
| loss | `f(*, options)` or `f(target, *, options)`, a `Target` | a function of (outputs, target) to float32[N] |
| optimizer | `f(parameters, *, options)` | `torch.optim.Optimizer` |
| schedule | `f(steps, epoch_steps, *, options)` | a function of the step number to the factor on the learning rate |
| sample | `f()` | a dict of split to the Parquet file's `Path`; "train" is one of the splits |
| task | a class | see `sparknn_magic.task.Task` |

An augmentation that mixes pictures is an object with a method `mix(images, real)`, see `training.network.Front`. An
optimizer gets parameter groups, whose `hidden` is true of the weights between the first and the last layer and
`sparse` of tables with sparse gradients; where the optimizer's `needs_closure` is true it is stepped with a function
that returns the loss. Where a schedule's function has a method `update(value, lower)`, it is told after each epoch the
watched figure and whether less of it is better.

A detector is an architecture of the task "object-detection", built for `DetectionInputs`. Boxes are float32, x1, y1,
x2, y2 in pixels of the network's input; B pictures, M true boxes, Q candidates, K classes (`outputs`). Its module has

* `forward(x float32[B, C, H, W], target=None)` -> raw: a tensor, or a tuple or dict of tensors, of any meaning.
  `target` float32[B, M, 5] (class, x1, y1, x2, y2; class -1: no box) is for those that train with it; most ignore it.
* `loss(raw, target float32[B, M, 5])` -> float32[B], each picture's own loss, finite where a picture has no boxes;
  M may be 0. Every parameter takes part in it, boxes or not.
* `detections(raw)` -> boxes float32[B, Q, 4], scores float32[B, Q, K] in 0..1.
* `nms`: the IoU above which, within a class, the lower score is left out; None where the network needs none.
* `heads`, where it is there: the names of the layers that start anew with other classes than a pretrained model's;
  `last_layers`, where it is there: the names of the others that give outputs, which are no `hidden` weights;
  `bfloat16_on_cpu`, where it is true: `precision: auto` is that on processors that compute in it; `pixels`, where it
  is not None: the mean and deviation of each channel that its pictures are normalized by, in place of the rows' own.

A preprocessor of pictures that moves pixels and is for detection too returns an object that has, besides `__call__`,
`place(width, height)` -> (scale_x, scale_y, dx, dy): pixel x of such a picture goes to x * scale_x + dx; and
`size(width, height)`, the (width, height) of its result.

An augmentation of pictures that moves pixels and is for detection too returns an object that has, besides `__call__`,
`boxed(images, boxes float32[N, M, 5], real)` -> (images, boxes), see `training.scenes.Scenes`.

The keyword-only options, with their annotations and defaults, are the item's schema.

A function with a decorator in a notebook's cell (or in the script that runs) is found by its name without any entry
point, and travels to executors by value. Every decorator also takes `source=`, `licence=`, of the code and of weights
that it brings (default: the package's), `requires=`, such as "sparknn-magic>=0.3", checked before the item is used, and
`example=`, options that work, for the help and for the check of an item whose options have no defaults.
`sparknn_magic.testing.check_plugin(f)` tells whether an item keeps to what this page says.
"""

import importlib
import inspect
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict, TypeVar, Unpack

F = TypeVar("F", bound=Callable[..., Any])

GROUPS = {
    "task": "sparknn.tasks",
    "architecture": "sparknn.architectures",
    "layer": "sparknn.layers",
    "preprocessor": "sparknn.preprocessors",
    "tokenizer": "sparknn.tokenizers",
    "augmentation": "sparknn.augmentations",
    "loss": "sparknn.losses",
    "metric": "sparknn.metrics",
    "optimizer": "sparknn.optimizers",
    "schedule": "sparknn.schedules",
    "tracker": "sparknn.trackers",
    "sample": "sparknn.samples",
}


@dataclass(frozen=True, slots=True)
class ImageInputs:
    """What an image architecture is built for: float32[batch, channels, height, width], normalized."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class DetectionInputs:
    """What a detector is built for: `forward(x)`, float32[batch, channels, height, width], normalized."""

    channels: int
    height: int
    width: int
    # The 5, 25, 50, 75 and 95 % quantiles of sqrt(box area) over the training boxes, in pixels of these pictures; ()
    # where there are no boxes. A detector's defaults may follow them.
    sizes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class VectorInputs:
    """What an architecture of the vector tasks is built for: `forward(numbers, codes)`.

    numbers float32[batch, numbers], cleaned and scaled; codes int64[batch, len(categories)], of which 0 stands for what
    the training rows did not have.
    """

    numbers: int
    categories: tuple[int, ...] = ()  # of each categorical column the number of its codes, 0 among them
    embedded: tuple[int, ...] = ()  # of each the width of its embedding; 0: one-hot


@dataclass(frozen=True, slots=True)
class TextInputs:
    """What an architecture of the text tasks is built for: `forward(input_ids, attention_mask)`.

    Both are int64[batch, tokens]; the number of tokens changes from call to call. The mask is 1 for tokens and 0 for
    the padding behind them, which must not change a row's answer.
    """

    vocabulary: int  # ids are 0 .. vocabulary - 1
    length: int  # tokens of the longest row
    pad: int = 0  # the id behind a short row's tokens
    separator: int | None = None  # the id after the first text of a pair, and after the second
    word_start: int | None = None  # the id before each word, of tokenizers of single characters
    each_token: bool = False  # what is learnt is of each token: the outputs are float32[batch, tokens, outputs]


@dataclass(frozen=True, slots=True)
class Target:
    """What is learnt, for a loss that has to know more of it than its values."""

    classes: tuple[str, ...] = ()  # in the order of the outputs; none where a number is learnt
    rows: tuple[int, ...] = ()  # training rows of each class
    mean: float = 0.0  # of the numbers learnt: the network's output and target are (value - mean) / std
    std: float = 1.0


class ColumnStep:
    """A step on numeric columns: fitted by Spark, applied to training rows and, inside the ONNX graph, to raw ones."""

    aggregates: Mapping[str, str] = {}  # SQL aggregates of a column `x` by name: {"mean": "avg(x)"}
    columns: Sequence[str] | None = None  # the only ones it works on; None: all
    drops: bool = False  # rows that have no value in one of its columns are left out

    def apply(self, xp: Any, x: Any, fitted: Mapping[str, Any]) -> Any:
        """float64[rows, columns], missing values NaN -> the same shape.

        `xp` is numpy or torch, and only what both have under one name may be used (the array API standard);
        `fitted` has for each aggregate its values, float64[columns].
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class CategoryStep:
    """How categorical columns enter the network: as a one-hot vector or as an embedding of their codes."""

    width: int | None = None  # of the embedding; 0: one-hot; None: by the number of codes
    most: int = 10_000  # categories of a column, the most frequent ones; all others share code 0
    columns: Sequence[str] | None = None  # the only ones it is for; None: all


@dataclass(frozen=True, slots=True)
class Nested:
    """Put into `Annotated[...]`: the option holds layers. A cell writes names; the layer is given `Layers` to build."""

    text: str  # what a cell writes there, in words
    example: str
    branches: bool = False  # several lists


# Each layer as plain values: name, ref and options. `sparknn_magic.layers.chain` builds them.
Layers = Annotated[list[dict[str, Any]], Nested("a list of layers", "[relu]")]
Branches = Annotated[list[list[dict[str, Any]]], Nested("a list of lists of layers", "[[relu], [tanh]]", branches=True)]


@dataclass(frozen=True)
class Item:
    """One plugin: what its decorator said of it, and the function or class itself."""

    kind: str
    name: str
    build: Callable[..., Any]
    source: str = ""  # the paper or page it comes from
    licence: str = ""  # of the code, and of the weights where it brings any
    task: str | tuple[str, ...] | None = None  # the task that it serves, or several; None: any
    main: str | None = None  # the option that a bare value sets: `resize: 32` is `resize: {size: 32}`
    dynamic: tuple[str, ...] = ("batch",)  # named axes that may change from call to call
    notes: Mapping[str, Any] = field(default_factory=dict)  # facts for the catalogue, e.g. parameters in the paper
    requires: str = ""  # what must be installed, such as "sparknn-magic>=0.3"
    example: Mapping[str, Any] = field(default_factory=dict)  # options that work, as a cell writes them

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it serves; empty: any."""
        return (self.task,) if isinstance(self.task, str) else self.task or ()

    def serves(self, task: str) -> bool:
        """Return whether it can be used for a task; `vector_regression` is `vector-regression`."""
        return not self.tasks or _folded(task) in map(_folded, self.tasks)

    @property
    def ref(self) -> str:
        """`module:attribute`, by which an executor finds the function again."""
        return f"{self.build.__module__}:{self.build.__qualname__}"

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (self.build.__doc__ or "").strip().split("\n")[0]


class Code:
    """A function that executors cannot import, by value: made by `shipping.part_of` from what the notebook defines.

    Only the driver's own jobs carry it, never a model folder. As text, and so in every fingerprint, it is its digest.
    """

    __slots__ = ("digest", "function", "pickled")

    def __init__(self, digest: str, pickled: bytes, function: Callable[..., Any] | None = None):
        self.digest, self.pickled = digest, pickled
        self.function = function  # itself, in the process that defines it: unpickled there, it would undo its classes

    def load(self) -> Callable[..., Any]:
        """Return the function."""
        return self.function or pickle.loads(self.pickled)

    def __reduce__(self) -> tuple[Any, ...]:
        return Code, (self.digest, self.pickled)

    def __repr__(self) -> str:
        return f"Code({self.digest})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Code) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __deepcopy__(self, memo: Any) -> "Code":  # dataclasses.asdict copies what a job holds
        return self


@dataclass(frozen=True, slots=True)
class Part:
    """A plugin with its options, as it travels to executors: plain values, and code where there is no other way."""

    ref: str  # module:attribute
    options: Mapping[str, Any] = field(default_factory=dict)
    code: Code | None = None  # of what cannot be imported by its ref

    def load(self) -> Any:
        """Return the function: imported, or taken from its code."""
        return load_ref(self.ref) if self.code is None else self.code.load()

    def build(self, *args: Any) -> Any:
        """Call the function with these options."""
        return self.load()(*args, **self.options)


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


def load_ref(ref: str) -> Any:
    """Return the object that `module:attribute` names."""
    module, _, attribute = ref.partition(":")
    found: Any = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def build_loss(build: Callable[..., Any], target: Target, options: Mapping[str, Any]) -> Any:
    """Build a loss, or anything else that may or may not ask for the `Target` as its positional parameter."""
    parameters = inspect.signature(build).parameters.values()
    asks = any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    return build(target, **options) if asks else build(**options)


class Facts(TypedDict, total=False):
    """What every decorator takes."""

    source: str  # the paper or page it comes from
    licence: str  # of the code, and of the weights where it brings any; default: the package's
    requires: str  # what must be installed, such as "sparknn-magic>=0.3"
    example: Mapping[str, Any]  # options that work, as a cell writes them


def _decorator(kind: str, name: str, **facts: Any) -> Callable[[F], F]:
    def mark(build: F) -> F:
        build.__sparknn__ = Item(kind, name, build, **facts)  # type: ignore[attr-defined]
        return build

    return mark


Tasks = str | tuple[str, ...] | None


def architecture(
    name: str,
    *,
    task: str | tuple[str, ...],
    source: str,
    licence: str = "Apache-2.0",
    dynamic: tuple[str, ...] = ("batch",),
    notes: Mapping[str, Any] | None = None,
    requires: str = "",
    example: Mapping[str, Any] | None = None,
) -> Callable[[F], F]:
    """Mark `f(inputs, outputs, *, options) -> torch.nn.Module` as an architecture; its source is required."""
    facts = {"source": source, "licence": licence, "requires": requires, "example": example or {}}
    return _decorator("architecture", name, task=task, dynamic=dynamic, notes=notes or {}, **facts)


def layer(name: str, *, main: str | None = None, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark `f(shape, *, options) -> torch.nn.Module` as a layer that a cell's `model:` list can name.

    `shape` is that of one row: (channels, height, width), (steps, features) or (features,).
    """
    return _decorator("layer", name, main=main, **facts)


def preprocessor(name: str, *, task: Tasks = None, main: str | None = None, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark `f(*, options)` returning a function of one row's value; it runs on executors, in training and inference."""
    return _decorator("preprocessor", name, task=task, main=main, **facts)


def tokenizer(
    name: str, *, main: str | None = None, notes: Mapping[str, Any] | None = None, **facts: Unpack[Facts]
) -> Callable[[F], F]:
    """Mark `f(texts, normalizer, *, options)` returning a `tokenizers.Tokenizer` trained on an iterator of texts.

    Its tokens 0 to 3 are [PAD], [UNK], [CLS] and [SEP]; its post-processor gives `[CLS] A [SEP]`, and for a pair
    `[CLS] A [SEP] B [SEP]`; it neither cuts nor pads. `notes["most"]` is how long a text may be where the cell says
    nothing, in tokens (512 without it).
    """
    return _decorator("tokenizer", name, main=main, notes=notes or {}, **facts)


def augmentation(name: str, *, task: Tasks = None, main: str | None = None, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark `f(*, options)` returning a function of float32[N, C, H, W] in 0..1; it runs in the training worker."""
    return _decorator("augmentation", name, task=task, main=main, **facts)


def loss(name: str, *, task: Tasks = None, main: str | None = None, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark `f(*, options)` or `f(target, *, options)` returning a function of (outputs, target) to float32[N].

    `target` is a `Target`. Where the function has an attribute `columns`, names of numeric columns of the row, it gets
    these too, by name: `loss(outputs, target, price=...)`.
    """
    return _decorator("loss", name, task=task, main=main, **facts)


def metric(name: str, *, task: Tasks = None, main: str | None = None, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark `f(*, options)` returning a Spark aggregate over the predictions."""
    return _decorator("metric", name, task=task, main=main, **facts)


def optimizer(name: str, *, main: str | None = None, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark `f(parameters, *, options)` returning a `torch.optim.Optimizer`."""
    return _decorator("optimizer", name, main=main, **facts)


def schedule(name: str, *, main: str | None = None, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark `f(steps, epoch_steps, *, options)` returning a function of the step to the learning rate's factor."""
    return _decorator("schedule", name, main=main, **facts)


def tracker(name: str, *, main: str | None = None, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark a function that receives the run's events."""
    return _decorator("tracker", name, main=main, **facts)


def sample(name: str, *, source: str, licence: str, task: Tasks = None, requires: str = "") -> Callable[[F], F]:
    """Mark `f()` returning a dict of split to a Parquet file's path in the package: real rows to try things on."""
    return _decorator("sample", name, task=task, source=source, licence=licence, requires=requires)


def task(name: str, **facts: Unpack[Facts]) -> Callable[[F], F]:
    """Mark a subclass of `sparknn_magic.task.Task`."""
    return _decorator("task", name, **facts)
