"""Each text architecture learns a small task whose answer needs what it claims to see, and no more than that."""

import random

import pytest
import torch
from torch import nn

from tests.zoo.texts import BEGIN, LETTERS, SEPARATOR, WORD, WORDS, batch, build

FIRST, SECOND = 5, 6  # two words that every text has
READS_ORDER = {
    "bilstm": {"dim": 16, "units": 24},
    "gru_attention": {"dim": 16, "units": 24, "attention": 16},
    "text_transformer": {"dim": 32, "heads": 2},
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def trained(network: nn.Module, texts: list[list[int]], labels: list[int], *, epochs: int, lr: float) -> nn.Module:
    """Train with AdamW on a falling rate, in batches of 50; return the network in evaluation mode."""
    target = torch.tensor(labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for index in torch.randperm(len(texts)).split(50):
            optimizer.zero_grad()
            outputs = network(*batch([texts[i] for i in index]))
            nn.functional.cross_entropy(outputs, target[index]).backward()
            optimizer.step()
        schedule.step()
    return network.eval()


def share_right(network: nn.Module, texts: list[list[int]], labels: list[int]) -> float:
    with torch.no_grad():
        return (network(*batch(texts)).argmax(1) == torch.tensor(labels)).float().mean().item()


def other_words(draw: random.Random, least: int, most: int) -> list[int]:
    return [draw.randrange(7, WORDS.vocabulary) for _ in range(draw.randint(least, most))]


def far_apart(draw: random.Random) -> tuple[list[int], int]:
    """Return a text with both words somewhere, and whether the first comes first."""
    label = draw.randrange(2)
    pair = [FIRST, SECOND] if label else [SECOND, FIRST]
    before, between, after = other_words(draw, 1, 4), other_words(draw, 2, 5), other_words(draw, 1, 4)
    return [BEGIN, *before, pair[0], *between, pair[1], *after, SEPARATOR], label


def side_by_side(draw: random.Random) -> tuple[list[int], int]:
    """Return a text with both words, and whether the second follows the first at once."""
    label = draw.randrange(2)
    middle = [FIRST, SECOND] if label else [SECOND, *other_words(draw, 0, 1), FIRST]
    return [BEGIN, *other_words(draw, 0, 4), *middle, *other_words(draw, 0, 4), SEPARATOR], label


def drawn(make, count: int, seed: int) -> tuple[list[list[int]], list[int]]:
    draw = random.Random(seed)
    found = [make(draw) for _ in range(count)]
    return [text for text, _ in found], [label for _, label in found]


@pytest.mark.parametrize("name", READS_ORDER)
def test_which_of_two_words_comes_first_is_learnt_however_far_they_are_apart(name):
    network = trained(build(name, 2, **READS_ORDER[name]), *drawn(far_apart, 1000, 1), epochs=8, lr=1e-2)
    assert share_right(network, *drawn(far_apart, 300, 2)) > 0.97


def test_a_bag_of_words_and_pairs_cannot_learn_which_comes_first():
    network = trained(build("fasttext", 2, WORDS), *drawn(far_apart, 1000, 1), epochs=8, lr=1e-2)
    assert share_right(network, *drawn(far_apart, 300, 2)) < 0.65


@pytest.mark.parametrize(
    ("name", "options"),
    [("textcnn", {"dim": 16, "widths": (2, 3), "filters": 8}), ("fasttext", {"dim": 16, "buckets": 5000})],
)
def test_two_words_side_by_side_are_found_wherever_they_stand(name, options):
    network = build(name, 2, WORDS, **options)
    network = trained(network, *drawn(side_by_side, 1000, 1), epochs=8, lr=1e-2)
    assert share_right(network, *drawn(side_by_side, 300, 2)) > 0.97


def test_without_pairs_of_words_fasttext_does_not_know_who_stands_by_whom():
    network = build("fasttext", 2, WORDS, word_ngrams=1)
    network = trained(network, *drawn(side_by_side, 1000, 1), epochs=8, lr=1e-2)
    assert share_right(network, *drawn(side_by_side, 300, 2)) < 0.65


def made_up(draw: random.Random) -> tuple[list[int], int]:
    """Return three made-up words, of which one ends in the letters 5 6 7 or begins with them, and which it is."""
    words = [[draw.randrange(5, LETTERS.vocabulary) for _ in range(draw.randint(3, 6))] for _ in range(3)]
    label = draw.randrange(2)
    words[1] = [*words[1], 5, 6, 7] if label else [5, 6, 7, *words[1]]
    return [BEGIN, *(letter for word in words for letter in [WORD, *word]), SEPARATOR], label


def test_subwords_tell_the_ends_of_words_that_training_never_had():
    network = build("fasttext", 2, dim=16, buckets=20_000)
    network = trained(network, *drawn(made_up, 1000, 1), epochs=8, lr=1e-2)
    texts, labels = drawn(made_up, 300, 2)
    assert share_right(network, texts, labels) > 0.9
    network.ngrams.max_n = 0  # the same network, blind to them
    assert share_right(network, texts, labels) < 0.65
