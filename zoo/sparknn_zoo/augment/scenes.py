"""What augmentations that move pixels share for detection: maps of the plane, applied to pictures and boxes alike.

A map is float32[N, 2, 3], of points (x, y, 1) of a picture to points of the result, in pixels from the picture's left
and upper edge. Boxes are float32[N, M, 5]: class, x1, y1, x2, y2; class -1 is no box.
"""

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST = 0.25  # of a box's area that must be left of it


class Moves(Protocol):
    """Draws a map for each picture of a batch of this size."""

    def __call__(self, count: int, height: int, width: int) -> Tensor:
        """Return float32[count, 2, 3], drawn on the CPU, so that a seed means the same on every device."""


class Mover:
    """An augmentation that moves pixels: as it is for pictures alone, and with boxes by maps of its own drawing."""

    def __init__(self, apply: Callable[[Tensor], Tensor] | None, moves: Moves, *, fill: float = 0.0):
        self.apply, self.moves, self.fill = apply, moves, fill

    def __call__(self, images: Tensor) -> Tensor:
        """float32[N, C, H, W] -> the same shape."""
        if self.apply is not None:
            return self.apply(images)
        return warped(images, self.moves(len(images), *images.shape[2:]), self.fill)

    def boxed(self, images: Tensor, boxes: Tensor, real: int) -> tuple[Tensor, Tensor]:
        """Return the pictures and where their boxes are now; of what is cut off too much, class -1."""
        height, width = images.shape[2:]
        maps = self.moves(len(images), height, width).to(images.device)
        return warped(images, maps, self.fill), cut(moved(boxes, maps), height, width)


def warped(images: Tensor, maps: Tensor, fill: float = 0.0) -> Tensor:
    """Return float32[N, C, H, W] under a map each, bilinear; what comes in from outside has the value `fill`."""
    count, _, height, width = images.shape
    below = maps.new_tensor([0.0, 0.0, 1.0]).expand(count, 1, 3)
    whole = torch.cat([maps, below], 1).to(images.device)
    # torch counts from -1 to 1 between the edges, and asks where each pixel of the result comes from.
    to_unit = torch.tensor([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]], device=images.device)
    from_unit = torch.tensor([[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1.0]]).to(images.device)
    theta = to_unit @ torch.linalg.inv(whole) @ from_unit
    grid = F.affine_grid(theta[:, :2], list(images.shape), align_corners=False)
    found = F.grid_sample(images - fill if fill else images, grid, mode="bilinear", align_corners=False)
    return (found + fill if fill else found).clamp(0, 1)


def moved(boxes: Tensor, maps: Tensor) -> Tensor:
    """Return the boxes around what a map each makes of them, not cut at any edge; -1 where there is none."""
    x1, y1, x2, y2 = boxes[..., 1:].unbind(-1)
    corners = torch.stack([torch.stack([x1, x2, x1, x2], -1), torch.stack([y1, y1, y2, y2], -1)], 2)  # [N, M, 2, 4]
    found = torch.einsum("nij,nmjk->nmik", maps[:, :, :2], corners) + maps[:, None, :, 2:]
    around = torch.cat([found.amin(-1), found.amax(-1)], -1)
    return torch.where(boxes[..., :1] >= 0, torch.cat([boxes[..., :1], around], -1), -1.0)


def cut(boxes: Tensor, height: int, width: int, least: float = LEAST) -> Tensor:
    """Cut boxes at the picture's edges; those that keep less than `least` of their area become -1."""
    low = boxes[..., 1:3].clamp(min=0)
    high = torch.minimum(boxes[..., 3:], boxes.new_tensor([width, height]))
    left = (high - low).clamp(min=0).prod(-1, keepdim=True)
    before = (boxes[..., 3:] - boxes[..., 1:3]).clamp(min=0).prod(-1, keepdim=True)
    kept = (boxes[..., :1] >= 0) & (left > 0) & (left >= least * before)
    return torch.where(kept, torch.cat([boxes[..., :1], low, high], -1), -1.0)


def about(centre_x: Tensor, centre_y: Tensor, linear: Tensor, shift_x: Tensor, shift_y: Tensor) -> Tensor:
    """Return maps float32[N, 2, 3]: `linear` float32[N, 2, 2] about a centre each, then a shift."""
    centre = torch.stack([centre_x, centre_y], -1)[:, :, None]
    shift = torch.stack([shift_x, shift_y], -1)[:, :, None]
    return torch.cat([linear, centre - linear @ centre + shift], 2)


def between(count: int, low: float, high: float) -> Tensor:
    """Draw float32[count], evenly."""
    return low + (high - low) * torch.rand(count)
