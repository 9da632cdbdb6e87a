"""Rows of token ids, as the tokenizers give them, for the tests of the architectures for texts."""

import torch

from sparknn_magic import registry
from sparknn_magic.plugin import TextInputs

PAD, UNKNOWN, BEGIN, SEPARATOR, WORD = range(5)  # the special tokens' ids; WORD stands before each word of letters
LETTERS = TextInputs(vocabulary=40, length=24, separator=SEPARATOR, word_start=WORD)
WORDS = TextInputs(vocabulary=40, length=24, separator=SEPARATOR)

# Each architecture with options that make it small and take its chance away; its structure stays.
SMALL = {
    "fasttext": {"dim": 8, "buckets": 500, "dropout": 0.0},
    "textcnn": {"dim": 8, "filters": 6, "dropout": 0.0},
    "bilstm": {"dim": 8, "units": 6, "dropout": 0.0},
    "gru_attention": {"dim": 8, "units": 6, "attention": 5, "dropout": 0.0},
    "text_transformer": {"dim": 16, "heads": 2, "dropout": 0.0},
}
INPUTS = {name: LETTERS if name == "fasttext" else WORDS for name in SMALL}


def build(name: str, outputs: int = 3, inputs: TextInputs | None = None, **options) -> torch.nn.Module:
    return registry.get("architecture", name).build(inputs or INPUTS[name], outputs, **{**SMALL[name], **options})


def row(inputs: TextInputs, tokens: int, draw: torch.Generator) -> list[int]:
    """Return [CLS] and some words, of letters where the inputs have a word start, cut at so many tokens."""
    ids = [BEGIN]
    while len(ids) < tokens:
        ids += [WORD] * (inputs.word_start is not None)
        letters = 1 if inputs.word_start is None else int(torch.randint(0, 6, (), generator=draw))
        ids += torch.randint(WORD + 1, inputs.vocabulary, (letters,), generator=draw).tolist()
        if torch.rand((), generator=draw) < 0.2:
            ids.append(SEPARATOR)
    return ids[:tokens]


def batch(lists: list[list[int]], width: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask int64[B, T], padded to the longest row or to a width."""
    width = width or max(map(len, lists))
    ids = torch.tensor([[*ids, *[PAD] * (width - len(ids))] for ids in lists])
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in lists])
    return ids, mask


def rows(inputs: TextInputs, lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return batch([row(inputs, tokens, draw) for tokens in lengths])


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    """Move every parameter off its first value, so that what starts at zero counts too; the padding's vector stays."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
        for module in network.modules():
            if isinstance(module, torch.nn.Embedding):
                module.weight[module.padding_idx] = 0
    return network
