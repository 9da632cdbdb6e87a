"""What the columns of a vector task are and what is done to them: plain values, for executors and for model files.

A row's numbers are those of its columns one after the other, `F` in all; its categories are numbered, `G` of them:

| column | Spark | in a model file |
| --- | --- | --- |
| number | any number, boolean | float64[N], of a float column float32[N] |
| array | array of numbers, all of one length | float64[N, width], of floats float32[N, width] |
| vector | MLlib vector, dense or sparse | float64[N, width] |
| category | string; a whole number or boolean where `data.categories` names it | string[N] |

A missing number is null or NaN in Spark and NaN in a model file. A missing category is null or the empty text in Spark
and the empty text in a model file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparknn_magic.plugin import Part, VectorInputs

OUTPUTS = ("probabilities", "index", "prediction", "features")  # of model files: an input cannot have such a name


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column."""

    name: str
    kind: str  # "number", "array", "vector" or "category"
    type: str  # as Spark writes it
    width: int = 1  # how many numbers it holds; of a category 0, of an array or vector not yet looked at -1

    @property
    def single(self) -> bool:
        """Whether its numbers are float32."""
        return self.type in ("float", "array<float>")


@dataclass(frozen=True, slots=True)
class FittedStep:
    """A `ColumnStep` and what Spark found for it."""

    part: Part  # builds the step
    columns: tuple[int, ...]  # the positions among the row's numbers that it works on
    fitted: Mapping[str, tuple[float, ...]]  # of each aggregate the value of each of these columns


@dataclass(frozen=True, slots=True)
class VectorJob:
    """How executors turn rows into the shards that training reads."""

    names: tuple[str, ...]  # of the numbers, as `number_names` gives them
    steps: tuple[FittedStep, ...]
    categories: tuple[tuple[str, ...], ...]  # of each categorical column, in the order of codes 1, 2, ...
    required: tuple[str | None, ...]  # of each categorical column its name where a row without it is dropped
    classes: tuple[str, ...] | None  # None: the label is a number
    mean: float = 0.0  # of the numbers learnt
    std: float = 1.0
    columns: tuple[str, ...] = ()  # further numbers of the row, for a loss

    @property
    def inputs(self) -> tuple[int, int]:
        """F and G."""
        return len(self.names), len(self.categories)


def number_names(features: Sequence[Feature]) -> tuple[str, ...]:
    """Return the names of a row's numbers: `price`, or `pixels[0]`, `pixels[1]`, ..."""
    found: list[str] = []
    for feature in features:
        if feature.kind == "number":
            found.append(feature.name)
        elif feature.kind != "category":
            found += [f"{feature.name}[{i}]" for i in range(feature.width)]
    return tuple(found)


def positions(features: Sequence[Feature], chosen: Sequence[str]) -> tuple[int, ...]:
    """Return the positions of these columns' numbers among all numbers of a row."""
    found: list[int] = []
    start = 0
    for feature in features:
        width = 0 if feature.kind == "category" else feature.width
        if feature.name in chosen:
            found += range(start, start + width)
        start += width
    return tuple(found)


def input_names(features: Sequence[Feature]) -> list[str]:
    """Return the names of a model file's inputs: those of the columns, with _ for what is no letter, digit or _."""
    found: list[str] = []
    for feature in features:
        name = re.sub(r"\W|^(?=\d)", "_", feature.name, flags=re.ASCII)
        name = f"{name}_in" if name in OUTPUTS else name
        while name in found:
            name += "_"
        found.append(name)
    return found


def wrong_length(name: str, width: int) -> str:
    """Return why a row is left out whose array or vector has another length than the others."""
    return f"'{name}' does not hold {width} number{'' if width == 1 else 's'}"


def vector_inputs(
    features: Sequence[Feature], categories: Sequence[Sequence[str]], embedded: Sequence[int]
) -> VectorInputs:
    """Return what the architecture is built for; code 0 of a category stands for what is not among its values."""
    codes = tuple(len(values) + 1 for values in categories)
    return VectorInputs(numbers=len(number_names(features)), categories=codes, embedded=tuple(embedded))


def embedding_width(codes: int) -> int:
    """Return a width for the embedding of so many codes: 4 for 5, 16 for 60, 64 from 725 on.

    Source: fastai's rule, 1.6 n^0.56 (Howard and Gugger 2020, fastai: A Layered API for Deep Learning), cut at 64.
    """
    return min(64, round(1.6 * codes**0.56))


def plain_steps(steps: Sequence[FittedStep]) -> list[dict[str, Any]]:
    """Return the steps as JSON can hold them."""
    return [
        {
            "ref": step.part.ref,
            "options": dict(step.part.options),
            "columns": list(step.columns),
            "fitted": {name: list(values) for name, values in step.fitted.items()},
        }
        for step in steps
    ]


def read_steps(plain: Sequence[Mapping[str, Any]]) -> tuple[FittedStep, ...]:
    """Return what `plain_steps` was given."""
    return tuple(
        FittedStep(
            Part(step["ref"], step["options"]),
            tuple(step["columns"]),
            {name: tuple(values) for name, values in step["fitted"].items()},
        )
        for step in plain
    )
