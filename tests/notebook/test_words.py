"""The line after `%%sparknn`: what is read from it, and what is said when it is wrong."""

import pytest

from sparknn_magic.errors import SpecError
from sparknn_magic.notebook.words import COMMANDS, Line, read_line, usage
from sparknn_magic.show.words import PAGE


def read(line, body=True):
    return read_line(line, has_body=body)


def complaint(line, body=True):
    with pytest.raises(SpecError) as caught:
        read(line, body)
    return str(caught.value)


def test_names_flags_options_and_overrides_in_any_order():
    line = "train --dry-run fashion train.epochs=3 --runs /data/runs model.resnet18.width=16 --fresh"
    assert read(line) == Line(
        "train",
        names=["fashion"],
        flags={"--dry-run", "--fresh"},
        options={"--runs": "/data/runs"},
        overrides=["train.epochs=3", "model.resnet18.width=16"],
    )


def test_an_options_value_follows_it_or_an_equals_sign():
    assert read("predict fashion --into scored").options == {"--into": "scored"}
    assert read("predict fashion --into=scored --mode=failfast").options == {"--into": "scored", "--mode": "failfast"}


def test_quotes_keep_blanks_in_a_word():
    assert read("train fashion 'train.optimizer={adamw: {lr: 0.1}}'").overrides == [
        "train.optimizer={adamw: {lr: 0.1}}"
    ]
    assert read('load "my models/fashion" shoes', body=False).names == ["my models/fashion", "shoes"]


def test_an_equals_sign_is_part_of_the_name_where_nothing_can_be_overridden():
    assert read("load models/lr=0.1", body=False).names == ["models/lr=0.1"]


@pytest.mark.parametrize("line", ["", "  ", "help", "--help", "-h"])
def test_nothing_at_all_asks_for_help(line):
    assert read(line, body=False) == Line("help")


def test_help_on_a_command_needs_neither_name_nor_body():
    assert read("train --help", body=False) == Line("help", ["train"])
    assert read("predict -h") == Line("help", ["predict"])


def test_usage_lists_every_command():
    said = " ".join(usage().split())
    assert all(command.usage in said and command.about in said for command in COMMANDS.values())


def test_the_help_has_lines_of_a_page_and_brackets_stay_whole():
    lines = usage().split("\n")
    assert max(map(len, lines)) <= PAGE
    assert "        [--column COLUMN] [--stream [--once] [--checkpoint FOLDER]]" in lines


TRAIN = "Usage: %%sparknn train NAME [--dry-run] [--fresh] [--runs FOLDER] [key.path=value ...]"
PREDICT = (
    "Usage: %%sparknn predict NAME --into VAR [--show N] [--mode permissive|dropmalformed|failfast] [--column COLUMN]"
    " [--stream [--once] [--checkpoint FOLDER]]"
)
ZOO = "Usage: %sparknn zoo [TASK or KIND] [--size small|medium|large] [--source NAME]"
LISTED = f"Commands: {', '.join(COMMANDS)}."


@pytest.mark.parametrize(
    ("line", "body", "words"),
    [
        ("trian fashion", True, f"there is no command 'trian'. Did you mean 'train'?\n{LISTED}"),
        ("xyz", False, f"there is no command 'xyz'.\n{LISTED}"),
        ("", True, f"a command is missing: what is to be done with the body?\n{LISTED}"),
        ("train", True, f"train: a name is missing.\n{TRAIN}"),
        ("train --dry-run", True, f"train: a name is missing.\n{TRAIN}"),
        ("train a b", True, f"train: 'b' is one word too many.\n{TRAIN}"),
        (
            "train a train.optimizer={adamw: {lr: 0.1}}",
            True,
            "train: '{lr:' is one word too many.\n"
            "A value with blanks needs quotes around the word: 'key.path={adamw: {lr: 0.1}}'.",
        ),
        ("train a --dryrun", True, f"train has no option '--dryrun'. Did you mean '--dry-run'?\n{TRAIN}"),
        ("train a -n", True, f"train has no option '-n'. Did you mean '--runs'?\n{TRAIN}"),
        ("train a --dry-run=yes", True, f"train: --dry-run takes no value.\n{TRAIN}"),
        ("train a --runs", True, f"train: --runs needs a value.\n{TRAIN}"),
        ("predict a --into", True, f"predict: --into needs a value.\n{PREDICT}"),
        ("predict a --into=", True, f"predict: --into needs a value.\n{PREDICT}"),
        ("predict a --into --mode failfast", True, f"predict: --into needs a value.\n{PREDICT}"),
        ("predict a --into x --into y", True, f"predict: --into is given twice.\n{PREDICT}"),
        ("predict a x=1 --into x", True, f"predict: 'x=1' is one word too many.\n{PREDICT}"),
        (
            "train a",
            False,
            f"train needs a body: train the experiment of the cell's body.\n{TRAIN}, with two %, then the body.",
        ),
        ("show a", True, "show takes no body.\nUsage: %sparknn show NAME [--examples N | --graph], with one %."),
        ("zoo a b", False, f"zoo: 'b' is one word too many.\n{ZOO}"),
        ("zoo --all", False, f"zoo has no option '--all'.\n{ZOO}"),
        ("train 'a", True, "the line cannot be read: no closing quotation."),
    ],
)
def test_what_is_said_of_a_wrong_line(line, body, words):
    assert complaint(line, body) == words
