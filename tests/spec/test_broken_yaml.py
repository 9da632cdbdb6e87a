"""Every broken text is answered with line and column and words of ours, in one or two lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparknn_magic.errors import SpecError
from sparknn_magic.spec import Experiment
from sparknn_magic.spec.parse import parse

FULL = """task: image-classification
data: {train: products, validation: 10%}
preprocess:
- resize: 32
model:
  resnet18: {width: 32}
train:
  epochs: 10
  optimizer: {adamw: {lr: 1e-3}}
"""


def message(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "duplicate key": (
            "a: 1\nb: 2\na: 3",
            "line 3, column 1: the key 'a' is written twice; the first is in line 1.",
        ),
        "nested duplicate": (
            "t: {a: 1, a: 2}",
            "line 1, column 11: the key 'a' is written twice; the first is in line 1.",
        ),
        "tab": ("a:\n\tb: 1", "line 2, column 1: a tab cannot indent YAML; use spaces."),
        "tab after spaces": ("a:\n  b: 1\n \tc: 1", "line 3, column 1: a tab cannot indent YAML; use spaces."),
        "double quote": ('a: 1\nb: "x\nc: 2', 'line 2, column 4: this quote (") is never closed.'),
        "single quote": ("a: 'x\nb: 1\n", "line 1, column 4: this quote (') is never closed."),
        "text after quote": (
            'a: "x" y',
            "line 1, column 8: unexpected text after the closing quote or bracket: `y`.",
        ),
        "bracket": ("a: [1, 2\nb: 3", "line 1, column 4: this '[' is never closed; ']' is missing."),
        "brace": (
            "model:\n  resnet18: {width: 32\ntrain:\n  epochs: 1",
            "line 2, column 13: this '{' is never closed; '}' is missing.",
        ),
        "wrong bracket": ("a: [1, 2}", "line 1, column 9: expected ',' or ']' before '}'."),
        "bracket too many": (
            "a: ]",
            "line 1, column 4: this ']' closes nothing; a value that starts with it belongs in quotes.",
        ),
        "no colon": ("task image\ndata: x", "line 1, column 1: 'task image' has no ':' after it; write 'key: value'."),
        "no colon below": ("a: 1\ntrain\nb: 2", "line 2, column 1: 'train' has no ':' after it; write 'key: value'."),
        "second colon": (
            "a: b: c",
            "line 1, column 5: a second ':' in one line. Put the value in quotes, or start a new line.",
        ),
        "indented under a value": (
            "task: x\n  data: y",
            "line 2, column 3: 'data' is indented under a line that already has a value; check the indentation.",
        ),
        "indentation": (
            "train:\n    a: 1\n  b: 2",
            "line 3, column 3: this line's indentation matches no line above it.",
        ),
        "list item among keys": (
            "a:\n  b: 1\n  - c",
            "line 3, column 3: a list item ('- ') stands where 'key: value' is expected; check the indentation.",
        ),
        "list item after key": (
            "a: - b",
            "line 1, column 4: a list item ('- ') cannot start here; start a new line, indented under its key.",
        ),
        "reserved character": ("a: @x", "line 1, column 4: a value cannot start with '@'; put it in quotes."),
        "escape": (
            'a: "\\d"',
            "line 1, column 6: '\\d' means nothing inside double quotes; use single quotes, or write '\\\\d'.",
        ),
        "no character": ('a: 1\nb: "\\U00110000"', "line 2, column 5: '\\U00110000' is not a character."),
        "alias": (
            "a: *x",
            "line 1, column 4: '*x' is a YAML alias, and aliases are not read. Put text in quotes, or repeat it.",
        ),
        "anchor": (
            "a: &x 1",
            "line 1, column 4: '&x' is a YAML anchor, and anchors are not read. Put the text in quotes.",
        ),
        "merge key": (
            "a: 1\n<<: {b: 1}",
            "line 2, column 1: '<<' is a YAML merge key, and merge keys are not read. Repeat the values.",
        ),
        "python tag": (
            "a: !!python/object/apply:os.system [ls]",
            "line 1, column 4: '!!python/object/apply:os.system' is a YAML tag, and tags are not read. "
            "Put the text in quotes.",
        ),
        "binary": (
            "a: !!binary aGk=",
            "line 1, column 4: '!!binary' is a YAML tag, and tags are not read. Put the text in quotes.",
        ),
        "bare bang": (
            "a: !<",
            "line 1, column 4: '!' starts a YAML tag, and tags are not read. Put the text in quotes.",
        ),
        "bar": (
            "a: |x",
            "line 1, column 4: '|' and '>' start a text on the lines below; "
            "a value that begins with one belongs in quotes.",
        ),
        "number as key": ("1: x", "line 1, column 1: a key must be text, not 1. Put it in quotes: '1'."),
        "truth as key": ("true: x", "line 1, column 1: a key must be text, not true. Put it in quotes: 'true'."),
        "empty key": (": x", "line 1, column 1: a key must be text, not empty."),
        "list as key": ("? [a]\n: 1", "line 1, column 3: a key must be text, not a list or a mapping."),
        "two documents": (
            "---\na: 1\n---\nb: 2",
            "line 3, column 1: a second document starts here; write one experiment at a time.",
        ),
        "directive": (
            "# x\n%matplotlib inline\na: 1",
            "line 2, column 1: a line cannot start with '%' here; delete it, or move it to the top of the cell.",
        ),
        "NUL": ("a: 1\nb: \0", "line 2, column 4: the character U+0000 is not allowed in YAML; delete it."),
        "control character": ("a: \x07", "line 1, column 4: the character U+0007 is not allowed in YAML; delete it."),
        "half a surrogate pair": (
            "a: \ud800",
            "line 1, column 4: the character U+D800 is not allowed in YAML; delete it.",
        ),
        "line separator": (
            "a: x\u2028y",
            "line 1, column 5: the character U+2028 is not allowed in YAML; delete it.",
        ),
        "escaped NUL": (
            'a: "\\0"',
            "line 1, column 4: an escape in this text makes the character U+0000, which is not allowed.",
        ),
        "infinity": ("a: .inf", "line 1, column 4: .inf is not a finite number."),
        "not a number": ("a: .nan", "line 1, column 4: .nan is not a finite number."),
        "overflow": ("a: 1e999", "line 1, column 4: 1e999 is not a finite number."),
        "huge integer": (
            "a: " + "9" * 5000,
            f"line 1, column 4: {'9' * 40}... is too large a whole number; at most 9223372036854775807 fits.",
        ),
        "list": (
            "# a list\n- a\n- b",
            "line 2, column 1: an experiment is written as 'key: value' lines; this is a list.\n"
            "Start with `task: image-classification`.",
        ),
        "one word": (
            "resnet18",
            "line 1, column 1: an experiment is written as 'key: value' lines; this is a single value.\n"
            "Start with `task: image-classification`.",
        ),
        "empty": ("", "line 1, column 1: there is nothing here yet.\nStart with `task: image-classification`."),
        "comments alone": (
            "# soon\n\n",
            "line 1, column 1: there is nothing here yet.\nStart with `task: image-classification`.",
        ),
    }.values(),
)
def test_a_broken_text_is_answered_with_its_place_and_the_way_out(text, words):
    assert message(text) == words


YAML_PIECES = ["\n", "  ", "- ", ": ", "{", "}", "[", "]", ", ", '"', "'", "|", ">", "&a ", "*a", "!", "!!str "]
YAML_PIECES += ["#", "%", "@", "`", "? ", "---\n", "...\n", "\t", "${x}", "${", "~", "1e-3", ".inf", "<<", "\\", "\\x"]
YAML_PIECES += ["\x85", "\u2028", "\r", "0x", "|2\n", ">-\n", "!<", "%YAML 1.2\n", "%TAG ! x:\n", "10%", "\0", "\ufeff"]
YAML_PIECES += ["train", "model", "resize", "epochs", "data", "-", "<source>"]


def raises_only_spec_errors(text: str) -> None:
    error = None
    try:
        Experiment.parse(text, variables={"x": 3})
    except SpecError as caught:
        error = caught
    assert error is None or (error.line is not None and error.column is not None)
    assert str(error).count("\n") <= 1


@given(st.text())
@settings(max_examples=150, deadline=None)
def test_any_text_is_an_experiment_or_a_spec_error(text):
    raises_only_spec_errors(text)


@given(st.lists(st.sampled_from(YAML_PIECES), max_size=30).map("".join))
@settings(max_examples=200, deadline=None)
def test_any_pieces_of_yaml_are_an_experiment_or_a_spec_error(text):
    raises_only_spec_errors(text)


@given(
    st.lists(st.tuples(st.integers(0, len(FULL)), st.integers(0, 8), st.sampled_from(YAML_PIECES)), max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_a_damaged_cell_is_an_experiment_or_a_spec_error(cuts):
    text = FULL
    for at, length, piece in cuts:
        text = text[:at] + piece + text[at + length :]
    raises_only_spec_errors(text)
