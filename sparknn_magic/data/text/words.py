"""What a word is, in any script: the pre-tokenizers of the built-in tokenizers. Runs on executors: tokenizers.

A word is a run of letters, marks and digits of at most 64 characters; each punctuation mark is one, and each emoji with
its skin tone, its joined parts (ZWJ) and the like. White space, control characters and the zero-width space of Thai and
Khmer separate words. Where a script has no spaces, its characters stand alone or a run of them is a word.
"""

from typing import Any

from tokenizers import Regex, pre_tokenizers

WORD_START = "▁"
LONGEST = 64  # characters of a word; a longer run is cut into several

# In the syntax of Oniguruma, the library's.
SPACE = r"\s\p{Cc}\x{200B}\x{FEFF}"
CHINESE = r"\p{Han}"
HIRAGANA = r"\p{Hiragana}"
KATAKANA = r"\p{Katakana}\x{30FC}\x{FF70}\x{FF9E}\x{FF9F}"  # and its marks, which Unicode calls common
SOUTH_EAST = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
OTHER = rf"[^{SPACE}\p{{P}}\p{{S}}{CHINESE}{HIRAGANA}{KATAKANA}{SOUTH_EAST}]"
EMOJI = (
    r"[\x{1F1E6}-\x{1F1FF}]{2}|"  # a flag
    r"\p{So}(?:[\x{FE0E}\x{FE0F}\x{20E3}\x{1F3FB}-\x{1F3FF}\x{E0020}-\x{E007F}]|\x{200D}\p{So}){0,16}"
)


def words(*, alone: str = CHINESE, before: str = "", between: bool = False) -> Any:
    """Return the pre-tokenizer that finds words.

    alone: scripts whose characters are a word each, with the marks on them; of the others without spaces runs are.
    before: what may stand before a word and belongs to it.
    between: keep what is between words, too.
    """
    runs = [script for script in (CHINESE, HIRAGANA, KATAKANA, SOUTH_EAST) if script not in alone]
    patterns = [f"{OTHER}{{1,{LONGEST}}}", *(f"[{script}]{{1,{LONGEST}}}" for script in runs)]
    if alone:
        patterns.append(rf"[{alone}]\p{{M}}{{0,8}}")
    pattern = f"{before}(?:{'|'.join([*patterns, EMOJI])}|[\\p{{P}}\\p{{S}}])"
    return pre_tokenizers.Split(Regex(pattern), "isolated" if between else "removed", invert=not between)


def spaced_words() -> Any:
    """Return the pre-tokenizer that finds words, Chinese ones in runs, with "▁" for the space before them."""
    start = pre_tokenizers.Metaspace(WORD_START, prepend_scheme="always", split=False)
    return pre_tokenizers.Sequence([start, words(alone="", before=f"{WORD_START}?")])


def started_words() -> Any:
    """Return the pre-tokenizer that finds words, Chinese ones by the character, with "▁" before each of them."""
    start = pre_tokenizers.Metaspace(WORD_START, prepend_scheme="always", split=False)
    return pre_tokenizers.Sequence([words(), start])
