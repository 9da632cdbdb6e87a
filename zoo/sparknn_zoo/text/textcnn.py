"""TextCNN: windows of some words, and of each pattern its strongest match in the text.

Source: Kim 2014, Convolutional Neural Networks for Sentence Classification, https://arxiv.org/abs/1408.5882

B batch, T tokens, D dimensions of a token, C filters, K outputs.
"""

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import TextInputs, architecture
from sparknn_zoo.text.common import CLASSIFICATION, Rate, Vectors

SOURCE = "Kim 2014, Convolutional Neural Networks for Sentence Classification, arXiv:1408.5882"


class TextCNN(nn.Module):
    """Word vectors, convolutions of several widths, ReLU, the maximum over the text, and the head."""

    def __init__(
        self, inputs: TextInputs, outputs: int, *, dim: int, widths: tuple[int, ...], filters: int, dropout: float
    ):
        super().__init__()
        self.vectors = Vectors(inputs, dim, dropout)
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, filters, width) for width in widths)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(len(widths) * filters, outputs)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64[B, T], int64[B, T] -> float32[B, K]."""
        there_B1T = attention_mask.unsqueeze(1).float()
        x_BDT = self.vectors(input_ids).transpose(1, 2) * there_B1T
        parts_BC = [self.strongest(convolution, x_BDT, there_B1T) for convolution in self.convolutions]
        return self.head(self.dropout(torch.cat(parts_BC, 1)))

    @staticmethod
    def strongest(convolution: nn.Module, x_BDT: Tensor, there_B1T: Tensor) -> Tensor:
        """Return the largest match of each filter in windows whose middle is a token: float32[B, C].

        Windows reach over the ends of the text, where they see zeros: one shorter than a window has them too.
        """
        assert isinstance(convolution, nn.Conv1d)
        beyond = convolution.kernel_size[0] - 1
        match_BCT = F.relu(convolution(F.pad(x_BDT, (beyond // 2, beyond - beyond // 2))))
        return (match_BCT * there_B1T).amax(2)  # after ReLU nothing is below the 0 that stands at the padding


@architecture("textcnn", task=CLASSIFICATION, dynamic=("batch", "length"), source=SOURCE, notes={"tokenizer": "words"})
def textcnn(
    inputs: TextInputs,
    outputs: int,
    *,
    dim: PositiveInt = 128,
    widths: tuple[PositiveInt, ...] = (3, 4, 5),
    filters: PositiveInt = 100,
    dropout: Rate = 0.5,
) -> nn.Module:
    """Convolutions over words, the strongest match of each counts: ids, mask int64[B, T] -> float32[B, outputs].

    Texts of any length, those too that are shorter than a window.
    Learns better at `optimizer: {adamw: {lr: 3e-3}}` than at the usual 1e-3, most of all from few rows.

    dim: dimensions of a word's vector.
    widths: words that a filter sees; so many filters of each width.
    filters: filters of each width.
    dropout: share dropped in training of the word vectors' numbers, and of the matches.
    Source: Kim 2014, whose word vectors have no dropout and 300 dimensions.
    Raises: SpecError where there is no width.
    """
    if not widths:
        raise SpecError("textcnn needs at least one width.", hint="Write `widths: [3, 4, 5]`.")
    return TextCNN(inputs, outputs, dim=dim, widths=tuple(widths), filters=filters, dropout=dropout)
