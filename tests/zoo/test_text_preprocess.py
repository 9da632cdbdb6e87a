"""Preprocessors of texts, against unicodedata, html.parser and texts whose answer is plain."""
# ruff: noqa: RUF001 (other scripts have letters that look like Latin ones)

import random
import subprocess
import sys
import time
import unicodedata
from functools import cache
from html.parser import HTMLParser

import pytest
from tokenizers import normalizers

from sparknn_magic import registry
from sparknn_magic.errors import SpecError

NAMES = [
    "collapse_spaces",
    "lowercase",
    "mask_emails",
    "mask_numbers",
    "mask_urls",
    "nfkc",
    "strip_accents",
    "strip_html",
]
# Of the first plane: Python and the library need not have the same version of Unicode, in which little is new there.
ASSIGNED = [chr(n) for n in range(0x10000) if unicodedata.category(chr(n)) not in ("Cn", "Cs", "Co")]


@cache
def build(name, **options):
    return registry.get("preprocessor", name).build(**options)


def apply(name, text, **options):
    return build(name, **options).normalize_str(text)


def test_every_preprocessor_of_texts_is_tested_here():
    found = [registry.get("preprocessor", name) for name in registry.names("preprocessor")]
    assert [item.name for item in found if "text-classification" in item.tasks] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_normalizer_and_so_part_of_the_tokenizers_file(name):
    assert isinstance(build(name), normalizers.Normalizer)


def test_executors_need_nothing_but_tokenizers():
    modules = ", ".join(f"sparknn_zoo.preprocess.{name}" for name in NAMES)
    code = f"import sys, {modules}; print(sorted(sys.modules.keys() & {{'torch', 'pyspark', 'pandas', 'pydantic'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nfkc_is_that_of_unicodedata():
    draw = random.Random(0)
    for _ in range(300):
        text = "".join(draw.choices(ASSIGNED, k=20))
        assert apply("nfkc", text) == unicodedata.normalize("NFKC", text)
    assert apply("nfkc", "Ｆｕｌｌ　ﬁn ①") == "Full fin 1"


def test_lowercase_is_pythons_for_every_character():
    text = " ".join(ASSIGNED)
    assert apply("lowercase", text) == " ".join(each.lower() for each in ASSIGNED)


def without_accents(text):
    """By unicodedata: no mark of the block Combining Diacritical Marks behind a Latin or Greek letter."""
    kept, letter = [], False
    for each in unicodedata.normalize("NFD", text):
        if 0x300 <= ord(each) <= 0x36F and letter:
            continue
        letter = unicodedata.name(each, "").startswith(("LATIN", "GREEK"))
        kept.append(each)
    return unicodedata.normalize("NFC", "".join(kept))


def test_accents_go_from_latin_and_greek_letters_and_stay_elsewhere():
    letters = [chr(n) for n in [*range(0xC0, 0x250), *range(0x386, 0x3CF), *range(0x1E00, 0x2000)]]
    for letter in letters:
        if unicodedata.category(letter) in ("Lu", "Ll"):
            assert apply("strip_accents", letter) == without_accents(letter), letter
    assert apply("strip_accents", "déjà vu à Zürich, ελληνικά, ấ ñ") == "deja vu a Zurich, ελληνικα, a n"
    for other in ("й ё", "が ぱ", "ว่าที่", "हिन्दी", "한국어", "مُحَمَّد", "ø ł đ"):
        assert apply("strip_accents", other) == unicodedata.normalize("NFC", other)


def test_white_space_is_one_space():
    text = " a\t\tb\r\n\u00a0c\u3000\u2003d \n"
    assert apply("collapse_spaces", text) == " ".join(text.split()) == "a b c d"


class Words(HTMLParser):
    """The text of a document, by Python's own parser."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.words, self.hidden = [], 0

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style")
        self.words.append("" if tag in ("b", "a", "span", "i") else " ")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style")
        self.words.append("" if tag in ("b", "a", "span", "i") else " ")

    def handle_data(self, data):
        self.words.append("" if self.hidden else data)


@pytest.mark.parametrize(
    "page",
    [
        "<p>Hello <b>un</b>believable <i class='x'>world</i></p><p>next</p>",
        "one<br>two<br/>three<hr />four",
        '<a href="https://a.example/?x=1&y=>2" title=\'a "b" > c\'>link</a> after',
        "before <!-- a <b>comment</b>\n over lines --> after",
        "<style>p > b { color: red }</style>text<script type='text/javascript'>if (a < b) { c(); }</script> end",
        "<SCRIPT>x</SCRIPT >upper <Div>case</DIV>",
        "fish &amp; chips &lt;b&gt; &quot;q&quot; &#39;s&#39; &#x27;t&#X27; &apos;u&apos;",
        "&nbsp;&euro;5 &hellip; &eacute;&uuml;&szlig; &copy; &laquo;x&raquo;",
        "&amp;lt; stays the text",
        "1 < 2 and 3 > 2, <3, a<b",
        "<!DOCTYPE html><html lang=de><body data-x=1>body</body></html>",
        "<b><span>x</span>y</b>z <section\nid='n'>s</section>",
        "我<b>想</b>退款<br>谢谢",
        "no markup at all",
        "",
    ],
)
def test_html_leaves_the_text_that_pythons_parser_finds(page):
    parser = Words()
    parser.feed(page)
    parser.close()
    # The parser takes what follows a "<" before a letter for a tag, to the end of the text if need be; we do not.
    wanted = "".join(parser.words) if "a<b" not in page else page
    assert apply("strip_html", page).split() == wanted.replace("\u00a0", " ").split()


def test_an_entity_that_is_not_common_stays():
    assert apply("strip_html", "&Ouml; &check; &nosuch; &#9731; AT&T; a&b") == "Ö &check; &nosuch; &#9731; AT&T; a&b"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("see https://example.com/a?b=1&c=(2)#d, thanks", "see url, thanks"),
        ("HTTP://EXAMPLE.COM.", "url."),
        ("(www.example.de/x)", "(url)"),
        ("请看https://example.com/a谢谢", "请看url谢谢"),
        ("https://de.example.org/wiki/Übung!", "url!"),
        ("ftp://a.example/b.zip and http://10.0.0.1:8080/x_y", "url and url"),
        ("http 2.0, www and example.com", "http 2.0, www and example.com"),
        ("<https://a.example>", "<url>"),
    ],
)
def test_web_addresses_are_masked(text, masked):
    assert apply("mask_urls", text) == masked


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to jo.e+x_1@mail.example.com.", "write to email."),
        ("联系我joe@example.com。", "联系我email。"),
        ("müller@köln.example, a@b.c", "email, email"),
        ("@joe a@b joe@ x @ y.z", "@joe a@b joe@ x @ y.z"),
    ],
)
def test_email_addresses_are_masked(text, masked):
    assert apply("mask_emails", text) == masked


@pytest.mark.parametrize(
    ("text", "options", "masked"),
    [
        ("order 12345 of 2024-01-31 at 10:30", {}, "order number of number at number"),
        ("1,234.50 or 1.234,50 or 1'234", {}, "number or number or number"),
        ("call 0170-123 456.", {}, "call number number."),
        ("mp3, A4, 3rd, B2B and x1", {}, "mp3, A4, 3rd, B2B and x1"),
        ("订单12345号 ١٢٣ १२", {}, "订单number号 number number"),
        ("€5 5% -7", {}, "€number number% -number"),
        ("12 123 1234 12345", {"digits": 4}, "12 123 number number"),
        ("pay 5", {"word": "<n>"}, "pay <n>"),
    ],
)
def test_numbers_are_masked(text, options, masked):
    assert apply("mask_numbers", text, **options) == masked


def test_another_word_may_stand_in_their_place():
    assert apply("mask_urls", "see www.a.example", word="[link]") == "see [link]"
    assert apply("mask_emails", "a@b.example", word="") == ""


def test_an_impossible_number_of_digits_is_named_with_its_bounds():
    with pytest.raises(SpecError, match="mask_numbers: digits is 0; it must be between 1 and 1000"):
        apply("mask_numbers", "", digits=0)


HOSTILE = [
    "<",
    "<a ",
    '<a "',
    "<a '\"",
    "<!--",
    "<script>",
    "&",
    "&#",
    "http://",
    "www.",
    "a@",
    "a.",
    "1",
    "1-",
    "(",
    "e\u0301",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_100_000_characters_takes_long(name):
    for piece in HOSTILE:
        start = time.process_time()
        apply(name, (piece * 100_000)[:100_000])
        assert time.process_time() - start < 2, f"{piece!r} again and again"
