"""The front of object detection: prepared pictures and their boxes in, both changed alike by augmentation.

Shape suffixes: B batch, H height, W width, C channels, M boxes of the picture that has most of them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sparknn_magic.training.network import Pixels, exact

NUMBERS = 5  # of a box: class, x1, y1, x2, y2
NONE = -1.0  # the class of what is no box, but fills up a shorter row


class Scenes(Pixels):
    """uint8[B, H, W, C], boxes float32[B, 5 * M] -> float32[B, C, H, W] normalized, boxes float32[B, M, 5].

    Boxes are (class, x1, y1, x2, y2) in pixels of the picture; class -1 fills up the rows of pictures that have fewer.
    In training a step that has `boxed(images, boxes, real)` -> (images, boxes) changes both; the others change colours
    alone. `real` rows count; those behind them must be no partner of others. `target` has the boxes as they are now.
    """

    def __init__(self, *, mean: Sequence[float], std: Sequence[float]):
        super().__init__(mean=mean, std=std)

    def forward(self, images_BHWC: Tensor, flat_BM: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return what a detector is given; a batch without any box gives M = 0."""
        x_BCHW = images_BHWC.permute(0, 3, 1, 2).float() / 255.0
        most = flat_BM.shape[1] // NUMBERS  # a batch without numbers comes with one that fills it up
        boxes_BM5 = flat_BM[:, : NUMBERS * most].reshape(len(flat_BM), most, NUMBERS)
        if self.training:
            with exact(x_BCHW):  # bfloat16 would put boxes pixels beside their things
                x_BCHW, boxes_BM5 = self.changed(x_BCHW, boxes_BM5)
        self.target = boxes_BM5
        x_BCHW = (x_BCHW - self.mean) / self.std
        return x_BCHW.contiguous(memory_format=torch.channels_last), boxes_BM5

    def changed(self, x_BCHW: Tensor, boxes_BM5: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pictures in 0..1 and their boxes after every random change."""
        real = len(x_BCHW) if self.real is None else self.real
        for step in self.augment:
            if hasattr(step, "boxed"):
                x_BCHW, boxes_BM5 = step.boxed(x_BCHW, boxes_BM5, real)
            else:
                x_BCHW = step(x_BCHW)
        return x_BCHW, packed(boxes_BM5)


def packed(boxes_BM5: Tensor) -> Tensor:
    """Return the boxes without the places that no picture has one in: those of each picture first, in their order."""
    real_BM = boxes_BM5[:, :, 0] >= 0
    most = int(real_BM.sum(1).max()) if real_BM.numel() else 0
    order_BM = torch.argsort((~real_BM).byte(), dim=1, stable=True)[:, :most]
    return boxes_BM5.gather(1, order_BM[:, :, None].expand(-1, -1, NUMBERS))
