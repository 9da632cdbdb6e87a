"""Detectors with one fault each, and augmentations that lose boxes; and the sentence that names it."""

import torch
from torch import nn

from sparknn_magic.plugin import architecture, augmentation

TASK = {"task": "object-detection", "source": "Nobody 2026"}


class OneBox(nn.Module):
    """The whole picture is a box, and its classes a linear layer on the channels' means."""

    nms = None

    def __init__(self, inputs, outputs):
        super().__init__()
        self.head = nn.Linear(inputs.channels, outputs)
        self.sides = [0.0, 0.0, inputs.width, inputs.height]

    def forward(self, x, target=None):
        return self.head(x.mean((2, 3)))

    def loss(self, raw, target):
        seen = nn.functional.one_hot((target[..., 0] + 1).long(), raw.shape[1] + 1).sum(1).clamp(max=1)[:, 1:]
        return nn.functional.binary_cross_entropy_with_logits(raw, seen.float(), reduction="none").sum(1)

    def detections(self, raw):
        return raw.new_tensor(self.sides).expand(len(raw), 1, 4), raw.sigmoid()[:, None]


@architecture("broken_detector_mean_loss", **TASK)
def mean_loss(inputs, outputs):
    """float32[B, C, H, W] -> one box, and a loss of the batch."""

    class Net(OneBox):
        def loss(self, raw, target):
            return super().loss(raw, target).mean()

    return Net(inputs, outputs)


@architecture("broken_detector_background", **TASK)
def background(inputs, outputs):
    """float32[B, C, H, W] -> one box, and a mean over the boxes, which may be none."""

    class Net(OneBox):
        def loss(self, raw, target):
            return super().loss(raw, target) / (target[..., 0] >= 0).sum(1)

    return Net(inputs, outputs)


@architecture("broken_detector_idle", **TASK)
def idle(inputs, outputs):
    """float32[B, C, H, W] -> one box, and a scale that learns from boxes alone."""

    class Net(OneBox):
        def __init__(self, inputs, outputs):
            super().__init__(inputs, outputs)
            self.factor = nn.Parameter(torch.ones(()))

        def loss(self, raw, target):
            found = super().loss(raw, target)
            return found * self.factor if target.shape[1] else found

    return Net(inputs, outputs)


@architecture("broken_detector_logits", **TASK)
def logits(inputs, outputs):
    """float32[B, C, H, W] -> one box and its logits."""

    class Net(OneBox):
        def detections(self, raw):
            return super().detections(raw)[0], raw[:, None] * 5

    return Net(inputs, outputs)


@architecture("broken_detector_no_nms", **TASK)
def no_nms(inputs, outputs):
    """float32[B, C, H, W] -> one box, without a word about doubles."""
    net = OneBox(inputs, outputs)
    net.nms = 60
    return net


@augmentation("broken_leaves_boxes", task="object-detection", source="Nobody 2026")
def outside():
    """float32[N, C, H, W] -> the same, shifted; boxes are not cut at the edge."""

    class Shift:
        def __call__(self, images):
            return images.roll(8, 3)

        def boxed(self, images, boxes, real):
            return self(images), torch.where(boxes[..., :1] >= 0, boxes + torch.tensor([0.0, 8, 0, 8, 0]), boxes)

    return Shift()


FAULTS = [
    (mean_loss, "its loss of 7 pictures is []: one number a picture."),
    (background, "its loss is not finite for background among pictures with boxes, 3x64x96."),
    (idle, "its parameter 'factor' gets no gradient for no boxes at all (M = 0)."),
    (logits, "it gives scores outside 0..1."),
    (no_nms, "its `nms` is 60: an IoU is above 0 and at most 1."),
    (outside, "it leaves boxes that are inverted or outside the picture: cut them, or give them class -1."),
]
