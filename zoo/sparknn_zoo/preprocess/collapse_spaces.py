"""One space where there is white space."""

from typing import Any

from tokenizers import Regex, normalizers

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.texts import TEXT_TASKS


@preprocessor(
    "collapse_spaces", task=TEXT_TASKS, source="Unicode Standard Annex 44, White_Space; XPath 3.1, fn:normalize-space"
)
def collapse_spaces() -> Any:
    """Text -> the same with one space where it has spaces, tabs and ends of lines, and none at its ends."""
    return normalizers.Sequence([normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
