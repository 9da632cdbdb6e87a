"""Augmentations: batches of pictures in, as many of the same shape and range out, decided by the seed."""

from typing import Any

import torch
from torch import Tensor

from sparknn_magic.errors import SpecError
from sparknn_magic.testing.kit import Fault, Subject, checks, guard, must

SHAPES = [(16, 3, 24, 32), (16, 1, 28, 28), (1, 3, 17, 9), (7, 1, 9, 17)]  # (rows, channels, height, width)
SEEDS = 5  # of which one must change the pictures


@checks("augmentation")
def of_batches(subject: Subject) -> str:
    """Keep shape, type and range, leave the batch that came in, and draw by the seed."""
    try:
        apply = subject.build()
    except SpecError as error:
        raise Fault(f"it refuses its own example or defaults: {error.message}") from error
    must(callable(apply), f"it builds a {type(apply).__name__}, not a function of a batch.")
    changed = False
    for shape in SHAPES:
        # Black and white alone: whatever overshoots leaves 0..1.
        images = torch.rand(shape, generator=torch.Generator().manual_seed(0)).round()
        results = [_one(apply, images, seed) for seed in range(SEEDS)]
        must(
            torch.equal(results[0], _one(apply, images, 0))
            and torch.equal(results[0], _one(subject.build(), images, 0)),
            "it gives different pictures under one seed: draw by torch's global generator alone.",
        )
        changed |= any(not torch.equal(result, images) for result in results)
    must(changed, "it changes nothing, whatever the seed.")
    return f"keeps shape and range of {len(SHAPES)} batches, and the seed decides its draws"


def _one(apply: Any, images: Tensor, seed: int) -> Tensor:
    words, before = f"a batch of {list(images.shape)}", images.clone()
    torch.manual_seed(seed)
    with guard(f"it fails on {words}", allow=()):
        found: Tensor = apply(images)
    must(isinstance(found, Tensor), f"it turns {words} into a {type(found).__name__}, not a tensor.")
    must(found.shape == before.shape, f"it turns {words} into {list(found.shape)}: the shape stays.")
    must(found.dtype == torch.float32, f"it gives {found.dtype}; pixels stay float32.")
    must(found.isfinite().all(), f"it gives pixels that are not finite for {words}.")
    must(
        found.min() >= 0 and found.max() <= 1,
        f"it gives pixels from {found.min():.2g} to {found.max():.2g}: they stay in 0..1.",
    )
    must(torch.equal(images, before), "it changes the batch that it is given; make a new one.")
    return found
