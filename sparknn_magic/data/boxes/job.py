"""How true boxes are written, what can be wrong with one, and what executors are told. Standard library only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparknn_magic.plugin import DetectionInputs, Part

ROUNDING = 0.5  # pixels beyond the picture's edge that count as rounding: cut there, and not told
LEAST_SHARE = 0.25  # of a box's area that must be left where a step cuts pictures

# Why a box is left out. A row of counts has one for each.
NOT_FOUR, NOT_FINITE, INVERTED, EMPTY, OUTSIDE, BEYOND, UNLABELLED, UNKNOWN, CUT_OFF = range(9)
REASONS = (
    "not of four numbers",
    "with a null, NaN or infinite number",
    "inverted",
    "without area",
    "outside the picture",
    "reaching beyond the picture",
    "without a label",
    "of a label that no training box has",
    "cut off by the preprocessing steps",
)
NO_FAULTS = (UNKNOWN, CUT_OFF)  # of the box itself

# Fields of a box held in a struct, by what they are called, in the order of the numbers; and the formats they can be.
FIELDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("x1", "y1", "x2", "y2"): ("xyxy",),
    ("xmin", "ymin", "xmax", "ymax"): ("xyxy",),
    ("x_min", "y_min", "x_max", "y_max"): ("xyxy",),
    ("left", "top", "right", "bottom"): ("xyxy",),
    ("x", "y", "w", "h"): ("xywh", "cxcywh"),  # of both one reads: x and y are a corner, or the middle
    ("x", "y", "width", "height"): ("xywh", "cxcywh"),
    ("left", "top", "width", "height"): ("xywh",),
    ("cx", "cy", "w", "h"): ("cxcywh",),
    ("cx", "cy", "width", "height"): ("cxcywh",),
    ("x_center", "y_center", "width", "height"): ("cxcywh",),
}


def ordered(fields: Sequence[str]) -> tuple[list[str], tuple[str, ...]] | None:
    """Return a struct's fields in the order of a box's numbers, and the formats they can be; None of unknown names.

    Spark sorts the fields of structs that it reads from JSON by their names, so their own order says nothing.
    """
    known = {name.lower(): name for name in fields}
    for names, formats in FIELDS.items():
        if len(fields) == 4 and set(known) == set(names):
            return [known[name] for name in names], formats
    return None


def many(n: int, one: str, several: str) -> str:
    """Return "1 box is" or "2 boxes are"."""
    return f"1 {one}" if n == 1 else f"{n:,} {several}"


@dataclass(frozen=True, slots=True)
class BoxRules:
    """How boxes are written, and what happens to bad ones."""

    format: str = "xyxy"  # or xywh: left, top, width, height; or cxcywh: middle, width, height
    units: str = "pixels"  # or fractions, of the picture's width and height
    bad: str = "clip"  # or drop, fail


def rules_of(data: Mapping[str, Any]) -> BoxRules:
    """Return the rules of an experiment's `data`, as `Experiment.to_dict` or bundle.json has it."""
    keys = {"format": "format", "units": "units", "bad": "bad_boxes"}
    return BoxRules(**{name: data[key] for name, key in keys.items() if data.get(key) is not None})


def columns_of(data: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the columns of boxes and of labels of an experiment's `data`."""
    return data.get("boxes") or "boxes", data.get("labels") or "labels"


@dataclass(frozen=True, slots=True)
class LookJob:
    """How executors look at rows: picture headers and boxes, nothing is decoded."""

    steps: tuple[Part, ...]
    shape: tuple[int, ...] | None  # of raw pixels; None where pictures carry their own
    rules: BoxRules


@dataclass(frozen=True, slots=True)
class BoxJob:
    """How executors turn source rows into the shards that training reads."""

    steps: tuple[Part, ...]  # preprocessors of one PIL.Image
    inputs: DetectionInputs  # the size and channels that they arrive at
    shape: tuple[int, ...] | None
    classes: tuple[str, ...]
    rules: BoxRules
