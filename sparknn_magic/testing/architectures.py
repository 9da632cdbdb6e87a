"""Architectures: by task, what they are built for and what rows look like. A new kind of rows is a function here."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sparknn_magic.errors import SpecError
from sparknn_magic.plugin import ImageInputs, TextInputs, VectorInputs
from sparknn_magic.testing import modules
from sparknn_magic.testing.kit import Fault, Subject, checks, must
from sparknn_magic.testing.modules import Case

OUTPUTS = 5
# Colour and grey, even, odd and small: a size that an architecture cannot take it refuses by a SpecError.
PICTURES = [ImageInputs(3, 32, 32), ImageInputs(1, 28, 28), ImageInputs(3, 19, 27), ImageInputs(1, 9, 7)]
# Numbers and categories (one-hot, embedded), numbers alone, categories alone.
VECTORS = [
    VectorInputs(4, (3, 6), (0, 2)),
    VectorInputs(3),
    VectorInputs(0, (4,), (0,)),
]
# Words, single characters with a mark before each word, and words of a tokenizer that knows no pairs.
TEXTS = [
    TextInputs(50, 12, separator=3),
    TextInputs(50, 12, separator=3, word_start=4),
    TextInputs(50, 12),
]


def picture_rows(inputs: ImageInputs, count: int) -> dict[str, Tensor]:
    """Return float32[count, C, H, W], normalized."""
    draw = torch.Generator().manual_seed(count)
    return {"pixels": torch.randn(count, inputs.channels, inputs.height, inputs.width, generator=draw)}


def vector_rows(inputs: VectorInputs, count: int) -> dict[str, Tensor]:
    """Return numbers float32[count, F] and codes int64[count, G], unknown categories (0) among them."""
    draw = torch.Generator().manual_seed(count)
    codes = [torch.randint(0, n, (count,), generator=draw) for n in inputs.categories]
    return {
        "numbers": torch.randn(count, inputs.numbers, generator=draw),
        "codes": torch.stack(codes, 1) if codes else torch.zeros(count, 0, dtype=torch.int64),
    }


def text_rows(inputs: TextInputs, count: int) -> dict[str, Tensor]:
    """Return ids and mask int64[count, T]: texts of T tokens, of 1 and of lengths between, padded."""
    draw = torch.Generator().manual_seed(count)
    lengths = torch.tensor([inputs.length, 1, *range(2, inputs.length)]).repeat(1 + count // inputs.length)[:count]
    mask = (torch.arange(inputs.length) < lengths[:, None]).long()
    ids = torch.randint(1, inputs.vocabulary, (count, inputs.length), generator=draw)
    return {"input_ids": torch.where(mask > 0, ids, inputs.pad), "attention_mask": mask}


def _words(inputs: Any) -> str:
    if isinstance(inputs, ImageInputs):
        return f"{inputs.channels}x{inputs.height}x{inputs.width}"
    if isinstance(inputs, TextInputs):
        return "characters" if inputs.word_start else "words" if inputs.separator else "words without a separator"
    return f"{inputs.numbers} numbers and {len(inputs.categories)} categories"


def _cases(
    subject: Subject, wanted: list[Any], rows: Callable[[Any, int], dict[str, Tensor]], outputs: int
) -> tuple[list[Case], list[str]]:
    """Return the cases that the architecture takes, and the words of those that it refuses."""
    taken, refused = [], []
    for inputs in wanted:
        make = partial(subject.build, inputs, outputs)
        try:
            make()
        except SpecError as error:
            must(
                error.message.strip(),
                f"it refuses {_words(inputs)} without a word: say in the SpecError what it takes.",
            )
            refused.append(_words(inputs))
        else:
            length = inputs.length if isinstance(inputs, TextInputs) else None
            taken.append(Case(_words(inputs), make, partial(rows, inputs), length))
    return taken, refused


def _all(cases: list[Case], refused: list[str], outputs: int, small: Case) -> str:
    found = [modules.takes_any_batch(case, outputs) for case in cases]
    found += [check(small) for check in (modules.learns, modules.obeys_the_seed, modules.is_saved_whole)]
    found += [modules.exports(small)]
    return "; ".join([*found, *(f"refuses {words} with a sentence" for words in refused)])


@checks("architecture", task="image-classification")
def of_pictures(subject: Subject) -> str:
    """Take pictures, colour and grey, of several sizes."""
    cases, refused = _cases(subject, PICTURES, picture_rows, OUTPUTS)
    for channels, kind in ((3, "colour"), (1, "greyscale")):
        if not any(case.words.startswith(f"{channels}x") for case in cases):
            raise Fault(f"it takes no {kind} picture of {_sizes(channels)} pixels.")
    return _all(cases, refused, OUTPUTS, next(case for case in cases if case.words.startswith("1x")))


def _sizes(channels: int) -> str:
    return " or ".join(f"{i.height}x{i.width}" for i in PICTURES if i.channels == channels)


@checks("architecture", task="vector-classification")
def of_vectors(subject: Subject) -> str:
    """Take numbers and categories, and each alone."""
    return _vectors(subject, OUTPUTS)


@checks("architecture", task="vector-regression")
def of_vectors_to_a_number(subject: Subject) -> str:
    """Take numbers and categories, and give one number a row."""
    return _vectors(subject, 1)


@checks("architecture", task="text-classification")
def of_texts(subject: Subject) -> str:
    """Take texts of any length, padded or not."""
    cases, refused = _cases(subject, TEXTS, text_rows, OUTPUTS)
    must(cases, f"it takes none of {', '.join(map(_words, TEXTS))}.")
    padding = [modules.ignores_padding(case) for case in cases]
    return f"{_all(cases, refused, OUTPUTS, cases[0])}; {padding[0]}"


@checks("architecture", task="token-classification")
def of_tokens(subject: Subject) -> str:
    """Give outputs for each token of a text, whatever stands behind it."""
    cases, _ = _cases(subject, [replace(inputs, each_token=True) for inputs in TEXTS], text_rows, OUTPUTS)
    must(cases, f"it takes none of {', '.join(map(_words, TEXTS))} where `each_token` is set.")
    for case in cases:
        module, rows = case.settled(), case.rows(modules.ROWS)
        wanted = [*rows["input_ids"].shape, OUTPUTS]
        with torch.no_grad():
            whole = case.run(module, rows)
            must(
                list(whole.shape) == wanted,
                f"it gives {list(whole.shape)} where `each_token` is set, and outputs of each token are {wanted}.",
            )
            for n, tokens in enumerate(rows["attention_mask"].sum(1).tolist()):
                alone = case.run(module, {name: values[n : n + 1, :tokens] for name, values in rows.items()})
                must(
                    torch.allclose(whole[n, :tokens], alone[0], atol=modules.CLOSE, rtol=modules.CLOSE),
                    f"a token of {case.words} gives another result with padding behind its text.",
                )
    return f"gives outputs for each token; {modules.learns(cases[0])}"


def _vectors(subject: Subject, outputs: int) -> str:
    cases, refused = _cases(subject, VECTORS, vector_rows, outputs)
    must(cases, f"it takes none of {', '.join(map(_words, VECTORS))}.")
    return _all(cases, refused, outputs, cases[0])
