"""GRU with attention: the text read from both ends, and a learnt question that picks the words that matter.

Source: Yang et al. 2016, Hierarchical Attention Networks for Document Classification, NAACL, sec. 2.2: the word encoder
and the word attention, https://aclanthology.org/N16-1174

B batch, T tokens, D dimensions of a token, H outputs of both directions, A dimensions of the question, K outputs.
"""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.plugin import TextInputs, architecture
from sparknn_zoo.text.common import CLASSIFICATION, BothWays, Rate, Vectors

SOURCE = "Yang et al. 2016, Hierarchical Attention Networks for Document Classification, NAACL, sec. 2.2"


class WordAttention(nn.Module):
    """The mean of the words' outputs, weighted by how well each answers a learnt question."""

    def __init__(self, features: int, dim: int):
        super().__init__()
        self.key = nn.Linear(features, dim)
        self.question = nn.Parameter(torch.empty(dim))
        nn.init.normal_(self.question, std=dim**-0.5)

    def weights(self, x_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        """Return the share of each word, float32[B, T]: of a row they sum to 1, and padding has none."""
        score_BT = torch.tanh(self.key(x_BTH)) @ self.question
        return torch.softmax(score_BT.masked_fill(mask_BT == 0, torch.finfo(score_BT.dtype).min), 1)

    def forward(self, x_BTH: Tensor, mask_BT: Tensor) -> Tensor:
        """float32[B, T, H], int64[B, T] -> float32[B, H]."""
        return (self.weights(x_BTH, mask_BT).unsqueeze(1) @ x_BTH).squeeze(1)


class GRUAttention(nn.Module):
    """Word vectors, GRUs, attention, and the head."""

    def __init__(
        self, inputs: TextInputs, outputs: int, *, dim: int, units: int, depth: int, attention: int, dropout: float
    ):
        super().__init__()
        self.vectors = Vectors(inputs, dim, dropout)
        self.recurrent = BothWays(nn.GRU, dim, units, depth, dropout)
        self.attention = WordAttention(2 * units, attention)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * units, outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64[B, T], int64[B, T] -> float32[B, K]."""
        x_BTH = self.recurrent(self.vectors(input_ids), attention_mask)
        return self.head(self.dropout(self.attention(x_BTH, attention_mask)))


@architecture(
    "gru_attention", task=CLASSIFICATION, dynamic=("batch", "length"), source=SOURCE, notes={"tokenizer": "words"}
)
def gru_attention(
    inputs: TextInputs,
    outputs: int,
    *,
    dim: PositiveInt = 128,
    units: PositiveInt = 64,
    depth: PositiveInt = 1,
    attention: PositiveInt = 100,
    dropout: Rate = 0.3,
) -> nn.Module:
    """GRU from both ends, and attention to the words that matter: ids, mask int64[B, T] -> float32[B, outputs].

    Learns better at `optimizer: {adamw: {lr: 3e-3}}` than at the usual 1e-3, most of all from few rows.

    dim: dimensions of a word's vector.
    units: numbers that each direction keeps from word to word.
    depth: recurrent layers, each on the outputs of the one before.
    attention: dimensions in which a word is compared with the learnt question.
    dropout: share dropped in training of the word vectors' numbers, of the outputs between layers and of the text's.
    Source: Yang et al. 2016, sec. 2.2; a text is one sentence of their hierarchy. Theirs: 200, 50, 1, 100, 0.
    """
    return GRUAttention(inputs, outputs, dim=dim, units=units, depth=depth, attention=attention, dropout=dropout)
