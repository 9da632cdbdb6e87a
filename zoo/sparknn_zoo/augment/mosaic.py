"""Put four pictures into one, with their boxes."""

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Gt, Le
from torch import Tensor

from sparknn_magic.plugin import augmentation

TILES = 4


class Mosaic:
    """Some pictures become four of the batch, at half their size: the picture itself and three others."""

    def __init__(self, p: float):
        self.p = p

    def __call__(self, images: Tensor) -> Tensor:
        """Return the pictures alone, to look at."""
        return self.boxed(images, images.new_zeros(len(images), 0, 5), len(images))[0]

    def boxed(self, images: Tensor, boxes: Tensor, real: int) -> tuple[Tensor, Tensor]:
        """Return the pictures and all boxes in them, float32[N, 4 * M, 5]; rows from `real` on stay as they are."""
        count, _, height, width = images.shape
        chosen, source, corner = self._draw(count, real)
        chosen, source, corner = (t.to(images.device) for t in (chosen, source, corner))
        # Sizes that are odd: the tiles to the right and below have the pixel more.
        cuts_y, cuts_x = (0, height // 2, height), (0, width // 2, width)
        result, smaller = images.clone(), {}
        found = [torch.where(chosen[:, None, None], -1.0, boxes)]
        for tile in range(TILES):
            row, column = divmod(tile, 2)
            y, x = slice(cuts_y[row], cuts_y[row + 1]), slice(cuts_x[column], cuts_x[column + 1])
            of = source.gather(1, (corner == tile).long().argmax(1, keepdim=True))[:, 0]
            size = (y.stop - y.start, x.stop - x.start)
            if size not in smaller:
                smaller[size] = F.interpolate(images, size, mode="area")
            result[chosen, :, y, x] = smaller[size][of[chosen]]
            factors = boxes.new_tensor([1.0, size[1] / width, size[0] / height, size[1] / width, size[0] / height])
            shift = boxes.new_tensor([0.0, x.start, y.start, x.start, y.start])
            theirs = boxes[of]
            kept = chosen[:, None, None] & (theirs[..., :1] >= 0)
            found.append(torch.where(kept, theirs * factors + shift, -1.0))
        return result, torch.cat(found, 1)

    def _draw(self, count: int, real: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw which pictures change, bool[N], what each is made of and in which corner, int64[N, 4]. On the CPU."""
        chosen = (torch.rand(count) < self.p) & (torch.arange(count) < real)
        others = torch.randint(0, max(1, real), (count, TILES - 1))
        source = torch.cat([torch.arange(count)[:, None], others], 1)
        return chosen, source, torch.rand(count, TILES).argsort(1)


@augmentation(
    "mosaic",
    task="object-detection",
    main="p",
    source="Bochkovskiy et al. 2020, YOLOv4, sec. 3.3, arXiv:2004.10934",
)
def mosaic(*, p: Annotated[float, Gt(0), Le(1)] = 0.5) -> Mosaic:
    """float32[N, C, H, W] -> the same shape: some pictures become four of the batch at half their size.

    The four meet in the middle; with `scale_jitter` behind it, anywhere.

    p: probability that a picture becomes one.
    """
    return Mosaic(p)
