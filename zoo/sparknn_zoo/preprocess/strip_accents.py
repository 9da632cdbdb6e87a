"""Letters without their accents."""

from typing import Any

from tokenizers import Regex, normalizers

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.texts import TEXT_TASKS

MARKS = r"(?<=[\p{Latin}\p{Greek}])[\x{300}-\x{36F}]+"


@preprocessor("strip_accents", task=TEXT_TASKS, source="Unicode Standard Annex 15, canonical decomposition")
def strip_accents() -> Any:
    """Text -> the same without accents on Latin and Greek letters: "déjà vu" is "deja vu".

    Marks of other scripts stay, where they tell words apart: Cyrillic й, Japanese が, the vowels and tones of Thai and
    Hindi. So do letters that have no accent in Unicode, such as ø and ł. Behind it the text is in the form NFC.
    """
    return normalizers.Sequence([normalizers.NFD(), normalizers.Replace(Regex(MARKS), ""), normalizers.NFC()])
