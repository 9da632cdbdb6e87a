"""Parts of the text architectures against PyTorch's own layers and the papers' definitions, worked out slowly."""

import pytest
import torch
from torch import nn

from sparknn_zoo.text import fasttext, gru_attention, text_transformer, textcnn
from sparknn_zoo.text.common import BothWays, masked_max, masked_mean
from tests.zoo.texts import BEGIN, LETTERS, SEPARATOR, WORD, WORDS, batch, build, row, rows, shaken


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def hashed(word: list[int]) -> int:
    return sum(letter * 48_271 ** min(place, 63) for place, letter in enumerate(word)) % (2**31 - 1)


def slowly(ids: list[int], *, buckets: int, min_n: int, max_n: int, word_ngrams: int) -> list[list[int]]:
    """Return the rows of a text's words and their runs, and of its subwords, one by one, by Python's whole numbers."""

    def bucket(run: list[int], kind: int) -> int:
        value = 0
        for each in run:
            value = value * 48_271 + each
        return 1 + (value % (2**31 - 1) * 742_938_285 + kind * 48_271) % (2**31 - 1) % (buckets - 1)

    words: list[list[int]] = []
    for place, token in enumerate(ids):
        if place == 0 or token in (WORD, SEPARATOR):
            words.append([])
        words[-1].append(token)
    found: list[list[int]] = [[], []] if max_n else [[]]
    for n in range(1, word_ngrams + 1):
        hashes = [hashed(word) for word in words]
        found[0] += [bucket(hashes[i : i + n], n) for i in range(len(words) - n + 1)]
    for word in words:
        if word[0] != WORD:
            continue
        marked = [*word, WORD]
        for n in range(min_n, max_n + 1):
            runs = [marked[i : i + n] for i in range(len(marked) - n + 1)]
            found[1] += [bucket(run, 0) for run in runs if set(run) != {WORD}]
    return [sorted(rows) for rows in found]


@pytest.mark.parametrize(("min_n", "max_n", "word_ngrams"), [(3, 5, 2), (1, 2, 1), (2, 2, 3), (4, 9, 1), (1, 0, 4)])
def test_the_n_grams_are_those_of_a_slow_and_obvious_program(min_n, max_n, word_ngrams):
    options = {"buckets": 2**20, "min_n": min_n, "max_n": max_n, "word_ngrams": word_ngrams}
    draw = torch.Generator().manual_seed(2)
    texts = [row(LETTERS, tokens, draw) for tokens in (*range(1, 24), *[60] * 20)]
    texts.append([BEGIN, WORD, *range(5, 40), *range(5, 40), *range(30, 4, -1), WORD, 9])  # a word of 96 letters
    texts.append([WORD, 7, 8, WORD, 9])  # of a tokenizer that begins with the first word
    ids, mask = batch(texts)
    kinds = [rows_BN.tolist() for rows_BN in fasttext.NGrams(LETTERS, **options)(ids, mask)]
    for text, *found in zip(texts, *kinds, strict=True):
        assert [sorted(n for n in rows if n) for rows in found] == slowly(text, **options)


def letters(text: str) -> list[int]:
    """Return the ids of a text in small letters: a is 5."""
    return [BEGIN, *(WORD if c == " " else ord(c) - 92 for c in f" {text}"), SEPARATOR]


def test_the_subwords_of_where_are_those_of_the_paper():
    # Bojanowski et al. 2017, sec. 3.2: <wh, whe, her, ere, re>; and the word <her> is not the trigram her.
    trigrams = fasttext.NGrams(LETTERS, buckets=2**30, min_n=3, max_n=3, word_ngrams=1)
    ids, mask = batch([letters(word) for word in ("where", "here", "wheel", "her")])
    words, subwords = trigrams(ids, mask)
    where, here, wheel, her = ({n for n in found if n} for found in subwords.tolist())
    assert len(where) == 5
    assert len(where & here) == 3  # her, ere, re>
    assert len(where & wheel) == 2  # <wh, whe
    assert len(where & her) == 1  # her
    assert len(her) == 3  # <he, her, er>
    assert all(len({n for n in found if n}) == 3 for found in words.tolist())  # [CLS], the word, [SEP]
    assert not set(words.flatten().tolist()) & where - {0}  # none of them is a trigram


def test_a_text_is_the_mean_of_its_words_and_of_its_subwords():
    network = shaken(build("fasttext")).eval()
    text = row(LETTERS, 15, torch.Generator().manual_seed(3))
    found = slowly(text, buckets=500, min_n=3, max_n=5, word_ngrams=2)
    with torch.no_grad():
        words, subwords = (torch.stack([network.table.weight[n] for n in rows]).mean(0) for rows in found)
        expected = network.head(30 * (words + subwords) / 2)
        torch.testing.assert_close(network(*batch([text]))[0], expected)


def test_where_every_token_is_a_word_each_has_a_vector_of_its_own():
    network = build("fasttext", inputs=WORDS, buckets=2)
    ids, mask = batch([[BEGIN, 7, 9, SEPARATOR]])
    found = network.ngrams(ids, mask)[0][0, :4].tolist()
    assert len(set(found)) == 4
    assert all(2 <= n < len(network.table.weight) for n in found)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_both_directions_give_what_packed_sequences_give(kind):
    ours = BothWays(kind, 5, 4, 2, 0.0).eval()
    theirs = kind(5, 4, 2, batch_first=True, bidirectional=True).eval()
    for level in range(2):
        for end, part in (("", ours.ahead), ("_reverse", ours.back)):
            for name, value in part[level].network.named_parameters():
                getattr(theirs, name.replace("_l0", f"_l{level}{end}")).data = value.data
    _, mask = rows(WORDS, [7, 1, 3])
    x = torch.randn(3, 7, 5)
    packed = nn.utils.rnn.pack_padded_sequence(x, mask.sum(1), batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
        found = ours(x, mask) * mask.unsqueeze(2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_mean_and_maximum_are_those_of_the_tokens_alone():
    x = torch.randn(2, 4, 3) - 5  # all below 0, which padding must not beat
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    torch.testing.assert_close(masked_mean(x, mask), torch.stack([x[0, :2].mean(0), x[1].mean(0)]))
    torch.testing.assert_close(masked_max(x, mask), torch.stack([x[0, :2].amax(0), x[1].amax(0)]))


def test_attention_shares_out_one_among_the_words_and_nothing_to_padding():
    attention = gru_attention.WordAttention(6, 5)
    _, mask = rows(WORDS, [7, 1, 3])
    x = torch.randn(3, 7, 6)
    share = attention.weights(x, mask)
    torch.testing.assert_close(share.sum(1), torch.ones(3))
    assert share[mask == 0].abs().max() == 0
    # Yang et al. 2016, equations 5 to 7, for the third row
    with torch.no_grad():
        score = torch.stack([attention.question @ torch.tanh(attention.key(x[2, t])) for t in range(3)])
        expected = sum(a * x[2, t] for t, a in enumerate(score.exp() / score.exp().sum()))
    torch.testing.assert_close(attention(x, mask)[2], expected)


def test_textcnn_takes_the_largest_match_of_all_windows_over_the_text():
    network = shaken(textcnn.TextCNN(WORDS, 3, dim=4, widths=(2, 3), filters=5, dropout=0.0)).eval()
    text = [BEGIN, 9, 11, SEPARATOR]
    with torch.no_grad():
        found = []
        for convolution in network.convolutions:
            width = convolution.kernel_size[0]
            around = torch.zeros(len(text) + width - 1, 4)
            before = (width - 1) // 2
            around[before : before + len(text)] = network.vectors.table(torch.tensor(text))
            windows = [around[t : t + width].T for t in range(len(text))]
            matches = [(convolution.weight * window).sum((1, 2)) + convolution.bias for window in windows]
            found.append(torch.stack(matches).relu().amax(0))
        torch.testing.assert_close(network(*batch([text], width=9))[0], network.head(torch.cat(found)))


def test_transformer_layer_computes_what_pytorchs_own_computes():
    ours = shaken(text_transformer.Layer(dim=24, heads=3, hidden=48, dropout=0.0)).eval()
    theirs = nn.TransformerEncoderLayer(24, 3, 48, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    names = {
        "attention.qkv.": "self_attn.in_proj_",
        "attention.out.": "self_attn.out_proj.",
        "mlp.0.": "linear1.",
        "mlp.3.": "linear2.",
        "norm1.": "norm1.",
        "norm2.": "norm2.",
    }
    state = {}
    for name, value in ours.state_dict().items():
        start = next(start for start in names if name.startswith(start))
        state[name.replace(start, names[start])] = value
    theirs.load_state_dict(state)
    _, mask = rows(WORDS, [7, 1, 3])
    x = torch.randn(3, 7, 24)
    bias = torch.zeros(3, 1, 1, 7).masked_fill(mask[:, None, None] == 0, torch.finfo(torch.float32).min)
    unturned = (torch.ones(7, 4), torch.zeros(7, 4))
    with torch.no_grad():
        found, expected = ours(x, bias, unturned), theirs(x, src_key_padding_mask=mask == 0)
    torch.testing.assert_close(found[mask > 0], expected[mask > 0], rtol=1e-5, atol=1e-5)


def test_rotary_positions_make_a_score_depend_on_the_distance_alone():
    rotary = text_transformer.Rotary(8)
    turn = rotary(torch.zeros(1, 30, 1))
    query, key = torch.randn(2, 8)
    q, k = (text_transformer.rotated(x.expand(1, 1, 30, 8), turn)[0, 0] for x in (query, key))
    scores = q @ k.T
    torch.testing.assert_close(scores[:-5, :-5], scores[5:, 5:], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(scores[0, 0], scores[0, 5], atol=1e-2)
    torch.testing.assert_close(q.norm(dim=1), query.norm().expand(30))
    # Su et al. 2021, equation 15: the first pair of dimensions turns by one radian a token
    a, b = query[0], query[4]
    torch.testing.assert_close(q[1, 0], a * torch.cos(torch.tensor(1.0)) - b * torch.sin(torch.tensor(1.0)))
