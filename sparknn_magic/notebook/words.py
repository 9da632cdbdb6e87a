"""The words after `%sparknn`: a command, its names, its flags and `key.path=value` overrides."""

import re
import shlex
import textwrap
from dataclasses import dataclass, field

from sparknn_magic.errors import SpecError, did_you_mean
from sparknn_magic.show.words import PAGE


@dataclass(frozen=True)
class Command:
    """What a command takes."""

    usage: str
    about: str
    names: tuple[int, int]  # how many plain words, at least and at most
    flags: tuple[str, ...] = ()  # without a value
    options: tuple[str, ...] = ()  # with a value
    overrides: bool = False
    body: str = "no"  # whether a cell's body is needed: "yes", "may" or "no"


COMMANDS = {
    "train": Command(
        "%%sparknn train NAME [--dry-run] [--fresh] [--runs FOLDER] [key.path=value ...]",
        "train the experiment of the cell's body",
        (1, 1),
        flags=("--dry-run", "--fresh"),
        options=("--runs",),
        overrides=True,
        body="yes",
    ),
    "lr-find": Command(
        "%%sparknn lr-find NAME [--steps N] [--start RATE] [--end RATE] [--runs FOLDER] [key.path=value ...]",
        "look for a learning rate for the experiment of the cell's body; binds NAME_lr",
        (1, 1),
        flags=("--fresh",),
        options=("--steps", "--start", "--end", "--runs"),
        overrides=True,
        body="yes",
    ),
    "predict": Command(
        "%%sparknn predict NAME --into VAR [--show N] [--mode permissive|dropmalformed|failfast] [--column COLUMN]"
        " [--stream [--once] [--checkpoint FOLDER]]",
        "score the rows of the body: SQL, a table, a view, a DataFrame's name or a path; with --stream those that "
        "arrive later too, into a table (--into TABLE)",
        (1, 1),
        flags=("--stream", "--once"),
        options=("--into", "--show", "--mode", "--column", "--checkpoint"),
        body="yes",
    ),
    "evaluate": Command(
        "%%sparknn evaluate NAME",
        "measure the model on the labelled rows of the body; without a body, on its own test rows",
        (1, 1),
        body="may",
    ),
    "load": Command("%sparknn load FOLDER [NAME]", "read a model folder and bind it to its name", (1, 2)),
    "zoo": Command(
        "%sparknn zoo [TASK or KIND] [--size small|medium|large] [--source NAME]",
        "list the plugins: architectures, preprocessors, ...",
        (0, 1),
        options=("--size", "--source"),
    ),
    "show": Command(
        "%sparknn show NAME [--examples N | --graph]",
        "show a trained model: metrics, settings, parity; or N of its test rows with what it says of them; or its "
        "network, drawn",
        (1, 1),
        flags=("--graph",),
        options=("--examples",),
    ),
    "explain": Command(
        "%%sparknn explain NAME [--examples N]",
        "show the most confident mistakes on the rows of the body, and what in each picture or text the answer hangs "
        "on; without a body, on the model's own test rows",
        (1, 1),
        options=("--examples",),
        body="may",
    ),
    "preview": Command(
        "%%sparknn preview [--rows N] [--page FILE] [key.path=value ...]",
        "look at the rows of the body's experiment before training: classes, sizes, copies, broken rows, columns, and "
        "a few of them after preprocess and augment; task and data are enough",
        (0, 0),
        options=("--rows", "--page"),
        overrides=True,
        body="yes",
    ),
    "compare": Command(
        "%sparknn compare NAME NAME ... [--on ROWS] [--page FILE]",
        "put 2 to 8 models of one task side by side, and test each pair on the same rows: those that they were "
        "evaluated on, or those of --on or of a body",
        (2, 8),
        options=("--on", "--page"),
        body="may",
    ),
    "runs": Command(
        "%sparknn runs [NAME] [--runs FOLDER]",
        "list the runs that the run folder keeps, or show one with its whole experiment",
        (0, 1),
        options=("--runs",),
    ),
    "init": Command(
        "%sparknn init TASK [--from ROWS]",
        "put a cell to start from below: sensible settings for the task, with comments",
        (1, 1),
        options=("--from",),
    ),
    "new": Command(
        "%sparknn new [TASK]",
        "open a form: task, rows, columns, model and a few knobs; its button writes the cell below",
        (0, 1),
    ),
    "help": Command(
        "%sparknn help [COMMAND, PLUGIN or keys]",
        "a command; a plugin's options, shapes, source and an example; all keys of a cell",
        (0, 1),
    ),
}


HELP = {"--help", "-h"}


@dataclass(frozen=True)
class Line:
    """A magic line, read."""

    command: str
    names: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    options: dict[str, str] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)

    def name(self) -> str:
        """Return the first name."""
        return self.names[0]


def read_line(line: str, *, has_body: bool) -> Line:
    """Read the words of a magic line.

    Raises: SpecError for an unknown command or option, a missing name or a missing body, with the usage.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise SpecError(f"the line cannot be read: {str(error).lower()}.") from error
    if not words and has_body:
        raise SpecError(
            "a command is missing: what is to be done with the body?", hint=f"Commands: {', '.join(COMMANDS)}."
        )
    if not words or words[0] in HELP:
        return Line("help")
    command, rest = words[0], words[1:]
    if command not in COMMANDS:
        listed = ", ".join(COMMANDS)
        raise SpecError(
            f"there is no command '{command}'.{did_you_mean(command, COMMANDS)}", hint=f"Commands: {listed}."
        )
    if HELP & set(rest):
        return Line("help", [command])
    known = COMMANDS[command]
    found = _sort(command, known, rest)
    low, high = known.names
    if len(found.names) < low:
        raise SpecError(f"{command}: a name is missing.", hint=f"Usage: {known.usage}")
    if len(found.names) > high:
        raise SpecError(f"{command}: '{found.names[high]}' is one word too many.", hint=_too_many(known, found))
    if known.body == "yes" and not has_body:
        raise SpecError(
            f"{command} needs a body: {known.about}.", hint=f"Usage: {known.usage}, with two %, then the body."
        )
    if known.body == "no" and has_body:
        raise SpecError(f"{command} takes no body.", hint=f"Usage: {known.usage}, with one %.")
    return found


def _too_many(known: Command, found: Line) -> str:
    # `train.optimizer={adamw: {lr: 0.1}}` is four words, unless it is quoted.
    if found.overrides:
        return "A value with blanks needs quotes around the word: 'key.path={adamw: {lr: 0.1}}'."
    return f"Usage: {known.usage}"


def _sort(command: str, known: Command, words: list[str]) -> Line:
    """Tell names, flags, options with a value and overrides from each other."""
    found = Line(command)
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            if name in known.flags and not equals:
                found.flags.add(name)
            elif name in known.flags:
                raise SpecError(f"{command}: {name} takes no value.", hint=f"Usage: {known.usage}")
            elif name in known.options:
                _set_option(found, known, name, value if equals else next(rest, None))
            else:
                choices = (*known.flags, *known.options)
                message = f"{command} has no option '{name}'.{did_you_mean(name, choices)}"
                raise SpecError(message, hint=f"Usage: {known.usage}")
        elif equals and known.overrides:
            found.overrides.append(word)
        else:
            found.names.append(word)
    return found


def _set_option(found: Line, known: Command, name: str, value: str | None) -> None:
    if not value or value.startswith("--"):
        raise SpecError(f"{found.command}: {name} needs a value.", hint=f"Usage: {known.usage}")
    if name in found.options:
        raise SpecError(f"{found.command}: {name} is given twice.", hint=f"Usage: {known.usage}")
    found.options[name] = value


def wrapped(text: str, indent: str) -> str:
    """Return text in lines of a page, those after the first indented; what stands in brackets stays together."""
    whole = re.sub(r"\[[^][]*]", lambda found: found[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(whole, PAGE - len(indent), break_long_words=False, break_on_hyphens=False)
    return f"\n{indent}".join(lines).replace("\0", " ")


def usage() -> str:
    """Return the list of commands."""
    lines = [f"  {wrapped(c.usage, ' ' * 8)}\n      {wrapped(c.about, ' ' * 6)}" for c in COMMANDS.values()]
    return "sparknn-magic: train and run neural networks on Spark\n\n" + "\n".join(lines)
