"""What the layers share: shapes of a row, options, padding, activations, and layers that act over steps.

A row is a picture (channels, height, width), a sequence (steps, features) or a vector (features,).
B batch, T steps, F features.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.layers import ShapeError

PICTURE, SEQUENCE, VECTOR = "[channels, height, width]", "[steps, features]", "[features]"

Shape = tuple[int, ...]
Rate = Annotated[float, Field(ge=0, lt=1)]  # a probability of dropping something: 0 keeps everything
Pair = PositiveInt | tuple[PositiveInt, PositiveInt]  # one number for both, or height and width
Padding1 = Literal["valid", "same"] | NonNegativeInt
Padding2 = Literal["valid", "same"] | NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt]
Activation = (
    Literal[
        "linear",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "gelu",
        "silu",
        "swish",
        "mish",
        "tanh",
        "sigmoid",
        "softplus",
        "softsign",
        "hardswish",
        "hardsigmoid",
        "softmax",
    ]
    | None
)
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "mish": nn.Mish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
}


def picture(shape: Shape) -> tuple[int, int, int]:
    """Return channels, height and width. Raises: ShapeError where the rows are no pictures."""
    if len(shape) != 3:
        raise ShapeError(PICTURE, add="reshape: [channels, height, width]")
    return shape[0], shape[1], shape[2]


def sequence(shape: Shape) -> tuple[int, int]:
    """Return steps and features. Raises: ShapeError where the rows are no sequences."""
    if len(shape) != 2:
        raise ShapeError(SEQUENCE, add="reshape: [steps, features]")
    return shape[0], shape[1]


def known(shape: Shape) -> int:
    """Return the number of channels of a picture, or of features of a sequence or vector. Raises: ShapeError."""
    if not 1 <= len(shape) <= 3:
        raise ShapeError(f"{PICTURE}, {SEQUENCE} or {VECTOR}", add="flatten")
    return shape[0] if len(shape) == 3 else shape[-1]


def pair(value: int | Sequence[int]) -> tuple[int, int]:
    """3 -> (3, 3); [3, 5] -> (3, 5)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def activated(module: nn.Module, activation: str | None, axis: int = -1) -> nn.Module:
    """Return the module, followed by an activation where one is named; softmax acts over `axis` of the batch."""
    if activation in (None, "linear"):
        return module
    return nn.Sequential(module, nn.Softmax(axis) if activation == "softmax" else ACTIVATIONS[activation or ""]())


def divides(layer: str, option: str, value: int, **numbers: int) -> None:
    """Raise SpecError where an option's number does not divide what the rows, or another option, have."""
    for of, number in numbers.items():
        if number % value:
            raise SpecError(f"{layer}: {option} is {value}; it must divide the {number} {of}.")


def spans(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: str | int | Sequence[int],
    dilation: Sequence[int] | None = None,
) -> list[tuple[int, int]]:
    """Return the padding before and after each axis of these sizes, in pixels or steps.

    "same" pads for ceil(size / stride) outputs and puts an odd one at the end, as Keras does. "valid" pads nothing.
    Raises: ShapeError where the window is larger than what it moves over.
    """
    found: list[tuple[int, int]] = []
    given: Sequence[str | int] = [padding] * len(sizes) if isinstance(padding, str | int) else padding
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation or [1] * len(sizes), strict=True)]
    for size, window, step, pad in zip(sizes, reach, stride, given, strict=True):
        if isinstance(pad, int):
            found.append((pad, pad))
        else:
            total = max((-(-size // step) - 1) * step + window - size, 0) if pad == "same" else 0
            found.append((total // 2, total - total // 2))
    if any(size + sum(pads) < window for size, pads, window in zip(sizes, found, reach, strict=True)):
        least = [window - sum(pads) for pads, window in zip(found, reach, strict=True)]
        if len(sizes) == 1:
            raise ShapeError(f"{SEQUENCE} with at least {least[0]} steps")
        raise ShapeError(f"{PICTURE} with at least {least[0]} x {least[1]} pixels")
    return found


def even(pads: Sequence[tuple[int, int]]) -> tuple[int, ...] | None:
    """Return one number an axis where the padding is the same before and after it, else None."""
    return tuple(before for before, _ in pads) if all(before == after for before, after in pads) else None


def padder(pads: Sequence[tuple[int, int]], value: float = 0.0) -> nn.Module:
    """Return the module that pads the last axes of a batch by (before, after) each; negative numbers cut off."""
    flat = [n for pair in reversed(pads) for n in pair]
    if len(pads) == 1:
        return nn.ConstantPad1d((flat[0], flat[1]), value)
    return nn.ConstantPad2d((flat[0], flat[1], flat[2], flat[3]), value)


class OverSteps(nn.Module):
    """A module of batches of (features, steps), as torch has them, on a batch of (steps, features)."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x_BTF: Tensor) -> Tensor:
        """float32[B, T, F] -> float32[B, T', F']."""
        return self.module(x_BTF.transpose(1, 2)).transpose(1, 2)
