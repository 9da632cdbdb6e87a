"""The network as it is trained and as it is exported: pixels in, logits out. Runs on executors.

Shape suffixes: B batch, H height, W width, C channels, K classes.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sparknn_magic.training.job import TrainJob


class PixelNetwork(nn.Module):
    """uint8[B, H, W, C] -> logits float32[B, K]: scaling to 0..1, augmentation in training, normalization, the body.

    `body` is the architecture's own module; its state alone is what is saved.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.body = body
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(1, -1, 1, 1), persistent=False)
        self.augment: tuple[Callable[[Tensor], Tensor], ...] = ()

    def forward(self, images_BHWC: Tensor) -> Tensor:
        """Return the logits; augmentation acts in training mode only."""
        x_BCHW = images_BHWC.permute(0, 3, 1, 2).float() / 255.0
        if self.training:
            for step in self.augment:
                x_BCHW = step(x_BCHW)
        return self.body((x_BCHW - self.mean) / self.std)


def build_network(job: TrainJob) -> PixelNetwork:
    """Build the network with its augmentation, on the CPU, its weights drawn under the job's seed."""
    torch.manual_seed(job.seed)
    body = job.architecture.build(job.rows.inputs, job.outputs)
    network = PixelNetwork(body, job.rows.mean, job.rows.std)
    network.augment = tuple(part.build() for part in job.augment)
    return network
