"""Augmentations, losses, optimizers and schedules with one fault each, and the sentence that names it."""

import torch
import torch.nn.functional as F

from sparknn_magic.plugin import augmentation, loss, optimizer, schedule

WHOLE = {"source": "Nobody 2026", "licence": "Apache-2.0"}
CLASSES = {"task": "image-classification", **WHOLE}


@augmentation("broken_crop", **WHOLE)
def crop():
    """float32[N, C, H, W] -> float32[N, C, H - 1, W]."""
    return lambda images: images[:, :, 1:]


@augmentation("broken_bright", **WHOLE)
def bright():
    """float32[N, C, H, W] -> the same shape, brighter than white."""
    return lambda images: images * (1 + torch.rand(1))


@augmentation("broken_in_place", **WHOLE)
def in_place():
    """float32[N, C, H, W] -> the same tensor."""
    return lambda images: images.clamp_(0, 0.5)


@augmentation("broken_dice", **WHOLE)
def dice():
    """float32[N, C, H, W] -> the same shape, by a generator of its own."""
    draw = torch.Generator().manual_seed(0)
    return lambda images: images * torch.rand(1, generator=draw)


@augmentation("broken_idle", **WHOLE)
def idle():
    """float32[N, C, H, W] -> the same shape."""
    return torch.clone


@loss("broken_mean", **CLASSES)
def mean():
    """(float32[N, K], int64[N]) -> one number."""
    return F.cross_entropy


@loss("broken_batch", **CLASSES)
def batch():
    """(float32[N, K], int64[N]) -> float32[N], less the batch's mean."""

    def apply(outputs, target):
        values = F.cross_entropy(outputs, target, reduction="none")
        return values - values.mean()

    return apply


@loss("broken_overflow", **CLASSES)
def overflow():
    """(float32[N, K], int64[N]) -> float32[N], by the logarithm of a quotient that overflows."""

    def apply(outputs, target):
        p = (outputs * 50).exp() / (outputs * 50).exp().sum(1, keepdim=True)
        return -p.gather(1, target[:, None])[:, 0].log()

    return apply


@loss("broken_gradient", **CLASSES)
def gradient():
    """(float32[N, K], int64[N]) -> float32[N], with a part that gets no gradient."""

    def apply(outputs, target):
        values = F.cross_entropy(outputs, target, reduction="none")
        return values + values.detach()

    return apply


@loss("broken_flat", **CLASSES)
def flat():
    """(float32[N, K], int64[N]) -> float32[N], without any gradient."""
    return lambda outputs, target: (outputs.argmax(1) != target).double()


@optimizer("broken_up", **WHOLE)
def up(parameters):
    """Goes up."""
    return torch.optim.SGD(parameters, lr=0.1, maximize=True)


@optimizer("broken_nothing", **WHOLE)
def nothing(parameters):
    """Is none."""
    return list(parameters)


class Forgetful(torch.optim.SGD):
    """Keeps its count where no checkpoint sees it."""

    count = 0

    def step(self, closure=None):
        self.count += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.count
        return super().step(closure)


@optimizer("broken_forgetful", **WHOLE)
def forgetful(parameters):
    """Forgets how many steps there were."""
    return Forgetful(parameters, lr=0.1)


@schedule("broken_below_zero", **WHOLE)
def below_zero(steps, epoch_steps):
    """Step number -> factor, below 0 in the end."""
    return lambda step: 1 - 2 * step / steps


@schedule("broken_divides", **WHOLE)
def divides(steps, epoch_steps):
    """Step number -> factor, by a division that a run of one step is 0 for."""
    return lambda step: 1 - step / (steps - 1)


@schedule("broken_random", **WHOLE)
def random(steps, epoch_steps):
    """Step number -> a random factor."""
    return lambda step: float(torch.rand(1))


FAULTS = [
    (crop, "it turns a batch of [16, 3, 24, 32] into [16, 3, 23, 32]: the shape stays"),
    (bright, "they stay in 0..1"),
    (in_place, "it changes the batch that it is given; make a new one"),
    (dice, "it gives different pictures under one seed"),
    (idle, "it changes nothing, whatever the seed"),
    (mean, "it gives [] for 6 rows: one value a row, [6]"),
    (batch, "a row's value depends on the rows beside it"),
    (overflow, "its values are not finite"),
    (gradient, "where finite differences give"),
    (flat, "no gradient flows from it to the outputs"),
    (up, "it does not go down"),
    (nothing, "it builds a list, not a torch.optim.Optimizer"),
    (forgetful, "with its state restored from a checkpoint its next step is another one"),
    (below_zero, "a learning rate is not negative"),
    (divides, "it fails at step 0 of 1: ZeroDivisionError"),
    (random, "differs from call to call"),
]
