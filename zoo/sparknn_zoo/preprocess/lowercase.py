"""Capital letters to small ones."""

from typing import Any

from tokenizers import normalizers

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.texts import TEXT_TASKS


@preprocessor("lowercase", task=TEXT_TASKS, source="Unicode Standard, sec. 3.13, toLowercase, one character at a time")
def lowercase() -> Any:
    """Text -> the same in small letters, of every script that has them."""
    return normalizers.Lowercase()
