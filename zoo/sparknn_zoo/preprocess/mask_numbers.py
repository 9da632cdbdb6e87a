"""A word in place of each number."""

from typing import Any

from tokenizers import Regex, normalizers

from sparknn_magic.plugin import preprocessor
from sparknn_zoo import checks
from sparknn_zoo.preprocess.texts import SPACED, TEXT_TASKS


@preprocessor(
    "mask_numbers", task=TEXT_TASKS, main="word", source="Unicode Standard Annex 44, General_Category Nd; sparknn-magic"
)
def mask_numbers(*, word: str = "number", digits: int = 1) -> Any:
    """Text -> the same with a word in place of each number, in the digits of any script.

    A date, a price or a telephone number is one number: its digits may be joined by one of . , : / - and the like.
    Digits that touch a Latin, Greek or Cyrillic letter stay, as in mp3 and A4.

    word: what stands there instead; the default is a word that tokenizers know, one token for most of them.
    digits: a number with fewer digits stays.
    Raises: SpecError where digits is not between 1 and 1000.
    """
    checks.between("mask_numbers", "digits", digits, 1, 1000)
    joined = r"\p{Nd}(?:[.,:/'\x{2019}\x{B7}\-]?\p{Nd})"
    repeats = f"{{{digits - 1},}}"
    pattern = rf"(?<![{SPACED}\p{{Nd}}]){joined}{repeats}(?![{SPACED}\p{{Nd}}])"
    return normalizers.Replace(Regex(pattern), word)
