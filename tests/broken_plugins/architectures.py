"""Architectures with one fault each, and the sentence that names it."""

import numpy as np
import torch
from torch import nn

from sparknn_magic.plugin import architecture

TASK = {"task": "image-classification", "source": "Nobody 2026"}


class Pooled(nn.Module):
    """A linear layer on the mean of each channel, which every network here is a fault away from."""

    def __init__(self, inputs, outputs, channels=None):
        super().__init__()
        self.head = nn.Linear(channels or inputs.channels, outputs)

    def forward(self, x):
        return self.head(x.mean((2, 3)))


@architecture("broken_fixed_batch", **TASK)
def fixed_batch(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], as long as B is 7."""

    class Net(Pooled):
        def forward(self, x):
            return super().forward(x.reshape(7, inputs.channels, inputs.height, inputs.width))

    return Net(inputs, outputs)


@architecture("broken_batch_mean", **TASK)
def batch_mean(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], less the mean of the batch."""

    class Net(Pooled):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    return Net(inputs, outputs)


@architecture("broken_idle_weight", **TASK)
def idle_weight(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], with a layer that is never used."""
    net = Pooled(inputs, outputs)
    net.spare = nn.Linear(3, 3)
    return net


@architecture("broken_colour_only", **TASK)
def colour_only(inputs, outputs):
    """float32[B, 3, H, W] -> float32[B, outputs], whatever the pictures are."""
    return Pooled(inputs, outputs, channels=3)


@architecture("broken_small_pictures", **TASK)
def small_pictures(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], for pictures of 16x16 and more."""
    return nn.Sequential(nn.AvgPool2d(16), Pooled(inputs, outputs))


@architecture("broken_one_output_more", **TASK)
def one_output_more(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs + 1]."""
    return Pooled(inputs, outputs + 1)


@architecture("broken_own_dice", **TASK)
def own_dice(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], its weights drawn by numpy."""
    net = Pooled(inputs, outputs)
    net.head.weight.data = torch.from_numpy(np.random.default_rng().normal(size=net.head.weight.shape)).float()
    return net


@architecture("broken_lost_state", **TASK)
def lost_state(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], after a random scale that is in no state_dict."""

    class Net(Pooled):
        def __init__(self):
            super().__init__(inputs, outputs)
            self.register_buffer("scale", torch.rand(1), persistent=False)

        def forward(self, x):
            return super().forward(x * self.scale)

    return Net()


@architecture("broken_branches", **TASK)
def branches(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], by a branch on the values of the tensor."""

    class Net(Pooled):
        def forward(self, x):
            return super().forward(x if x.sum().item() > 1e9 else x * 1)

    return Net(inputs, outputs)


@architecture("broken_in_onnx", **TASK)
def in_onnx(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], and something else when it is exported."""

    class Net(Pooled):
        def forward(self, x):
            return super().forward(x) + (1.0 if torch.compiler.is_exporting() else 0.0)

    return Net(inputs, outputs)


@architecture("broken_no_module", **TASK)
def no_module(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], as a plain function."""
    return lambda x: x.mean((2, 3))


@architecture("broken_not_finite", **TASK)
def not_finite(inputs, outputs):
    """float32[B, C, H, W] -> float32[B, outputs], by the logarithm of numbers below 0."""

    class Net(Pooled):
        def forward(self, x):
            return super().forward(x).log()

    return Net(inputs, outputs)


@architecture("broken_padding", task="text-classification", source="Nobody 2026")
def padding(inputs, outputs):
    """ids, mask int64[B, T] -> float32[B, outputs], by the mean of the tokens and of the padding."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(inputs.vocabulary, 8), nn.Linear(8, outputs)

        def forward(self, ids, mask):
            return self.head(self.table(ids).mean(1))

    return Net()


@architecture("broken_length", task="text-classification", source="Nobody 2026")
def length(inputs, outputs):
    """ids, mask int64[B, T] -> float32[B, outputs], for texts of 12 tokens."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(inputs.vocabulary, 8), nn.Linear(8 * 12, outputs)

        def forward(self, ids, mask):
            return self.head((self.table(ids) * mask.unsqueeze(2)).flatten(1))

    return Net()


FAULTS = [
    (fixed_batch, "its forward fails on 1 row of 3x32x32: RuntimeError: shape '[7, 3, 32, 32]' is invalid"),
    (batch_mean, "a row of 3x32x32 gives another result alone than in a batch of 7"),
    (idle_weight, "its parameter 'spare.weight' takes no part in the result, so it gets no gradient"),
    (colour_only, "its forward fails on 7 rows of 1x28x28: RuntimeError"),
    (small_pictures, "its forward fails on 7 rows of 1x9x7: RuntimeError"),
    (one_output_more, "it gives [7, 6] where 7 rows with 5 outputs are [7, 5]"),
    (own_dice, "its weights differ from build to build under one seed"),
    (lost_state, "with its weights loaded again it gives other results"),
    (branches, "it does not export to ONNX"),
    (in_onnx, "ONNX Runtime and PyTorch differ by 1 on 1x28x28; at most 0.001 is allowed"),
    (no_module, "it builds a function, not a torch.nn.Module"),
    (not_finite, "it gives numbers that are not finite for 3x32x32"),
    (padding, "words: a text of 1 token gives another result with padding behind it"),
    (length, "its forward fails on 1 row of words: RuntimeError"),
]
