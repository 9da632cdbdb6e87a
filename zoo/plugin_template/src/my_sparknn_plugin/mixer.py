"""ConvMixer: patches, mixed by depthwise convolutions in space and by pointwise ones over the channels.

B batch, C channels, H height, W width, D width of the network, K outputs.
"""

from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import ImageInputs, architecture


class Block(nn.Module):
    """A depthwise convolution with a shortcut around it, then a pointwise one."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.space = nn.Sequential(
            nn.Conv2d(width, width, kernel, groups=width, padding="same"), nn.GELU(), nn.BatchNorm2d(width)
        )
        self.channels = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.BatchNorm2d(width))

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """float32[B, D, H, W] -> the same shape."""
        return self.channels(x_BDHW + self.space(x_BDHW))


@architecture(
    "my_sparknn_plugin_mixer",
    task="image-classification",
    source="Trockman and Kolter 2022, Patches Are All You Need?, arXiv:2201.09792",
    licence="Apache-2.0",
)
def mixer(
    inputs: ImageInputs,
    outputs: int,
    *,
    width: PositiveInt = 64,
    depth: PositiveInt = 4,
    patch: PositiveInt = 4,
    kernel: PositiveInt = 5,
) -> nn.Module:
    """ConvMixer for pictures from one patch on: float32[B, C, H, W] -> logits float32[B, outputs].

    width: channels of the network.
    depth: blocks.
    patch: side of the patches that the picture is cut into, in pixels.
    kernel: side of the depthwise convolution's window, in patches.
    Raises: SpecError where the picture is smaller than a patch.
    """
    if min(inputs.height, inputs.width) < patch:
        raise SpecError(
            f"my_sparknn_plugin_mixer: patch is {patch}, and the pictures are {inputs.height}x{inputs.width}; "
            "it must be at most their shorter side."
        )
    return nn.Sequential(
        nn.Conv2d(inputs.channels, width, patch, patch),
        nn.GELU(),
        nn.BatchNorm2d(width),
        *(Block(width, kernel) for _ in range(depth)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, outputs),
    )
