"""fastText: a text is the mean of the vectors of its words, of their neighbours and of the letters inside them.

Source: Joulin et al. 2016, Bag of Tricks for Efficient Text Classification, https://arxiv.org/abs/1607.01759; subwords:
Bojanowski et al. 2017, Enriching Word Vectors with Subword Information, https://arxiv.org/abs/1607.04606

The network takes single letters and hashes them into words, runs of words and subwords by itself, so that any runtime
gives the same answer from tokenizer.json and model.onnx alone.

B batch, T tokens, W words (of a row at most T), N n-grams, D dimensions of a vector, K outputs.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import TextInputs, architecture
from sparknn_zoo.hashing import PRIME, STEP, scattered
from sparknn_zoo.text.common import CLASSIFICATION, Rate

SOURCE = "Joulin et al. 2016, Bag of Tricks for Efficient Text Classification, arXiv:1607.01759; Bojanowski et al. 2017"

LONGEST = 64  # letters of a word after so many are hashed without their order

# The mean of some hundred vectors, each of which is seldom met, moves little in a step. Scaled up it learns as fast at
# the rates that suit other networks (1e-3) as the bare mean does at 3e-2.
SCALE = 30.0


class NGrams(nn.Module):
    """Ids -> rows of the table, for a word, a run of words and a subword each; 0 where there is none. No weights.

    A word is what begins with the `word_start` id. Its subwords begin and end inside it, where its two ends count as
    a letter: `_cat` begins a word and `cat_` ends one. Where there is no such id every token is a word, whose row is
    not hashed: it stands behind the buckets.
    """

    powers: Tensor

    def __init__(self, inputs: TextInputs, *, buckets: int, min_n: int, max_n: int, word_ngrams: int):
        super().__init__()
        self.word_start, self.separator = inputs.word_start, inputs.separator
        self.buckets, self.word_ngrams = buckets, word_ngrams
        self.min_n, self.max_n = min_n, max_n
        self.rows = buckets + (inputs.vocabulary if self.word_start is None else 0)
        powers = [pow(STEP, place, PRIME) for place in range(LONGEST)]
        self.register_buffer("powers", torch.tensor(powers), persistent=False)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> list[Tensor]:
        """int64[B, T], int64[B, T] -> int64[B, N] from 0 to rows - 1: of words and their runs, then of any subwords."""
        there_BT = mask_BT > 0
        if self.word_start is None:
            own_BT = torch.where(there_BT, self.buckets + ids_BT, 0)
            return [torch.cat([own_BT, *self.of_words(ids_BT, there_BT)[1:]], 1)]
        mark_BT = there_BT & (ids_BT == self.word_start)
        rows = [self.of_words(*self.words(ids_BT, there_BT, mark_BT)), self.of_letters(ids_BT, there_BT, mark_BT)]
        return [torch.cat(of_kind, 1) for of_kind in rows if of_kind]

    def words(self, ids_BT: Tensor, there_BT: Tensor, mark_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hash of each word, int64[B, W], and which places of it have one, bool[B, W].

        The sum of id x STEP ** place over the word's letters. The special tokens are words of their own.
        """
        place_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        start_BT = there_BT & (self.ends(ids_BT, mark_BT) | (place_T == 0))
        word_BT = (start_BT.cumsum(1) - 1).clamp(min=0)
        empty_BW = torch.zeros_like(ids_BT)
        first_BW = empty_BW.scatter_add(1, word_BT, place_T * start_BT)
        within_BT = (place_T - first_BW.gather(1, word_BT)).clamp(max=LONGEST - 1)
        letter_BT = ids_BT * self.powers[within_BT] % PRIME * there_BT
        hash_BW = empty_BW.scatter_add(1, word_BT, letter_BT) % PRIME
        return hash_BW, place_T < start_BT.sum(1, keepdim=True)

    def of_words(self, hash_BW: Tensor, there_BW: Tensor) -> list[Tensor]:
        """Return the rows of words, of pairs of words, and so on: int64[B, W] each."""
        words = hash_BW.shape[1]
        beyond = self.word_ngrams - 1
        next_hash, next_there = F.pad(hash_BW, (0, beyond)), F.pad(there_BW.long(), (0, beyond))
        rows, run_BW, whole_BW = [], torch.zeros_like(hash_BW), there_BW
        for n in range(self.word_ngrams):
            run_BW = (run_BW * STEP + next_hash[:, n : n + words]) % PRIME
            whole_BW = whole_BW & (next_there[:, n : n + words] > 0)
            rows.append(self.row(run_BW, whole_BW, kind=n + 1))
        return rows

    def of_letters(self, ids_BT: Tensor, there_BT: Tensor, mark_BT: Tensor) -> list[Tensor]:
        """Return the rows of the subwords that begin at each letter, of min_n letters, and so on: int64[B, T] each."""
        assert self.word_start is not None
        tokens = ids_BT.shape[1]
        # What stands before the first word belongs to none.
        inside_BT = there_BT & ~self.ends(ids_BT, mark_BT) & (mark_BT.cumsum(1) > 0)
        letters = F.pad(torch.where(inside_BT, ids_BT, self.word_start), (0, self.max_n), value=self.word_start)
        rows, run_BT = [], torch.zeros_like(ids_BT)
        open_BT, before_BT = inside_BT | mark_BT, torch.zeros_like(inside_BT)  # the n-gram may go on; ends in a letter
        for n in range(1, self.max_n + 1):
            next_BT = letters[:, n - 1 : n - 1 + tokens]
            letter_BT = next_BT != self.word_start
            run_BT = (run_BT * STEP + next_BT) % PRIME
            if n >= self.min_n:  # no end of a word alone, nor both ends of one without letters
                rows.append(self.row(run_BT, open_BT & (letter_BT | before_BT), kind=0))
            if n > 1:
                open_BT = open_BT & letter_BT
            before_BT = letter_BT
        return rows

    def ends(self, ids_BT: Tensor, mark_BT: Tensor) -> Tensor:
        """Return where a word ends because another one or a special token begins: bool[B, T]."""
        return mark_BT if self.separator is None else mark_BT | (ids_BT == self.separator)

    def row(self, hash_BN: Tensor, there_BN: Tensor, *, kind: int) -> Tensor:
        """Return a hash's row in the table; row 0 is for what is not there."""
        return torch.where(there_BN, 1 + scattered(hash_BN, kind=kind) % (self.buckets - 1), 0)


class FastText(nn.Module):
    """The mean of a table's rows, and the head.

    fastText takes one mean of all. Subwords are several times as many as words and would drown them, so here words
    (with their runs) and subwords count as much as each other.
    """

    def __init__(
        self,
        inputs: TextInputs,
        outputs: int,
        *,
        dim: int,
        buckets: int,
        min_n: int,
        max_n: int,
        word_ngrams: int,
        dropout: float,
    ):
        super().__init__()
        self.ngrams = NGrams(inputs, buckets=buckets, min_n=min_n, max_n=max_n, word_ngrams=word_ngrams)
        self.table = nn.Embedding(self.ngrams.rows, dim, padding_idx=0)
        self.dropout = dropout
        self.head = nn.Linear(dim, outputs)
        # fastText's, before the scale: what training seldom met adds next to nothing.
        nn.init.uniform_(self.table.weight, -1 / (dim * SCALE), 1 / (dim * SCALE))
        with torch.no_grad():
            self.table.weight[0] = 0

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """int64[B, T], int64[B, T] -> float32[B, K]."""
        means_BD = [self.mean(rows_BN) for rows_BN in self.ngrams(input_ids, attention_mask)]
        return self.head(SCALE * torch.stack(means_BD).mean(0))

    def mean(self, rows_BN: Tensor) -> Tensor:
        """Return the mean of the rows that are there, float32[B, D]; zeros where there are none."""
        if self.training and self.dropout:
            rows_BN = rows_BN.masked_fill(torch.rand(rows_BN.shape, device=rows_BN.device) < self.dropout, 0)
        if not torch.onnx.is_in_onnx_export():
            return F.embedding_bag(rows_BN, self.table.weight, mode="mean", padding_idx=0)
        # ONNX has no such operator: the sum is a product with a row of ones and zeros.
        there_B1N = (rows_BN > 0).unsqueeze(1).to(self.table.weight.dtype)
        return (there_B1N @ self.table(rows_BN)).squeeze(1) / there_B1N.sum(2).clamp(min=1)


@architecture(
    "fasttext", task=CLASSIFICATION, dynamic=("batch", "length"), source=SOURCE, notes={"tokenizer": "characters"}
)
def fasttext(
    inputs: TextInputs,
    outputs: int,
    *,
    dim: PositiveInt = 64,
    buckets: Annotated[int, Field(ge=2, lt=PRIME)] = 65_536,
    min_n: PositiveInt = 3,
    max_n: NonNegativeInt = 5,
    word_ngrams: PositiveInt = 2,
    dropout: Rate = 0.3,
) -> nn.Module:
    """Mean of the vectors of words, word pairs and subwords, hashed: ids, mask int64[B, T] -> float32[B, outputs].

    Ids are single letters, with one before each word; of other tokenizers every token is a word and there are no
    subwords. No order but that inside the n-grams. The quickest to train, and hard to beat on short texts.

    dim: dimensions of a vector.
    buckets: rows of the table that all n-grams share; more than the n-grams of the training texts help no more.
    min_n: letters of the shortest subword, of which the word's two ends may be one each.
    max_n: letters of the longest; 0 for no subwords.
    word_ngrams: words of the longest run of words.
    dropout: share of the n-grams left out in training.
    Source: Joulin et al. 2016; subwords of Bojanowski et al. 2017. Unlike theirs there is no vocabulary, words are
        hashed too; and the text is the mean of two means, of words with their runs and of subwords.
    Raises: SpecError where max_n is below min_n.
    """
    if 0 < max_n < min_n:
        raise SpecError(
            f"fasttext: max_n is {max_n}, below min_n, which is {min_n}.", hint="For no subwords write `max_n: 0`."
        )
    return FastText(
        inputs,
        outputs,
        dim=dim,
        buckets=buckets,
        min_n=min_n,
        max_n=max_n,
        word_ngrams=word_ngrams,
        dropout=dropout,
    )
