"""What a cell's text says, and where: YAML 1.2, each value with its line and column."""

import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.spec.parse import parse, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("3", 3),
        ("-3.5", -3.5),
        ("1_000", 1000),
        ("012", 12),
        ("0x10", 16),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("10%", "10%"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("'3'", "3"),
        ('"a\\tb"', "a\tb"),
        ("[0.5, .5]", [0.5, 0.5]),
        ("{width: 16}", {"width": 16}),
        ("${lr}", "${lr}"),
        ("SELECT image, label FROM t WHERE n > 3 -- # no", "SELECT image, label FROM t WHERE n > 3 --"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_value_has_its_line_and_column():
    marks = parse("task: x\ntrain:\n  epochs: 10\n  betas: [0.9, 0.999]\nsteps:\n- resize: 32\n- flip\n").marks
    place = {path: (mark.line, mark.column) for path, mark in marks.values.items()}
    assert place["task",] == (1, 7)
    assert place["train", "epochs"] == (3, 11)
    assert place["train", "betas", 1] == (4, 16)
    assert place["steps", 0, "resize"] == (6, 11)
    assert place["steps", 1] == (7, 3)
    assert (marks.keys["steps", 0, "resize"].line, marks.keys["steps", 0, "resize"].column) == (6, 3)


def test_a_missing_value_has_the_place_of_its_key():
    marks = parse("model:\n\n\ntask: x\n").marks
    assert (marks.values["model",].line, marks.values["model",].column) == (1, 1)


def test_lines_count_from_where_the_text_starts_in_the_cell():
    with pytest.raises(SpecError) as caught:
        parse("a: 1\na: 2\n", first_line=2)
    assert str(caught.value) == "line 3, column 1: the key 'a' is written twice; the first is in line 2."


def test_windows_line_ends_and_a_byte_order_mark_change_nothing():
    parsed = parse("\ufeffa: 1\r\nb:\r\n  c: x\r\n")
    assert parsed.value == {"a": 1, "b": {"c": "x"}}
    assert parsed.marks.values["b", "c"].line == 3


def test_a_variable_stands_inside_braces_and_brackets():
    assert parse("a: {lr: ${lr}, list: [${x}, 1]}").value == {"a": {"lr": "${lr}", "list": ["${x}", 1]}}


def test_a_query_may_run_over_several_lines():
    folded = parse("train: >\n  SELECT image, label\n  FROM products\n").value["train"]
    plain = parse("train: SELECT image, label\n  FROM products\n").value["train"]
    assert folded.strip() == plain == "SELECT image, label FROM products"
