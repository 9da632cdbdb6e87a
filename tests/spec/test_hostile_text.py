"""Text that is made to be slow or deep is refused in under a second, in one or two lines."""

import time

import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.spec import Experiment
from sparknn_magic.spec.parse import MAX_CHARACTERS

K = MAX_CHARACTERS
HEAD = "task: t\ndata: {train: a}\nmodel: m\n"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{n}: &{n} [{', '.join(['*' + p] * 9)}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
)

TEXTS = {
    "1 MB": ("a: 1\n" * 210_000, "line 1, column 1: this text has 1,050,000 characters; at most 65,536 are read."),
    "aliases that multiply": (BOMB, "line 1, column 4: '&a' is a YAML anchor, and anchors are not read."),
    "brackets": ("a: " + "[" * 60_000, "line 1, column 4: this is nested more than 32 levels deep."),
    "brackets in lines": ("a:\n" + " [\n" * 20_000, "line 2, column 2: this is nested more than 32 levels deep."),
    "brackets between values": ("a: " + "[x," * 20_000, "line 1, column 95: this is nested more than 32 levels deep."),
    "braces": ("{" * 60_000, "line 1, column 1: this is nested more than 32 levels deep."),
    "dashes": ("a:\n" + "- " * 30_000, "line 2, column 63: this is nested more than 32 levels deep."),
    "question marks": ("? " * 30_000, "line 1, column 3: a key must be text, not a list or a mapping."),
    "indentation": (
        "".join(" " * n + "a:\n" for n in range(300)),
        "line 32, column 32: this is nested more than 32 levels deep.",
    ),
    "many items": ("a:\n" + "- x\n" * 15_000, "line 4999, column 3: this text has more than 5,000 values."),
    "many items in brackets": ("a: [" + "x," * 30_000 + "]", "this text has more than 5,000 values."),
    "many keys": (
        HEAD + "".join(f"epochs{n}: 1\n" for n in range(2_400)),
        "line 4, column 1: unknown key 'epochs0'. Did you mean 'train.epochs'? (and many more)",
    ),
    "many wrong steps": (HEAD + "augment:\n" + "- 3\n" * 4_900, "line 5, column 3: augment.0 must be a name"),
    "a long word": (HEAD + "x" * 60_000 + ": 1\n", "line 4, column 1: 'xxxxxxxxxx"),
    "a long value": (HEAD + "name: " + "-" * 60_000, "line 4, column 7: '------"),
    "a quote": (HEAD + 'export: "' + "x\n" * 30_000, 'line 4, column 9: this quote (") is never closed.'),
    "tags": ("!" * 60_000, "line 1, column 1: "),
    "spaces": (" " * 60_000, "line 1, column 1: there is nothing here yet."),
    "comments": ("#\n" * 30_000, "line 1, column 1: there is nothing here yet."),
}


@pytest.mark.parametrize(("text", "words"), TEXTS.values(), ids=TEXTS.keys())
def test_hostile_text_is_refused_within_a_second(text, words):
    start = time.process_time()
    with pytest.raises(SpecError) as caught:
        Experiment.parse(text)
    elapsed = time.process_time() - start
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300
    assert str(caught.value).count("\n") <= 1
    assert elapsed < 1.0


def test_a_list_that_holds_itself_is_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(SpecError, match=r"line 4, column 9: `\$\{x\}` has more than 32 levels\."):
        Experiment.parse(HEAD + "export: ${x}", variables={"x": endless})


def test_a_long_override_is_quoted_in_short():
    with pytest.raises(SpecError) as caught:
        Experiment.parse(HEAD, overrides=["train." + "x" * 100_000 + "=3"])
    assert len(str(caught.value)) < 400
