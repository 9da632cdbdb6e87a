"""What a notebook shows of an error: its message, the cell's line with a mark under the column, the next step."""

from sparknn_magic.errors import SpecError

TEXT = "task: image-classification\ndata: {train: 商品}  # x\nmodel: resnet81"


def shown(line, column, *, text=TEXT, first=2, hint="Take another."):
    error = SpecError("it is wrong.", line=line, column=column, hint=hint)
    error.point_at(text, first)
    (lines,) = error._render_traceback_()
    return lines.splitlines()


def test_the_mark_stands_under_the_column():
    assert shown(4, 8) == [
        "SpecError: line 4, column 8: it is wrong.",
        "    model: resnet81",
        "           ^",
        "Take another.",
    ]
    assert shown(4, 8, hint=None)[-1] == "           ^"


def test_wide_letters_before_the_column_are_as_wide_below():
    line, mark = shown(3, 21)[1:3]
    assert line == "    data: {train: 商品}  # x"
    assert mark == " " * 18 + "\u3000\u3000" + " " * 4 + "^"


def test_of_a_long_line_the_part_around_the_column_is_shown():
    line, mark = shown(2, 301, text="a" * 300 + "b" + "c" * 300)[1:3]
    assert len(line) == 104
    assert line[mark.index("^")] == "b"


def test_an_error_without_a_place_in_the_cell_shows_no_line():
    assert shown(None, None) == ["SpecError: it is wrong.", "Take another."]
    assert shown(1, 3) == ["SpecError: line 1, column 3: it is wrong.", "Take another."]  # the magic's own line
    assert shown(9, 1) == ["SpecError: line 9, column 1: it is wrong.", "Take another."]
    assert shown(4, None)[1:] == ["    model: resnet81", "Take another."]
