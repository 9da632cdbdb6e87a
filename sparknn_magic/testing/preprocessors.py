"""Preprocessors: of pictures (a PIL.Image in and out), of columns (the same by numpy and torch), of texts (`texts`)."""

import pickle
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from sparknn_magic import shipping
from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import CategoryStep, ColumnStep
from sparknn_magic.testing import modules, texts
from sparknn_magic.testing.kit import Fault, Subject, checks, guard, must
from sparknn_magic.testing.modules import Case

SIZES = [(32, 32), (28, 41), (9, 7), (70, 64)]  # (height, width)
VECTORS = ("vector-classification", "vector-regression")
FORBIDDEN = ("torch", "pyspark", "pandas", "pydantic")  # what a scoring cluster's executors need not have
ROWS, COLUMNS = 9, 4


@checks("preprocessor")
def by_its_rows(subject: Subject) -> str:
    """Turn pictures into pictures, or texts into texts, or be a step on columns."""
    tasks = subject.item.tasks
    if tasks and all(task in VECTORS for task in tasks):
        return _step(subject)
    if tasks and all(task in texts.TASKS for task in tasks):
        said = texts.turns_texts_into_texts(subject)
        _needs_little(subject)
        return said
    return _pictures(subject)


def _pictures(subject: Subject) -> str:
    apply = _built(subject)
    part = shipping.part_of(subject.item, subject.options())
    again = pickle.loads(pickle.dumps(part)).build() if part.code is None else _built(subject)
    taken = 0
    for height, width in SIZES:
        for mode in ("L", "RGB"):
            image = _image(height, width, mode)
            taken += _picture(apply, again, image)
            if "object-detection" in subject.item.tasks:
                _leads_boxes(apply, image)
    must(taken, f"it refuses every picture of {', '.join(f'{h}x{w}' for h, w in SIZES)}.")
    _needs_little(subject)
    return f"{taken} pictures of {len(SIZES)} sizes, grey and colour, go through, each twice with the same result"


def _built(subject: Subject) -> Any:
    try:
        found = subject.build()
    except SpecError as error:
        raise Fault(f"it refuses its own example or defaults: {error.message}") from error
    must(callable(found), f"it builds a {type(found).__name__}, not a function of one picture.")
    return found


def _image(height: int, width: int, mode: str) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(height).integers(0, 256, shape, dtype=np.uint8))


def _picture(apply: Any, again: Any, image: Image.Image) -> bool:
    """Return whether it takes the picture, rather than refusing it by an error that drops the row."""
    words, before = f"a {image.mode} picture of {image.height}x{image.width}", image.tobytes()
    try:
        with guard(f"it fails on {words}", allow=(SpecError, ValueError)):
            found = apply(image)
    except (SpecError, ValueError) as error:
        must(str(error).strip(), f"it refuses {words} without a word.")
        return False
    must(isinstance(found, Image.Image), f"it turns {words} into a {type(found).__name__}, not a PIL.Image.")
    must(
        found.mode in ("L", "RGB"), f"it turns {words} into one of mode {found.mode}; L and RGB are what may come out."
    )
    must(image.tobytes() == before, f"it changes the picture that it is given ({words}); make a copy.")
    for once_more in (apply(image), again(image)):
        must(
            (once_more.size, once_more.mode, once_more.tobytes()) == (found.size, found.mode, found.tobytes()),
            f"it gives another result for the same picture ({words}): what is random belongs into an augmentation.",
        )
    return True


def _leads_boxes(apply: Any, image: Image.Image) -> None:
    """Look whether true boxes can follow the pixels: a step that moves them says where to."""
    try:
        found = apply(image).size
    except (SpecError, ValueError):
        return
    words = f"a picture of {image.height}x{image.width} becomes one of {found[1]}x{found[0]}"
    if not hasattr(apply, "place"):
        must(found == image.size, f"{words}, and it has no `place` and `size`, by which true boxes follow.")
        return
    with guard(f"its place or size fails for a picture of {image.height}x{image.width}", allow=()):
        place, said = apply.place(*image.size), tuple(apply.size(*image.size))
    must(said == found, f"{words}, and its `size` says {said[1]}x{said[0]}.")
    must(len(place) == 4, f"its `place` gives {place}: (scale_x, scale_y, dx, dy) is what it returns.")


def _needs_little(subject: Subject) -> None:
    """Look whether its module runs where there is no torch: in a fresh interpreter, as on an executor."""
    module = subject.item.build.__module__
    if not shipping.can_import(subject.item):
        return
    code = f"import sys, {module}; print(*sorted(set({FORBIDDEN!r}) & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    must(done.returncode == 0, f"its module {module} does not import in a fresh interpreter.")
    found = done.stdout.split()
    must(not found, f"its module imports {' and '.join(found)}, which executors that only predict need not have.")


def _step(subject: Subject) -> str:
    try:
        step = subject.build()
    except SpecError as error:
        raise Fault(f"it refuses its own example or defaults: {error.message}") from error
    if isinstance(step, CategoryStep):
        must(step.width is None or step.width >= 0, f"the width of its embedding is {step.width}.")
        must(step.most >= 1, f"it keeps {step.most} categories.")
        return "says how categories enter the network"
    must(isinstance(step, ColumnStep), f"it builds a {type(step).__name__}, not a ColumnStep or a CategoryStep.")
    _aggregates(step)
    _both_engines(step)
    _needs_little(subject)
    return "numpy, torch and ONNX Runtime apply it alike, row by row"


def _aggregates(step: ColumnStep) -> None:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    for name, text in step.aggregates.items():
        with guard(f"its aggregate '{name}', {text}, is no SQL", allow=()):
            try:
                found = sqlglot.parse_one(text, dialect="spark")
            except SqlglotError as error:
                raise Fault(f"its aggregate '{name}' is no SQL: {text}") from error
        columns = {column.name.lower() for column in found.find_all(exp.Column)}
        must(columns == {"x"}, f"its aggregate '{name}', {text}, is to be one of the column x alone.")


def _fitted(step: ColumnStep) -> dict[str, np.ndarray]:
    """Return made-up values, rising from one aggregate to the next: a lower bound then stands below an upper one."""
    draw = np.random.default_rng(0)
    return {name: 0.5 + n + draw.random(COLUMNS) / 4 for n, name in enumerate(step.aggregates)}


def _both_engines(step: ColumnStep) -> None:
    fitted = _fitted(step)
    x = np.random.default_rng(1).normal(1, 2, (ROWS, COLUMNS))
    x[2, 1] = x[5, 3] = np.nan
    before = x.copy()
    with np.errstate(all="ignore"):
        here = _applied(step, np, x, fitted)
        alone = _applied(step, np, x[:1], fitted)
    tensors = {name: torch.from_numpy(values) for name, values in fitted.items()}
    there = np.asarray(_applied(step, torch, torch.from_numpy(x.copy()), tensors))
    must(np.array_equal(x, before, equal_nan=True), "it changes the rows that it is given; make new ones.")
    must(here.shape == x.shape, f"it gives {list(here.shape)} for {list(x.shape)}: the shape stays.")
    must(np.allclose(here, there, equal_nan=True), "numpy and torch give different results.")
    must(np.allclose(here[:1], alone, equal_nan=True), "a row's result depends on the rows beside it.")
    if not np.isnan(here).any():
        return  # it fills what is missing; the graph's check below has no missing values
    full = np.where(np.isnan(x), 0.0, x)
    _in_a_graph(step, full, tensors)


def _applied(step: ColumnStep, xp: Any, x: Any, fitted: Mapping[str, Any]) -> Any:
    name = xp.__name__
    with guard(f"its apply fails with {name}", allow=()):
        return step.apply(xp, x, fitted)


class _Graph(torch.nn.Module):
    def __init__(self, step: ColumnStep, fitted: Mapping[str, torch.Tensor]):
        super().__init__()
        self.step = step
        self.names = list(fitted)
        for name, values in fitted.items():
            self.register_buffer(f"fitted_{name}", values)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.step.apply(torch, x, {name: getattr(self, f"fitted_{name}") for name in self.names})


def _in_a_graph(step: ColumnStep, x: np.ndarray, fitted: Mapping[str, torch.Tensor]) -> None:
    draw = torch.from_numpy(x)
    case = Case(
        f"{COLUMNS} columns",
        lambda: _Graph(step, fitted),
        lambda count: {"x": draw[torch.arange(count) % len(draw)]},
    )
    modules.exports(case)
