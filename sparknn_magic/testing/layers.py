"""Layers: rows of every kind of shape, of which a layer takes at least one."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sparknn_magic.errors import SpecError
from sparknn_magic.testing import modules
from sparknn_magic.testing.kit import Fault, Subject, checks, must
from sparknn_magic.testing.modules import Case

Shape = tuple[int, ...]
SHAPES: list[Shape] = [(3, 8, 8), (6, 4), (8,)]  # a picture, a sequence, a vector
KINDS = 3  # of the whole numbers that a layer which looks something up is tried on


def _numbers(shape: Shape, count: int) -> dict[str, Tensor]:
    return {"x": torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))}


def _whole_numbers(shape: Shape, count: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(count)
    return {"x": torch.randint(0, KINDS, (count, *shape), generator=draw).float()}


def _case(subject: Subject, shape: Shape) -> Case:
    """Return the case of a shape that the layer takes. Raises: SpecError where it refuses the shape."""
    make, words = partial(subject.build, shape), str(list(shape))
    make()
    if _runs(Case(words, make, partial(_numbers, shape))):
        return Case(words, make, partial(_numbers, shape))
    return Case(f"{words}, whole numbers from 0,", make, partial(_whole_numbers, shape))


def _runs(case: Case) -> bool:
    try:
        case.run(case.seeded(), case.rows(2))
    except Fault:
        return False
    return True


@checks("layer")
def of_rows(subject: Subject) -> str:
    """Take pictures, sequences or vectors, and refuse the others by a SpecError that tells what it takes."""
    cases, refused = [], []
    for shape in SHAPES:
        try:
            cases.append(_case(subject, shape))
        except SpecError as error:
            must(error.message.strip(), f"it refuses rows of {list(shape)} without a word.")
            refused.append(error.message)
    must(cases, f"it takes rows of none of the shapes {', '.join(str(list(s)) for s in SHAPES)}: {refused[-1:]}")
    small = cases[-1]
    found: list[Callable[[Case], str]] = [modules.learns, modules.obeys_the_seed, modules.is_saved_whole]
    said = [modules.takes_any_batch(case) for case in cases] + [check(small) for check in found]
    return "; ".join([*said, modules.exports(small)])
