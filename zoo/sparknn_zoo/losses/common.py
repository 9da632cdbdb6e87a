"""What the losses share: whether they suit what is learnt, and weights of classes. Runs on executors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from sparknn_magic.errors import SpecError, did_you_mean
from sparknn_magic.plugin import Target

UNKNOWN = Target()  # nothing is known yet: options are checked, names of classes are not
Weights = Mapping[str, float]


def needs_classes(name: str, target: Target) -> None:
    """Raise SpecError where a number is learnt."""
    if target != UNKNOWN and not target.classes:
        raise SpecError(f"{name} is a loss of classes, and a number is learnt here.", hint="Use mse, mae or huber.")


def needs_two_classes(name: str, target: Target) -> None:
    """Raise SpecError where there are not two classes."""
    needs_classes(name, target)
    if target.classes and len(target.classes) != 2:
        message = f"{name} is for two classes, and there are {len(target.classes)}."
        raise SpecError(message, hint="Use cross_entropy.")


def needs_numbers(name: str, target: Target) -> None:
    """Raise SpecError where classes are learnt."""
    if target.classes:
        hint = "Use cross_entropy, focal or hinge."
        raise SpecError(f"{name} is a loss of numbers, and classes are learnt here.", hint=hint)


def weights_of(name: str, option: str, given: Weights | str | None, target: Target) -> Tensor | None:
    """Return float32[classes]: what is given, 1 for a class that is not; None where nothing is.

    "balanced" gives a class rows / (classes * its rows), as scikit-learn has it: every class weighs the same in all,
    and a row 1 on average. None too while the classes are not known.
    Raises: SpecError for a class that there is not, and for a weight below 0.
    """
    if isinstance(given, Mapping):
        for label, weight in given.items():
            if target.classes and label not in target.classes:
                raise SpecError(f"{name}: {option} has no class '{label}'.{did_you_mean(label, target.classes)}")
            if not weight >= 0:
                raise SpecError(f"{name}: {option} is {weight} for '{label}'; it must be at least 0.")
    if given is None or not target.classes:
        return None
    if isinstance(given, Mapping):
        return torch.tensor([float(given.get(label, 1.0)) for label in target.classes])
    if not target.rows:
        raise SpecError(f"{name}: {option} cannot be balanced, because the rows of each class are not known here.")
    rows = torch.tensor([float(max(count, 1)) for count in target.rows])
    return sum(target.rows) / (len(rows) * rows)


def errors_of(outputs: Tensor, target: Tensor) -> Tensor:
    """(float32[N] or [N, 1], float32[N]) -> outputs - target, float32[N]."""
    return outputs.reshape(target.shape) - target
