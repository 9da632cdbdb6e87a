"""LeNet-5, the first widely used convolutional network, with the softmax head of today.

Source: LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 86(11), sec. II.B.
Two parts of the original are left out, as nearly everywhere: the sparse table of connections between S2 and C3 (here
every map sees every map) and the radial basis functions of the output (here a linear layer).

B batch, C channels, H height, W width, K classes.
"""

from typing import Literal

from torch import Tensor, nn

from sparknn_magic.plugin import ImageInputs, architecture
from sparknn_zoo.vision.common import require_size

FULL = 32  # pixels: the paper pads its digits of 28x28 by 2 on each side to this size
SOURCE = "LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 86(11)"
DIGITS = {"channels": 1, "height": 32, "width": 32, "outputs": 10}


def side_after(pixels: int, padding: int) -> int:
    """Return the side of the last feature maps for a picture of this side."""
    return ((pixels + 2 * padding - 4) // 2 - 4) // 2


class LeNet5(nn.Module):
    """Two 5x5 convolutions, each followed by a 2x2 pooling, then three linear layers of 120, 84 and `outputs`."""

    def __init__(self, channels: int, height: int, width: int, outputs: int, *, activation: str, pool: str):
        super().__init__()
        act = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]
        pooling = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}[pool]
        padding = (2 if height < FULL else 0, 2 if width < FULL else 0)
        rows, columns = side_after(height, padding[0]), side_after(width, padding[1])
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=padding),
            act(),
            pooling(2),
            nn.Conv2d(6, 16, 5),
            act(),
            pooling(2),
        )
        self.head = nn.Sequential(
            nn.Linear(16 * rows * columns, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, outputs)
        )
        draw = nn.init.xavier_uniform_ if activation == "tanh" else nn.init.kaiming_uniform_
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                draw(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """float32[B, C, H, W] -> logits float32[B, K]."""
        return self.head(self.features(x_BCHW).flatten(1))


# The paper gives 60,000 free parameters; all maps connected to all, there are 61,706.
@architecture("lenet5", task="image-classification", source=SOURCE, notes={"parameters": 60_000, "at": DIGITS})
def lenet5(
    inputs: ImageInputs,
    outputs: int,
    *,
    activation: Literal["tanh", "relu"] = "tanh",
    pool: Literal["average", "max"] = "average",
) -> nn.Module:
    """LeNet-5: float32[B, C, H, W] -> logits float32[B, outputs].

    Pictures of at least 12x12; sides under 32 pixels are padded by 2 on both ends, as the paper pads its digits.

    activation: tanh as in the paper, or relu.
    pool: how 2x2 pixels become one; average as in the paper, or max.
    Source: LeCun et al. 1998, sec. II.B.
    Raises: SpecError where the pictures are smaller.
    """
    require_size("lenet5", inputs, 12)
    return LeNet5(inputs.channels, inputs.height, inputs.width, outputs, activation=activation, pool=pool)
