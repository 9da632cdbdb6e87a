"""What a look at rows before training finds: plain values, which `show.preview` draws."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Counted:
    """How often values occur: the most frequent ones first."""

    name: str  # what is counted: classes, sizes, scripts
    values: tuple[tuple[str | None, Mapping[str, int]], ...]  # of each value its rows by split, or {"rows": n}
    distinct: int  # how many values there are in all


@dataclass(frozen=True)
class Spread:
    """How a number is spread over the rows."""

    name: str
    unit: str
    quantiles: Mapping[float, float]  # 0 is the least, 1 the largest
    bars: tuple[tuple[str, int], ...] = ()  # a histogram: words for each bar, and its rows


@dataclass(frozen=True)
class Broken:
    """Rows that training would leave out."""

    reason: str
    rows: int
    example: str = ""  # words by which one of them can be found


@dataclass(frozen=True, eq=False)
class Twins:
    """Rows that are alike, to look at."""

    words: str
    pictures: tuple[np.ndarray, ...] = ()  # uint8[H, W, C] each
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copies:
    """Rows that occur more than once."""

    how: str  # what alike means: "equal bytes", "equal but for case, width, spaces and punctuation"
    groups: int  # values that occur more than once
    extra: int  # rows that another one of their value stands before
    leaked: Mapping[str, int]  # rows of the validation and the test split that training has too, by split
    conflicting: int = 0  # groups whose rows have different labels
    examples: tuple[Twins, ...] = ()
    title: str = "Copies"
    pairs: bool = False  # alike is said of two rows: there are no groups that all of them are alike in

    @property
    def rows(self) -> int:
        """Rows that have another one like them."""
        return self.groups + self.extra


@dataclass(frozen=True)
class ColumnLook:
    """One column of a vector task."""

    name: str
    kind: str  # number, category, array or vector
    type: str  # as Spark writes it
    rows: int
    nulls: int  # NaN and the empty category among them
    distinct: int  # about, from some tens on
    infinite: int = 0
    quantiles: Mapping[float, float] = field(default_factory=dict)  # of a number
    mean: float | None = None
    lengths: tuple[int, int] | None = None  # of an array or vector: the least and the largest
    top: tuple[tuple[str, int], ...] = ()  # of a category: the most frequent values, and their rows

    @property
    def constant(self) -> bool:
        """Whether all its values are one."""
        return self.distinct <= 1 and not (0 < self.nulls < self.rows)


@dataclass(frozen=True, eq=False)
class Grid:
    """A few rows as they are and as the network is given them."""

    raw: tuple[Any, ...]  # pictures uint8[H, W, C], texts, or rows {column: value}
    prepared: Any = None  # after preprocessing: uint8[N, H, W, C], texts, or rows; None where that fails
    labels: tuple[str, ...] = ()
    boxes: tuple[np.ndarray, ...] | None = None  # of detection: float32[n, 5] class, x1, y1, x2, y2 when prepared
    augmented: tuple[Any, ...] = ()  # rounds of random changes: each uint8[N, H, W, C]
    augmented_boxes: tuple[tuple[np.ndarray, ...], ...] = ()  # of each round
    classes: tuple[str, ...] = ()  # in the order of the boxes' classes


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that was found."""

    rows: Mapping[str, int]  # of each split, all of them
    looked: int  # rows that were looked at; fewer than all where a sample was drawn
    kind: str  # what a row is: pictures, texts or rows
    classes: Counted | None = None  # of all rows
    spreads: tuple[Spread, ...] = ()
    counts: tuple[Counted, ...] = ()
    broken: tuple[Broken, ...] = ()
    copies: tuple[Copies, ...] = ()
    columns: tuple[ColumnLook, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()  # what a dry run says of the rows
    stops: tuple[str, ...] = ()  # why training would not begin
    notes: tuple[str, ...] = ()
    grid: Grid | None = None

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values())
