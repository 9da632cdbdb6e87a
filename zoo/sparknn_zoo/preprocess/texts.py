"""What the preprocessors of texts share. Executors import this file.

Each is a Normalizer of the `tokenizers` library and becomes part of tokenizer.json, so whatever runs the model does the
same. Their patterns are in the syntax of Oniguruma, the library's.
"""

TEXT_TASKS = ("text-classification", "text-embedding", "token-classification")

# What ends a URL or an address in running text of scripts without spaces: their letters, and wide punctuation.
UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\x{3000}-\x{303F}\x{FF00}-\x{FF65}"
)
# Letters of scripts that write words with spaces; a digit beside one belongs to a name such as mp3.
SPACED = r"\p{Latin}\p{Greek}\p{Cyrillic}"
