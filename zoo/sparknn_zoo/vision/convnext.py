"""ConvNeXt, atto size: a convolutional network built of a Transformer's parts.

Source: Liu et al. 2022, A ConvNet for the 2020s, https://arxiv.org/abs/2201.03545; the atto size (depths 2, 2, 6, 2,
channels 40 to 320) is of Woo et al. 2023, ConvNeXt V2, https://arxiv.org/abs/2301.00808

B batch, C channels, H height, W width, K classes.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import DropPath, Rate, require_size, transformer_init

SOURCE = "Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545; atto size of Woo et al. 2023, arXiv:2301.00808"
IMAGENET = {"channels": 3, "height": 224, "width": 224, "outputs": 1000}
DEPTHS = (2, 2, 6, 2)
EPS = 1e-6


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of float32[B, C, H, W]."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> the same."""
        return super().forward(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """7x7 depthwise convolution, LayerNorm, two linear layers with GELU between, a scale a channel; plus x."""

    def __init__(self, channels: int, drop_path: float):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.up = nn.Linear(channels, 4 * channels)
        self.down = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 1e-6))
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, channels, H, W] -> the same."""
        h_BHWC = self.norm(self.depthwise(x_BCHW).permute(0, 2, 3, 1))
        h_BHWC = self.scale * self.down(F.gelu(self.up(h_BHWC)))
        return x_BCHW + self.drop_path(h_BHWC.permute(0, 3, 1, 2))


class ConvNeXt(nn.Module):
    """A stem of `patch` x `patch` pixels, four stages with `width`, 2, 4 and 8 times `width` channels, an average."""

    def __init__(
        self, channels: int, outputs: int, *, patch: int, depths: tuple[int, ...], width: int, drop_path: float
    ):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, patch, stride=patch), ChannelNorm(width, eps=EPS)]
        total, done = sum(depths), 0
        for stage, depth in enumerate(depths):
            wide = width * 2**stage
            if stage:
                layers += [ChannelNorm(wide // 2, eps=EPS), nn.Conv2d(wide // 2, wide, 2, stride=2)]
            for _ in range(depth):
                layers.append(Block(wide, drop_path * done / max(1, total - 1)))  # the rate grows with depth
                done += 1
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(wide, eps=EPS)
        self.head = nn.Linear(wide, outputs)
        transformer_init(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.norm(self.features(x_BCHW).mean((2, 3))))


def choose_patch(inputs: ImageInputs) -> int:
    """Return the stem's patch: the paper's 4, less for small pictures: the last stage sees 3x3 at 28 pixels."""
    shorter = min(inputs.height, inputs.width)
    return 1 if shorter <= 32 else 2 if shorter <= 64 else 4


@architecture(
    "convnext-atto", task="image-classification", source=SOURCE, notes={"parameters": 3_700_000, "at": IMAGENET}
)
def convnext_atto(
    inputs: ImageInputs,
    outputs: int,
    *,
    patch: PositiveInt | Literal["auto"] = "auto",
    width: PositiveInt = 40,
    drop_path: Rate = 0.0,
) -> nn.Module:
    """ConvNeXt, atto size: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of at least 8x8; of 8 patches a side where the patch is given.

    patch: pixels of a side of the stem's patches; auto is 1 where the picture's shorter side has up to 32, 2 up to 64,
        else the paper's 4.
    width: channels of the first stage; the others have 2, 4 and 8 times as many.
    drop_path: rate of stochastic depth in the last block, falling to 0 in the first.
    Source: Liu et al. 2022; sizes of Woo et al. 2023.
    Raises: SpecError where the pictures are smaller.
    """
    pixels = choose_patch(inputs) if patch == "auto" else patch
    require_size("convnext-atto" if pixels == 1 else f"convnext-atto with patch {pixels}", inputs, 8 * pixels)
    return ConvNeXt(inputs.channels, outputs, patch=pixels, depths=DEPTHS, width=width, drop_path=drop_path)
