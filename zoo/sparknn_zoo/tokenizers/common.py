"""What the tokenizers share: special tokens, spaces, counting. Runs on an executor.

What a word is stands in `sparknn_magic.data.text.words`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import Field
from tokenizers import Regex, Tokenizer, normalizers, processors

from sparknn_magic.data.text.words import SPACE
from sparknn_magic.errors import DataError

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids 0 to 3
PAD, UNKNOWN, START, SEPARATOR = SPECIALS
Vocabulary = Annotated[int, Field(ge=16)]
LONGEST_PIECE = (
    16  # characters of a piece of a word: where there are no spaces, a whole message would be a piece that occurs twice
)


def one_space(normalizer: Any) -> Any:
    """Return the normalizer with a step behind it that leaves one space for white space, and none at the ends."""
    return sequence(normalizer, normalizers.Replace(Regex(f"[{SPACE}]+"), " "), normalizers.Strip())


def sequence(*found: Any) -> Any:
    """Return the normalizers that are not None as one, None where there is none."""
    there = [each for each in found if each is not None]
    return normalizers.Sequence(there) if len(there) > 1 else (there[0] if there else None)


def count_words(texts: Iterable[str], normalizer: Any, pre_tokenizer: Any) -> Counter[str]:
    """Return how often each word occurs, in the order in which they come."""
    counts: Counter[str] = Counter()
    for text in texts:
        text = text if normalizer is None else normalizer.normalize_str(text)
        counts.update([word for word, _ in pre_tokenizer.pre_tokenize_str(text)])
    return counts


def count_characters(words: Counter[str]) -> Counter[str]:
    """Return how often each character occurs in words with their counts."""
    counts: Counter[str] = Counter()
    for word, times in words.items():
        for character in word:
            counts[character] += times
    return counts


def frequent(counts: Counter[str], least: int, most: int) -> list[str]:
    """Return what occurs at least `least` times, the most frequent first, at most `most` of them.

    What is as frequent is in the order of its code points: the same texts give the same list.
    """
    kept = sorted((-times, what) for what, times in counts.items() if times >= least and what not in SPECIALS)
    return [what for _, what in kept[:most]]


def repeated(words: Counter[str], at_once: int = 10_000) -> Iterator[list[str]]:
    """Yield each word as often as it was counted, in lists, for a trainer that counts again."""
    for word, times in words.items():
        for start in range(0, times, at_once):
            yield [word] * min(at_once, times - start)


def most_tokens(words: Counter[str], first: int) -> int:
    """Return how many tokens pairs can make of words at most, beside the `first` ones to begin with.

    The library takes memory for as many as it is told, a vocabulary of 10^12 too.
    """
    return len(SPECIALS) + first + sum(len(word) - 1 for word in words)


def something(name: str, tokens: list[str], min_count: int) -> list[str]:
    """Return the tokens. Raises: DataError where there are none."""
    if not tokens:
        hint = "Lower min_count, or give it more texts." if min_count > 1 else None
        raise DataError(f"{name}: nothing occurs {min_count} times in the training texts.", hint=hint)
    return tokens


def vocabulary_of(tokens: Iterable[str]) -> dict[str, int]:
    """Return token -> id, the special tokens first."""
    return {token: n for n, token in enumerate([*SPECIALS, *tokens])}


def finished(model: Any, normalizer: Any, pre_tokenizer: Any, decoder: Any = None) -> Tokenizer:
    """Return the tokenizer of a model whose ids 0 to 3 are the special tokens: [CLS] A [SEP], [CLS] A [SEP] B [SEP]."""
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    if decoder is not None:
        tokenizer.decoder = decoder
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {SEPARATOR}",
        pair=f"{START} $A {SEPARATOR} $B:1 {SEPARATOR}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (START, SEPARATOR)],
    )
    return tokenizer
