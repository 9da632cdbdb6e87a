"""A word in place of each web address."""

from typing import Any

from tokenizers import Regex, normalizers

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.texts import TEXT_TASKS, UNSPACED

INSIDE = rf"[^\s<>\"{UNSPACED}]"
END = rf"[^\s<>\"{UNSPACED}'.,;:!?()\[\]{{}}*_|]"  # punctuation behind it belongs to the sentence
URL = rf"(?i)(?<![\p{{Latin}}0-9])(?:(?:https?|ftp)://|www\.)(?:{INSIDE}*{END})?"


@preprocessor("mask_urls", task=TEXT_TASKS, main="word", source="RFC 3986, Uniform Resource Identifier")
def mask_urls(*, word: str = "url") -> Any:
    """Text -> the same with a word in place of each address that begins with http://, https://, ftp:// or www.

    Punctuation at its end stays, and in Chinese, Japanese, Korean and Thai texts it ends where their letters begin.

    word: what stands there instead; the default is a word that tokenizers know, one token for most of them.
    """
    return normalizers.Replace(Regex(URL), word)
