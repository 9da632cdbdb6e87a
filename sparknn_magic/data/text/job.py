"""How texts become tokens: plain values, for executors and for model folders."""

from dataclasses import dataclass

from sparknn_magic.plugin import Part

MOST = 512  # tokens of a text where the cell sets no limit
MOST_KEY = "most"  # the note of a tokenizer plugin that gives another number
SAMPLE = 100_000  # training texts that a tokenizer is trained on
COVERED = 0.995  # of the training texts are read whole, where `max_length` is auto
MULTIPLE = 8  # of such a length


@dataclass(frozen=True, slots=True)
class TokenizerJob:
    """How one executor trains a tokenizer, or takes one that is there, and finds the length of the texts."""

    steps: tuple[Part, ...]  # preprocessors of texts
    tokenizer: Part | None  # trains it; None: `given`
    given: str = ""  # tokenizer.json of a pretrained network
    most: int = MOST  # tokens of a text, at most
    length: int | None = None  # tokens of a text, as the cell says; None: found from the texts


@dataclass(frozen=True, slots=True)
class TextJob:
    """How executors turn rows into the shards that training reads."""

    steps: tuple[Part, ...]
    tokenizer: str  # tokenizer.json
    length: int
    pair: bool
    classes: tuple[str, ...]
    multilabel: bool
    columns: tuple[str, ...] = ()  # further numbers of the row, for a loss
