"""What the shell and the notebook say when they are asked for help."""

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from sparknn_magic import cli, registry
from sparknn_magic.errors import SpecError, UnknownName
from sparknn_magic.notebook.help import EXAMPLES, OPTIONS, command_help, docstring, help_for, one_line
from sparknn_magic.notebook.words import COMMANDS, read_line
from sparknn_magic.show.keys import keys_help
from sparknn_magic.show.words import PAGE
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import DataSpec
from sparknn_magic.spec.training import TrainSpec
from sparknn_magic.spec.words import known_keys


@pytest.fixture
def shell():
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "sparknn_magic")
    yield shell
    InteractiveShell.clear_instance()


def said(shell, capsys, cell: str) -> str:
    done = shell.run_cell(cell)
    if done.error_in_exec:
        raise done.error_in_exec
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_every_command_is_explained(command):
    text = command_help(command)
    known = COMMANDS[command]
    assert " ".join(text.split()).startswith(known.usage)
    assert max(map(len, text.split("\n"))) <= PAGE
    for word in (*known.flags, *known.options):
        assert OPTIONS.get(command, {}).get(word) or OPTIONS[""].get(word), f"{command} {word} is not explained"
        assert f"  {word} " in text


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_example_of_a_command_is_a_line_that_it_takes(command):
    first, _, body = EXAMPLES[command].partition("\n")
    words = first.lstrip("%").removeprefix("sparknn ")
    assert read_line(words, has_body=bool(body)).command == command
    if command in ("train", "lr-find"):
        Experiment.parse(body)


@pytest.mark.parametrize("body", ["", "\n", "\ntask: image-classification\nmodel: resnet8\n"])
def test_a_command_s_help_is_shown_with_and_without_a_body(shell, capsys, body):
    for cell in (f"%%sparknn train --help{body}", f"%%sparknn train fashion -h{body}"):
        text = said(shell, capsys, cell)
        assert text.startswith("%%sparknn train NAME")
        assert "--dry-run       check everything, train nothing, show the plan" in text
    assert said(shell, capsys, "%sparknn help train") == text
    assert said(shell, capsys, "%sparknn train --help") == text


def test_a_cell_of_one_line_is_told_what_is_missing_in_our_words(shell, capsys):
    with pytest.raises(SpecError, match="train needs a body"):
        said(shell, capsys, "%%sparknn train fashion")
    assert "sparknn-magic: train and run neural networks on Spark" in said(shell, capsys, "%%sparknn")
    assert one_line(["%%sparknn_other x"]) == ["%%sparknn_other x"]
    assert one_line(["%%sparknn train x\n", "task: y\n"]) == ["%%sparknn train x\n", "task: y\n"]


def test_a_question_mark_shows_all_commands(shell):
    for name in ("%%sparknn", "%sparknn"):
        shown = shell.object_inspect_mime(name)["text/plain"]
        assert all(command.usage in " ".join(shown.split()) for command in COMMANDS.values())
        assert "%%sparknn train fashion" in shown
    assert "Tab completes" in docstring()


def test_help_of_a_plugin_has_options_with_type_default_and_range_source_and_a_cell():
    text = help_for("resnet18")
    for words in (
        "float32[B, C, H, W] -> logits float32[B, outputs]",
        "a whole number greater than 0",
        "'auto', 'cifar' or 'imagenet'",
        "licence       Apache-2.0",
        "arXiv:1512.03385",
        "%%sparknn train my_model",
    ):
        assert words in text


def test_help_of_keys_has_every_key_of_a_cell():
    text = keys_help()
    keys = [
        *known_keys(Experiment),
        *(f"data.{k}" for k in known_keys(DataSpec)),
        *(f"train.{k}" for k in known_keys(TrainSpec)),
    ]
    assert all(f"  {key} " in text for key in keys)
    assert max(map(len, text.split("\n"))) <= 124
    assert help_for("keys") == text


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("resnet81", "resnet18"), ("trian", "train"), ("image-clasification", "image-classification")],
)
def test_help_for_a_misspelt_word_names_the_nearest(asked, nearest):
    with pytest.raises(UnknownName, match=f"Did you mean '{nearest}'"):
        help_for(asked)


def test_init_prints_the_cell_where_there_is_no_next_cell(shell, capsys):
    text = said(shell, capsys, "%sparknn init image-classification --from products")
    assert text.startswith("%%sparknn train my_model\ntask: image-classification\ndata:\n  train: products ")
    with pytest.raises(UnknownName, match="Did you mean 'text-embedding'"):
        said(shell, capsys, "%sparknn init text-embeding")


def test_unloading_takes_the_magics_completion_and_transformer_away(shell):
    shell.run_line_magic("reload_ext", "sparknn_magic")
    assert [m.matcher_identifier for m in shell.Completer.custom_matchers] == ["sparknn"]
    assert shell.input_transformer_manager.line_transforms.count(one_line) == 1
    shell.run_line_magic("unload_ext", "sparknn_magic")
    assert shell.Completer.custom_matchers == []
    assert one_line not in shell.input_transformer_manager.line_transforms
    assert shell.find_cell_magic("sparknn") is None
    shell.run_line_magic("load_ext", "sparknn_magic")
    assert shell.find_cell_magic("sparknn") is not None


def test_the_shells_door_has_the_same_helps(capsys):
    def run(*words: str) -> str:
        assert cli.main(words) == 0
        return capsys.readouterr().out

    assert run("help", "resnet18") == help_for("resnet18")
    assert run("help", "keys") == keys_help().replace("`%sparknn ", "`sparknn ")
    assert "`sparknn zoo tasks` lists them" in " ".join(run("schema").split())
    assert "`%" not in run("init", "image-classification") + run("zoo", "tasks")
    assert "--dry-run" in run("help", "train")
    assert run("help").startswith("usage: sparknn")
    assert run("init", "text-classification", "--from", "tickets").startswith(
        "task: text-classification\ndata:\n  train: tickets"
    )
    for word in cli.COMMANDS:
        with pytest.raises(SystemExit) as ended:
            cli.main([word, "--help"])
        assert ended.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: sparknn {word}")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["train", "x.yaml", "--dri-run"], "train has no option '--dri-run'. Did you mean '--dry-run'?"),
        (["predict", "m", "t", "--into", "x", "--overwite"], "Did you mean '--overwrite'?"),
        (["zoo", "a", "b"], "zoo: 'b' is one word too many."),
        (
            ["predict", "m", "t", "--into", "x", "--page", "p.html"],
            "a file for the rows of --show N, and there are none.",
        ),
        (["predict", "m", "t", "--into", "x", "--page", "p.html", "--show", "0"], "--show N, and there are none."),
        (["help", "trian"], "Did you mean 'train'?"),
        (["init", "image-clasification"], "Did you mean 'image-classification'?"),
        (["init", "image"], "Did you mean 'image-classification'?"),
        (["inti", "x"], "there is no command 'inti'. Did you mean 'init'?"),
        (["zoo", "architecture-s"], "Did you mean 'architectures'?"),
    ],
)
def test_the_shell_names_the_nearest_word(capsys, words, error):
    assert cli.main(words) == 1
    assert error in capsys.readouterr().err


def test_the_shell_tells_its_own_commands_and_where_a_model_of_this_name_is(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["help", "nosuchthing"]) == 1
    assert "\n`sparknn zoo` lists all." in capsys.readouterr().err
    for name in ("fashion", "other"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "bundle.json").write_text("{}")
    for asked in ("fashion", "models/fashoin"):
        assert cli.main(["show", asked]) == 1
        said = f"there is no model in '{asked}' (no bundle.json). Did you mean '{Path('models/fashion')}'?"
        assert said in capsys.readouterr().err


def test_all_plugins_can_be_asked_for():
    assert registry.names("task")
    assert all(help_for(name) for name in registry.names("task"))
