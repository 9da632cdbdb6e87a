"""One form for characters that Unicode has several of."""

from typing import Any

from tokenizers import normalizers

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.texts import TEXT_TASKS


@preprocessor("nfkc", task=TEXT_TASKS, source="Unicode Standard Annex 15, Unicode Normalization Forms: NFKC")
def nfkc() -> Any:
    """Text -> the same in Unicode's form NFKC: full-width letters, ligatures and the like become the usual ones.

    An accent that is a character of its own joins its letter.
    """
    return normalizers.NFKC()
