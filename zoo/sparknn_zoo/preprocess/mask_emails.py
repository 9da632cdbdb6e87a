"""A word in place of each e-mail address."""

from typing import Any

from tokenizers import Regex, normalizers

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.texts import TEXT_TASKS

LOCAL = r"[\p{Latin}0-9._%+\-]"
PART = r"[\p{Latin}0-9\-]"
EMAIL = rf"(?<!{LOCAL}){LOCAL}{{1,64}}@{PART}{{1,63}}(?:\.{PART}{{1,63}})+"


@preprocessor(
    "mask_emails", task=TEXT_TASKS, main="word", source="RFC 5322, addr-spec; lengths: RFC 5321, sec. 4.5.3.1"
)
def mask_emails(*, word: str = "email") -> Any:
    """Text -> the same with a word in place of each e-mail address in Latin letters.

    word: what stands there instead; the default is a word that tokenizers know, one token for most of them.
    """
    return normalizers.Replace(Regex(EMAIL), word)
