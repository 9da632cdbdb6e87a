import pytest
from ruamel.yaml import YAML

from sparknn_magic.show import words


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.91234, "91.2%"), (1, "100.0%"), (0.99999, "99.9%"), (0, "0.0%"), (0.00001, "<0.1%"), (None, "-")],
)
def test_a_share_is_all_or_nothing_only_where_it_is(share, said):
    assert words.percent(share) == said


@pytest.mark.parametrize(
    ("n", "said"), [(0, "0"), (999, "999"), (1000, "1 k"), (77850, "77.8 k"), (999_600, "1 M"), (11_173_962, "11.2 M")]
)
def test_amounts_have_three_digits(n, said):
    assert words.amount(n) == said


@pytest.mark.parametrize(("n", "said"), [(12, "12 bytes"), (321_456, "321 kB"), (44_712_345, "44.7 MB"), (None, "-")])
def test_sizes_are_in_bytes_and_their_thousands(n, said):
    assert words.size(n) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (59.96, "1 min 00 s"), (200, "3 min 20 s"), (3600, "1 h 00 min"), (7505, "2 h 05 min")],
)
def test_durations_are_in_the_largest_fitting_units(seconds, said):
    assert words.duration(seconds) == said


def test_labels_stay_on_one_line_and_cannot_turn_it_around():
    assert words.plain("two\nlines\t\x1b[31m") == "two\\nlines\\t\\x1b[31m"
    assert words.plain("a\u202eb") == "a\\u202eb"
    assert words.plain("") == "''"
    assert words.plain(" a ") == "' a '"
    assert words.plain("👩\u200d🔬 قميص") == "👩\u200d🔬 قميص"


def test_columns_line_up_where_labels_are_chinese_or_emoji():
    text = words.table([["猫と犬", "1"], ["cat", "22"], ["👟", "333"]], "lr")
    assert text.split("\n") == ["猫と犬    1", "cat      22", "👟      333"]
    assert {words.width(line) for line in text.split("\n")} == {11}


def test_a_long_label_is_cut_with_an_ellipsis_to_the_columns_it_has():
    assert words.shorten("x" * 50, 10) == "x" * 9 + "…"
    assert words.shorten("猫" * 50, 10) == "猫" * 4 + "…"
    assert words.shorten("short", 10) == "short"


def test_a_spec_as_yaml_reads_back_as_itself():
    spec = {"z": [1, {"lr": 1e-3}], "a": {"sql": "SELECT 'x'  -- no\nFROM t", "none": None, "yes": "yes", "on": True}}
    text = words.yaml_text(spec)
    assert YAML(typ="safe").load(text) == spec
    assert text.startswith("z:\n")


def test_a_step_is_written_with_its_options():
    assert words.step_text({"name": "resize", "options": {"size": [28, 32]}}) == "resize {size: [28, 32]}"
    assert words.step_text({"name": "rgb", "options": {}}) == "rgb"
    assert words.step_text({"name": "standardize", "options": {"columns": None}}) == "standardize"


@pytest.mark.parametrize(
    ("x", "said"),
    [(0, "0"), (0.00012345, "0.0001234"), (52.3071, "52.31"), (-0.5, "-0.5"), (123456.7, "123,457"), (3e15, "3e+15")],
)
def test_numbers_of_any_size_have_four_digits(x, said):
    assert words.number(x) == said
