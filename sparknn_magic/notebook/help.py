"""What `%%sparknn?`, `%sparknn help` and `--help` say: of all commands, of one, of a plugin, of a cell's keys."""

import re
from collections.abc import Callable

from sparknn_magic.notebook.words import COMMANDS, usage, wrapped

# What a command's flags and options mean; those that mean the same everywhere stand under "".
OPTIONS: dict[str, dict[str, str]] = {
    "": {
        "--runs": "folder of prepared data, checkpoints and reports (default: sparknn_runs)",
        "--fresh": "take up neither a checkpoint nor prepared data",
        "key.path=value": "override a value of the body, such as train.epochs=3 or model.resnet18.width=32",
        "--help": "this page",
    },
    "train": {"--dry-run": "check everything, train nothing, show the plan"},
    "lr-find": {
        "--steps": "steps to take at most (default: 200)",
        "--start": "rate of the first step (default: 1e-7)",
        "--end": "rate of the last step (default: 10)",
    },
    "predict": {
        "--into": "variable and view of the scored rows; with --stream the table that they are added to",
        "--show": "first rows to show with their pictures or texts, 0 to 100 (default: 5 as a plain table)",
        "--mode": "rows that cannot be scored: permissive (default: a null and the reason), dropmalformed or failfast",
        "--column": "the input column (default: the one that the model was trained on)",
        "--stream": "score the rows that arrive later too",
        "--once": "with --stream: end when what is there now is scored",
        "--checkpoint": "with --stream: folder by which it goes on where it was",
    },
    "zoo": {
        "--size": "networks alone: small (below 1 million parameters), medium (below 10 million) or large",
        "--source": "a package with plugins, built-in, or notebook",
    },
    "show": {
        "--examples": "how many test rows to show, with what the model says of them",
        "--graph": "the network's blocks, what each gives and takes, and its parameters; needs torch",
    },
    "explain": {"--examples": "how many rows to show, the most confident mistakes first; 6 where it is not given"},
    "preview": {
        "--rows": "rows to look at where there are more: a sample of them, which the report tells",
        "--page": "HTML file that the report is written to",
    },
    "compare": {
        "--on": "labelled rows: a table, a DataFrame, a path or SQL in quotes (default: those of their evaluation)",
        "--page": "HTML file that the comparison is written to",
    },
    "runs": {"--runs": "the run folder (default: sparknn_runs)"},
    "init": {"--from": "table, DataFrame, path or query of the training rows (default: my_table)"},
}

EXAMPLES = {
    "train": """\
%%sparknn train fashion
task: image-classification
data: {train: products, test: products_test}
model: resnet9
train: {epochs: 10}""",
    "lr-find": """\
%%sparknn lr-find fashion --steps 100
task: image-classification
data: {train: products}
model: resnet9""",
    "predict": """\
%%sparknn predict fashion --into scored --show 12
SELECT id, image FROM products_new""",
    "evaluate": """\
%%sparknn evaluate fashion
SELECT image, label FROM products_test""",
    "load": "%sparknn load models/fashion",
    "zoo": "%sparknn zoo image-classification",
    "show": "%sparknn show fashion --examples 12",
    "explain": "%sparknn explain fashion --examples 9",
    "preview": """\
%%sparknn preview
task: image-classification
data: {train: products}
preprocess:
- resize: 32
augment:
- random_horizontal_flip""",
    "compare": "%sparknn compare small large --on products_test",
    "runs": "%sparknn runs fashion",
    "help": "%sparknn help resnet18",
    "init": "%sparknn init image-classification --from products",
    "new": "%sparknn new text-classification",
}


def help_for(name: str | None = None) -> str:
    """Return the help of everything, of a command, of `keys` (what a cell can say), or of a plugin.

    Raises: UnknownName with the nearest of them; PluginError for a plugin that does not load.
    """
    from sparknn_magic.show.topics import topic_help

    if name is None:
        return overview()
    return command_help(name) if name in COMMANDS else topic_help(name, COMMANDS)


def overview() -> str:
    """Return the list of commands, and where more is told."""
    return (
        f"{usage()}\n\n"
        "`%sparknn help COMMAND` or `--help` after it explains a command, `%sparknn help resnet18` a plugin,\n"
        "`%sparknn help keys` what a cell can say; `%sparknn init TASK` writes a cell to start from.\n"
        "Tab completes commands, keys, plugins, their options, tables and columns.\n"
    )


def docstring() -> str:
    """Return what `%%sparknn?` shows."""
    return f"Train and run neural networks on Spark.\n\n{overview()}\nFor example:\n\n{_indented(EXAMPLES['train'])}\n"


def command_help(name: str) -> str:
    """Return a command's usage, what it does, its flags and options, and an example."""
    command = COMMANDS[name]
    own = OPTIONS[""] | OPTIONS.get(name, {})
    words = [*command.flags, *command.options, *(["key.path=value"] if command.overrides else []), "--help"]
    width = max(map(len, words))
    lines = [f"  {word:<{width}}  {wrapped(own.get(word, ''), ' ' * (width + 4))}".rstrip() for word in words]
    parts = [f"{wrapped(command.usage, ' ' * 6)}\n    {wrapped(command.about, ' ' * 4)}", "\n".join(lines)]
    if command.overrides:
        parts.append("`%sparknn help keys` lists the keys of the body, `%sparknn zoo` what can stand there.")
    if name in EXAMPLES:
        parts.append(f"example\n{_indented(EXAMPLES[name])}")
    return "\n\n".join(parts) + "\n"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))


def one_line(lines: list[str]) -> list[str]:
    """Read a `%%sparknn` line without any body as `%sparknn`: IPython calls no cell magic without a body.

    So `%%sparknn train --help` helps, `%%sparknn evaluate NAME` runs, and a body that is missing is told in our words.
    An input transformer: the lines of a cell -> its lines.
    """
    if len(lines) == 1 and re.match(r"%%sparknn(\s|$)", lines[0]):
        return [lines[0][1:]]
    return lines


def register(transformers: list[Callable[[list[str]], list[str]]]) -> None:
    """Put `one_line` before IPython's own transformers, once."""
    unregister(transformers)
    transformers.insert(0, one_line)


def unregister(transformers: list[Callable[[list[str]], list[str]]]) -> None:
    """Take it away, also one that an earlier import of this module has put there."""
    transformers[:] = [t for t in transformers if getattr(t, "__qualname__", "") != one_line.__qualname__]
