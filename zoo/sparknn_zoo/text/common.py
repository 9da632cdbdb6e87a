"""What several architectures for texts share: word vectors, pooling under a mask, recurrent layers that read both ways.

B batch, T tokens, D features.
"""

import torch
from torch import Tensor, nn

from sparknn_magic.plugin import TextInputs
from sparknn_zoo.layers.recurrent import Recurrent
from sparknn_zoo.vision.common import Rate

__all__ = ["CLASSIFICATION", "TAGGING", "BothWays", "Rate", "Vectors", "masked_max", "masked_mean"]

CLASSIFICATION = "text-classification"
TAGGING = (CLASSIFICATION, "token-classification")  # of architectures that can give outputs for each token


class Vectors(nn.Module):
    """A learnt vector for each id, with dropout; zeros for the padding id."""

    def __init__(self, inputs: TextInputs, dim: int, dropout: float):
        super().__init__()
        self.table = nn.Embedding(inputs.vocabulary, dim, padding_idx=inputs.pad)
        self.dropout = nn.Dropout(dropout)
        nn.init.uniform_(self.table.weight, -0.25, 0.25)  # Kim 2014, sec. 3.1, for words without a pretrained vector
        with torch.no_grad():
            self.table.weight[inputs.pad] = 0

    def forward(self, ids_BT: Tensor) -> Tensor:
        """int64[B, T] -> float32[B, T, D]."""
        return self.dropout(self.table(ids_BT))


def masked_mean(x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Return the mean of each row's tokens, float32[B, D]; zeros for a row that has none."""
    weight_BT = mask_BT.to(x_BTD.dtype)
    count_B1 = weight_BT.sum(1, keepdim=True).clamp(min=1)
    return (x_BTD * weight_BT.unsqueeze(2)).sum(1) / count_B1


def masked_max(x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Return the largest value of each feature among a row's tokens, float32[B, D]; zeros for a row that has none."""
    there_BT1 = (mask_BT > 0).unsqueeze(2)
    largest_BD = x_BTD.masked_fill(~there_BT1, torch.finfo(x_BTD.dtype).min).amax(1)
    return largest_BD.masked_fill(~there_BT1.any(1), 0.0)


def backwards(mask_BT: Tensor) -> Tensor:
    """Return for each place the one it swaps with when a row's tokens are turned round: int64[B, T].

    The padding stays where it is, behind them.
    """
    place_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    turned_BT = mask_BT.sum(1, keepdim=True) - 1 - place_T
    return torch.where(turned_BT >= 0, turned_BT, place_T)


def taken(x_BTD: Tensor, places_BT: Tensor) -> Tensor:
    """Return the tokens that stand at these places of their row: float32[B, T, D]."""
    first_B1 = torch.arange(x_BTD.shape[0], device=x_BTD.device).unsqueeze(1) * x_BTD.shape[1]
    return x_BTD.flatten(0, 1).index_select(0, (first_B1 + places_BT).flatten()).reshape(x_BTD.shape)


class BothWays(nn.Module):
    """Recurrent layers; in each one network reads a row from its first token and another from its last real one.

    The same numbers as packed sequences give, which ONNX does not have. What stands at the padding means nothing.
    """

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], features: int, units: int, depth: int, dropout: float):
        super().__init__()
        widths = [features] + [2 * units] * (depth - 1)
        self.ahead = nn.ModuleList(Recurrent(kind(width, units, batch_first=True), True) for width in widths)
        self.back = nn.ModuleList(Recurrent(kind(width, units, batch_first=True), True) for width in widths)
        self.dropout = nn.Dropout(dropout)  # between the layers

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """float32[B, T, D] -> float32[B, T, 2 units]: one half has read up to the token, the other down to it."""
        turned_BT = backwards(mask_BT)
        for level, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            x_BTD = self.dropout(x_BTD) if level else x_BTD
            x_BTD = torch.cat((ahead(x_BTD), taken(back(taken(x_BTD, turned_BT)), turned_BT)), 2)
        return x_BTD
