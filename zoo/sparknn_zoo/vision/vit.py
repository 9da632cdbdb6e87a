"""Vision Transformer, tiny size: the picture as a sequence of patches.

Source: Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, https://arxiv.org/abs/2010.11929; the tiny size is
DeiT-Ti of Touvron et al. 2021, https://arxiv.org/abs/2012.12877, table 1

B batch, C channels, H height, W width, T tokens, N heads, E dimensions of a head, D dimensions of a token, K classes.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import DropPath, Rate, transformer_init

SOURCE = "Dosovitskiy et al. 2021, arXiv:2010.11929; tiny size of Touvron et al. 2021 (DeiT-Ti), arXiv:2012.12877"
IMAGENET = {"channels": 3, "height": 224, "width": 224, "outputs": 1000}
EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """float32[B, T, D] -> the same."""
        q_BNTE, k_BNTE, v_BNTE = self.qkv(x_BTD).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        h_BNTE = F.scaled_dot_product_attention(q_BNTE, k_BNTE, v_BNTE)
        return self.dropout(self.out(h_BNTE.transpose(1, 2).flatten(2)))


class Layer(nn.Module):
    """Attention and a two-layer perceptron, each behind a LayerNorm and beside a shortcut (pre-norm)."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attention = Attention(dim, heads, dropout)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim), nn.Dropout(dropout)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """float32[B, T, D] -> the same."""
        x_BTD = x_BTD + self.drop_path(self.attention(self.norm1(x_BTD)))
        return x_BTD + self.drop_path(self.mlp(self.norm2(x_BTD)))


class ViT(nn.Module):
    """Patches of `patch` x `patch` pixels and a class token with learned positions, `depth` layers, a linear head."""

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        outputs: int,
        *,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        hidden: int,
        dropout: float,
        drop_path: float,
    ):
        super().__init__()
        # Sides that are no multiple of the patch get zeros, the mean of normalized pixels, on the right and below.
        self.pad = nn.ZeroPad2d((0, -width % patch, 0, -height % patch))
        tokens = -(-height // patch) * -(-width // patch) + 1
        self.patches = nn.Conv2d(channels, dim, patch, stride=patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, dim))
        self.positions = nn.Parameter(torch.empty(1, tokens, dim))
        self.dropout = nn.Dropout(dropout)
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]  # grows with depth
        self.layers = nn.Sequential(*(Layer(dim, heads, hidden, dropout, rate) for rate in rates))
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.head = nn.Linear(dim, outputs)
        transformer_init(self)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        x_BTD = self.patches(self.pad(x_BCHW)).flatten(2).transpose(1, 2)
        x_BTD = torch.cat((self.class_token.expand(x_BTD.shape[0], -1, -1), x_BTD), 1)
        x_BTD = self.layers(self.dropout(x_BTD + self.positions))
        return self.head(self.norm(x_BTD[:, 0]))


def choose_patch(inputs: ImageInputs) -> int:
    """Return the largest of 16, 8, 4, 2 and 1 pixels that leaves 7 patches along the shorter side."""
    shorter = min(inputs.height, inputs.width)
    return next((patch for patch in (16, 8, 4, 2) if -(-shorter // patch) >= 7), 1)


@architecture("vit-tiny", task="image-classification", source=SOURCE, notes={"parameters": 5_717_416, "at": IMAGENET})
def vit_tiny(
    inputs: ImageInputs,
    outputs: int,
    *,
    patch: PositiveInt | Literal["auto"] = "auto",
    dim: PositiveInt = 192,
    depth: PositiveInt = 12,
    heads: PositiveInt = 3,
    mlp_ratio: PositiveFloat = 4.0,
    dropout: Rate = 0.0,
    drop_path: Rate = 0.0,
) -> nn.Module:
    """Vision Transformer, tiny size: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of any size.

    patch: pixels of a patch's side; auto is the largest of 16, 8, 4, 2 and 1 that leaves 7 patches along the picture's
        shorter side (16 at 224 pixels, 4 at 28 and 32).
    dim: dimensions of a token, a multiple of the heads.
    depth: layers.
    heads: attention heads.
    mlp_ratio: hidden units of a layer's perceptron, in multiples of dim.
    dropout: share dropped in training of tokens, of attention's output and of hidden units.
    drop_path: rate of stochastic depth in the last layer, falling to 0 in the first.
    Source: Dosovitskiy et al. 2021; sizes of DeiT-Ti, Touvron et al. 2021.
    Raises: SpecError where dim is no multiple of heads, or a patch is larger than the picture.
    """
    if dim % heads:
        hint = f"The nearest is dim: {max(1, round(dim / heads)) * heads}."
        raise SpecError(
            f"vit-tiny cannot share {dim} dimensions among {heads} heads: dim must be a multiple.", hint=hint
        )
    pixels = choose_patch(inputs) if patch == "auto" else patch
    if pixels > min(inputs.height, inputs.width):
        size = f"{inputs.height}x{inputs.width}"
        hint = f"Choose a smaller patch, or leave it out: `patch: auto` takes {choose_patch(inputs)} here."
        raise SpecError(f"vit-tiny with patch {pixels} needs larger pictures, these are {size}.", hint=hint)
    return ViT(
        inputs.channels,
        inputs.height,
        inputs.width,
        outputs,
        patch=pixels,
        dim=dim,
        depth=depth,
        heads=heads,
        hidden=round(dim * mlp_ratio),
        dropout=dropout,
        drop_path=drop_path,
    )
