"""Preprocessors of texts; and texts of many scripts, empty ones, strange ones and long ones, for tokenizers too."""
# ruff: noqa: RUF001 (other scripts have letters that look like Latin ones)

import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tokenizers import Tokenizer, models, normalizers

from sparknn_magic import shipping
from sparknn_magic.errors import SpecError
from sparknn_magic.testing.kit import Fault, Subject, guard, must

TASKS = ("text-classification", "text-embedding", "token-classification")
SECONDS = 5  # for a text of 100,000 characters

# Each twice, as tokenizers leave out what occurs once. The runs of Thai and Chinese are longer than any word may be.
TEXTS = [
    "Where is my order? I want a refund for order 12345, please.",
    "The app crashes when I open the order page. Please help!",
    "Ich möchte meine Bestellung stornieren und das Geld zurück.",
    "我想退款，我的订单还没有到。请问什么时候可以收到退款？",
    "アカウントを削除したいのですが、どうすればいいですか。",
    "ฉันต้องการขอเงินคืนเพราะสินค้ายังไม่มาถึงและฉันรอมานานมากแล้ว",
    "أريد استرداد أموالي لأن الطلب لم يصل بعد",
    "Я хочу вернуть деньги за заказ, который не пришёл.",
    "환불을 받고 싶어요. 주문이 아직 도착하지 않았어요.",
    "I love it 😀👍🏽 👩‍👩‍👧 🇩🇪 ❤️‍🔥, but a < b & c > d",
] * 2
ODD = {
    "an empty text": "",
    "white space": " \t\r\n\u00a0\u3000 ",
    "control characters": "a\x00b\x01c\x1b[0m\x7f d",
    "letters that it has never seen": "ᏣᎳᎩ ཨོཾ 𐍈𐌰𐌿 ꙮ",
    "an emoji of five parts": "👨🏿‍❤️‍💋‍👨🏻 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "marks without a letter": "\u0301\u0e31\u3099 a" + "\u0301" * 100,
    "the names of its special tokens": "[CLS] [SEP] [PAD] [UNK] ▁ ## </s>",
    "text from right to left": "\u200fمرحبا (hello) \u202eabc\u202c שלום",
    "characters that no one uses": "\ufffd \uffff \U0010ffff \ue000",
    "HTML": "<p>a &amp; <b>b</b> <script>x</script> &nbsp; <!-- c",
    "addresses and numbers": "https://a.b/c?d=1&e=(2) me@a.example +49 170 1,234.50 ١٢٣",
}
LONG = {
    "letters without a space": "a" * 100_000,
    "words": "refund order now " * 6_000,
    "Chinese": "我想退款" * 25_000,
    "Thai": "เงินคืน" * 15_000,
    "punctuation": "<a \"'&![" * 12_500,
}


def turns_texts_into_texts(subject: Subject) -> str:
    """Be a Normalizer, or a function of str to str."""
    try:
        step = subject.build()
    except SpecError as error:
        raise Fault(f"it refuses its own example or defaults: {error.message}") from error
    normalizer = isinstance(step, normalizers.Normalizer)
    must(
        normalizer or callable(step), f"it builds a {type(step).__name__}, not a Normalizer or a function of one text."
    )
    part = shipping.part_of(subject.item, subject.options())
    again = pickle.loads(pickle.dumps(part)).build() if part.code is None else subject.build()
    apply, twice = (_function(each) for each in (step, again))
    if normalizer:
        with guard("it cannot be written into tokenizer.json", allow=()):
            twice = _function(Tokenizer.from_str(_with(step).to_str()).normalizer)
    taken = sum(_text(apply, twice, words, text) for words, text in [*_shown(), *ODD.items()])
    must(taken, "it refuses every text.")
    in_time(apply)
    return f"{taken} texts of many scripts go through, each twice with the same result, and long ones in time"


def _shown() -> list[tuple[str, str]]:
    return [(f"'{text[:20]}...'", text) for text in dict.fromkeys(TEXTS)]


def _function(step: Any) -> Callable[[str], Any]:
    found: Callable[[str], Any] = step.normalize_str if isinstance(step, normalizers.Normalizer) else step
    return found


def _with(normalizer: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    return tokenizer


def _text(apply: Callable[[str], Any], again: Callable[[str], Any], words: str, text: str) -> bool:
    """Return whether it takes the text, rather than refusing it by an error that drops the row."""
    try:
        with guard(f"it fails on {words}", allow=(SpecError, ValueError)):
            found = apply(text)
    except (SpecError, ValueError) as error:
        must(str(error).strip(), f"it refuses {words} without a word.")
        return False
    must(isinstance(found, str), f"it turns {words} into a {type(found).__name__}, not a str.")
    must(_is_unicode(found), f"it turns {words} into half a surrogate, which no file can hold.")
    with guard(f"it fails on {words} the second time", allow=()):
        same = again(text) == found
    must(same, f"it gives another result for the same text ({words}).")
    return True


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(character) < 0xE000 for character in text)


def in_time(apply: Callable[[str], Any]) -> None:
    """Raise Fault where a long text takes too long."""
    for words, text in LONG.items():
        start = time.perf_counter()
        with (
            suppress(SpecError, ValueError),
            guard(f"it fails on a long text ({words})", allow=(SpecError, ValueError)),
        ):
            apply(text)
        taken = time.perf_counter() - start
        must(taken < SECONDS, f"it takes {taken:.1f} s for a text of 100,000 characters ({words}).")
