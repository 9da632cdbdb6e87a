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


@checks("augmentation", task="object-detection")
def of_scenes(subject: Subject) -> str:
    """Change boxes as it changes pictures; leave them where it moves no pixels."""
    apply = subject.build()
    if not hasattr(apply, "boxed"):
        return "is one of colours alone: boxes stay"
    images = torch.rand(SHAPES[0], generator=torch.Generator().manual_seed(0))
    count, _, height, width = images.shape
    boxes = torch.tensor([[0.0, 2, 3, 20, 18], [1, 10, 8, 30, 23], [-1, -1, -1, -1, -1]]).repeat(count, 1, 1)
    for target in (boxes, boxes[:, :0]):
        torch.manual_seed(0)
        with guard(f"it fails on boxes {list(target.shape)}", allow=()):
            found_images, found = apply.boxed(images, target.clone(), count - 2)
        must(found_images.shape == images.shape, f"it turns {list(images.shape)} into {list(found_images.shape)}.")
        must(
            found.ndim == 3 and len(found) == count and found.shape[2] == 5,
            f"it turns boxes {list(target.shape)} into {list(found.shape)}: they stay [rows, boxes, 5].",
        )
        real = found[found[..., 0] >= 0]
        must(set(real[:, 0].tolist()) <= {0.0, 1.0}, "it makes classes that there were none of.")
        low, high = real[:, 1:3], real[:, 3:]
        inside = (low >= 0).all() and (high <= torch.tensor([width, height])).all() and (high > low).all()
        must(inside, "it leaves boxes that are inverted or outside the picture: cut them, or give them class -1.")
    return "changes boxes with their pictures"


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
