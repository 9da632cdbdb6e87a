"""Bidirectional LSTM: the text read word by word from both ends.

Source: Schuster and Paliwal 1997, Bidirectional Recurrent Neural Networks, IEEE Trans. Signal Processing 45(11);
Hochreiter and Schmidhuber 1997, Long Short-Term Memory, Neural Computation 9(8). The maximum over the words: Conneau et
al. 2017, sec. 3.2, https://arxiv.org/abs/1705.02364

B batch, T tokens, D dimensions of a token, H outputs of both directions, K outputs.
"""

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import TextInputs, architecture
from sparknn_zoo.text.common import TAGGING, BothWays, Rate, Vectors, masked_max, masked_mean

SOURCE = "Schuster and Paliwal 1997, Bidirectional Recurrent Neural Networks; Hochreiter and Schmidhuber 1997"
Pooling = Literal["last", "mean", "max"]


def last_of_each_way(x_BTH: Tensor, mask_BT: Tensor) -> Tensor:
    """Return what each direction gave at its end, float32[B, H]: at the last real token, and at the first one."""
    last_B11 = (mask_BT.sum(1) - 1).clamp(min=0).reshape(-1, 1, 1)
    ahead_BTU, back_BTU = x_BTH.chunk(2, 2)
    at_last_BU = ahead_BTU.gather(1, last_B11.expand(-1, -1, ahead_BTU.shape[2])).squeeze(1)
    return torch.cat((at_last_BU, back_BTU[:, 0]), 1)


POOLINGS = {"last": last_of_each_way, "mean": masked_mean, "max": masked_max}


class BiLSTM(nn.Module):
    """Word vectors, recurrent layers, pooling, and the head."""

    def __init__(
        self, inputs: TextInputs, outputs: int, *, dim: int, units: int, depth: int, pooling: Pooling, dropout: float
    ):
        super().__init__()
        self.pooling, self.each_token = pooling, inputs.each_token
        self.vectors = Vectors(inputs, dim, dropout)
        self.recurrent = BothWays(nn.LSTM, dim, units, depth, dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * units, outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64[B, T], int64[B, T] -> float32[B, K], or of each token float32[B, T, K]."""
        x_BTH = self.recurrent(self.vectors(input_ids), attention_mask)
        if self.each_token:
            return self.head(self.dropout(x_BTH))
        return self.head(self.dropout(POOLINGS[self.pooling](x_BTH, attention_mask)))


@architecture("bilstm", task=TAGGING, dynamic=("batch", "length"), source=SOURCE, notes={"tokenizer": "words"})
def bilstm(
    inputs: TextInputs,
    outputs: int,
    *,
    dim: PositiveInt = 128,
    units: PositiveInt = 128,
    depth: PositiveInt = 1,
    pooling: Pooling = "max",
    dropout: Rate = 0.3,
) -> nn.Module:
    """LSTM that reads the words from both ends: ids, mask int64[B, T] -> float32[B, outputs].

    Of each token float32[B, T, outputs]. Reading back starts at a row's last real token, wherever its padding ends.
    Learns better at `optimizer: {adamw: {lr: 3e-3}}` than at the usual 1e-3, most of all from few rows.

    dim: dimensions of a word's vector.
    units: numbers that each direction keeps from word to word.
    depth: recurrent layers, each on the outputs of the one before.
    pooling: what becomes of the words' outputs: those at the last word and, read back, at the first; mean; or max, of
        each number the largest. Nothing is pooled where each token has outputs.
    dropout: share dropped in training of the word vectors' numbers, of the outputs between layers and of the pooled.
    Source: Schuster and Paliwal 1997; max as in Conneau et al. 2017, sec. 3.2.
    """
    return BiLSTM(inputs, outputs, dim=dim, units=units, depth=depth, pooling=pooling, dropout=dropout)
