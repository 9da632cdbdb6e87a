"""Text without HTML."""

from html.entities import name2codepoint
from typing import Any

from tokenizers import Regex, normalizers

from sparknn_magic.plugin import preprocessor
from sparknn_zoo.preprocess.texts import TEXT_TASKS

# (?m) lets a dot match the end of a line too. What is not closed goes on to the end of the text, as in a browser.
COMMENT = r"(?m)<!--.*?(?:-->|\z)"
CODE = r"(?im)<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\z)"
INLINE = "a|abbr|b|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|small|span|strike|strong|sub|sup|tt|u|var"
ATTRIBUTES = r"""(?:"[^"]*"|'[^']*'|[^'"<>])*+"""
WITHIN = rf"(?i)</?(?:{INLINE})(?:[\s/]{ATTRIBUTES})?>"
TAG = rf"</?[A-Za-z]{ATTRIBUTES}>|<[!?][^<>]*>"

SIGNS = (
    "lt gt quot nbsp euro pound cent copy reg trade hellip mdash ndash lsquo rsquo ldquo rdquo laquo raquo bull "
    "middot deg"
)
LETTERS = (
    "auml ouml uuml Auml Ouml Uuml szlig agrave aacute acirc egrave eacute ecirc euml Eacute iacute icirc iuml "
    "oacute ocirc uacute ugrave ucirc ccedil ntilde"
)


@preprocessor("strip_html", task=TEXT_TASKS, source="WHATWG, HTML Living Standard, sec. 13.2.5, Tokenization")
def strip_html() -> Any:
    """Text -> the same without tags, comments, scripts and styles, and with characters for the common entities.

    A tag such as <br> or <p> leaves a space; one inside words, such as <b>, nothing. "a < b" stays. Entities: quotes
    and other signs (&amp; &lt; &quot; &nbsp; &euro; &hellip; ...) and the usual letters (&uuml; &eacute; ...), by name
    and by number; others stay as they are.
    """
    removed = [(COMMENT, " "), (CODE, " "), (WITHIN, ""), (TAG, " ")]
    named = [(_entity(name2codepoint[name], name), _character(name)) for name in f"{SIGNS} {LETTERS}".split()]
    last = [(_entity(ord("'"), "apos"), "'"), (_entity(ord("&"), "amp"), "&")]  # &amp;lt; is the text &lt;
    return normalizers.Sequence([normalizers.Replace(Regex(p), text) for p, text in [*removed, *named, *last]])


def _entity(code: int, name: str) -> str:
    return f"&(?:{name}|#0*{code}|#[xX]0*(?i:{code:x}));"


def _character(name: str) -> str:
    return " " if name == "nbsp" else chr(name2codepoint[name])
