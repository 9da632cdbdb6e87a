"""What detectors compute with boxes: float32[..., 4] as x1, y1, x2, y2 in pixels, any leading shape.

B batch, M true boxes, A places (cells of the feature maps).
"""

import torch
from torch import Tensor

EPS = 1e-7


def area(boxes: Tensor) -> Tensor:
    """[..., 4] -> [...]; 0 where a box is inverted."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the intersection over union of boxes that broadcast, and their union's area."""
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    common = width.clamp(min=0) * height.clamp(min=0)
    union = area(a) + area(b) - common
    return common / union.clamp(min=EPS), union


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalized intersection over union of boxes that broadcast, -1..1.

    Source: Rezatofighi et al. 2019, Generalized Intersection over Union, arXiv:1902.09630.
    """
    overlap, union = iou(a, b)
    width = torch.maximum(a[..., 2], b[..., 2]) - torch.minimum(a[..., 0], b[..., 0])
    height = torch.maximum(a[..., 3], b[..., 3]) - torch.minimum(a[..., 1], b[..., 1])
    hull = (width * height).clamp(min=EPS)
    return overlap - (hull - union) / hull


def cell_centres(height: int, width: int, stride: int, like: Tensor) -> Tensor:
    """Return float32[height * width, 2]: x and y of the middle of each cell of a feature map, row by row, in pixels."""
    y = (torch.arange(height, device=like.device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(width, device=like.device, dtype=torch.float32) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x.flatten(), grid_y.flatten()], 1)


def around(centres_A2: Tensor, sides_BA4: Tensor) -> Tensor:
    """Distances left, top, right and bottom float32[B, A, 4] of each place -> boxes float32[B, A, 4]."""
    return torch.cat([centres_A2 - sides_BA4[..., :2], centres_A2 + sides_BA4[..., 2:]], -1)
