"""How rows with named entities become prepared ones: plain values, for executors."""

from dataclasses import dataclass

from sparknn_magic.plugin import Part


@dataclass(frozen=True, slots=True)
class EntityJob:
    """How executors turn rows into the shards that training reads."""

    steps: tuple[Part, ...]
    tokenizer: str  # tokenizer.json
    length: int
    labels: tuple[str, ...]  # of entities
    words: bool  # a row is a list of words with a tag each; else a text with spans
