"""`sparknn ...` in the shell, also under `spark-submit`: read the words, call the function that notebooks call."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sparknn_magic import __version__
from sparknn_magic.errors import PluginError, SparkNNError, SpecError, did_you_mean
from sparknn_magic.looks_cli import add_looks, in_shell
from sparknn_magic.looks_cli import show_comparison as _compare  # noqa: F401 (found by its name, as all commands are)
from sparknn_magic.looks_cli import show_preview as _preview  # noqa: F401
from sparknn_magic.looks_cli import show_reasons as _explain  # noqa: F401
from sparknn_magic.looks_cli import show_runs as _runs  # noqa: F401

COMMANDS = (
    "train",
    "lr-find",
    "predict",
    "evaluate",
    "zoo",
    "show",
    "preview",
    "compare",
    "explain",
    "runs",
    "init",
    "schema",
    "help",
    "demo",
    "check",
    "new-plugin",
)


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are errors of ours."""

    commands: Any = None  # of the uppermost: what its commands' parsers hang on

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print with its usage."""
        raise SpecError(message[0].lower() + message[1:] + ".", hint=f"`{self.prog} --help` explains.")


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(prog="sparknn", description="Train and run neural networks on Apache Spark.")
    top.add_argument("--version", action="version", version=f"sparknn-magic {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    train = commands.add_parser("train", help="train the experiment of a YAML file")
    train.add_argument("file", help="the experiment, as the body of a `%%%%sparknn train` cell")
    train.add_argument(
        "overrides", nargs="*", default=[], metavar="key.path=value", help="override a value of the file"
    )
    train.add_argument("--name", help="name of the model (default: the file's name)")
    train.add_argument("--dry-run", action="store_true", help="check everything, train nothing, print the plan")
    train.add_argument(
        "--fresh",
        action="store_true",
        help="take up neither the model that is there, nor a checkpoint, nor prepared data",
    )
    train.add_argument("--runs", help="folder of prepared data, checkpoints and reports (default: sparknn_runs)")

    finder = commands.add_parser("lr-find", help="look for a learning rate for the experiment of a YAML file")
    finder.add_argument("file", help="the experiment, as for train")
    finder.add_argument(
        "overrides", nargs="*", default=[], metavar="key.path=value", help="override a value of the file"
    )
    finder.add_argument("--steps", help="steps to take at most (default: 200)")
    finder.add_argument("--start", help="rate of the first step (default: 1e-7)")
    finder.add_argument("--end", help="rate of the last step (default: 10)")
    finder.add_argument("--picture", help="SVG file that the picture is written to")
    finder.add_argument("--runs", help="folder of prepared data (default: sparknn_runs)")

    predict = commands.add_parser("predict", help="score rows with a model")
    predict.add_argument("model", help="the model's folder")
    predict.add_argument("rows", help="SQL, a table, a view or a path")
    predict.add_argument("--into", required=True, help="folder that the scored rows are written to, as Parquet")
    predict.add_argument("--mode", default="permissive", help="permissive, dropmalformed or failfast")
    predict.add_argument("--column", help="the input column (default: the one that the model was trained on)")
    predict.add_argument("--show", metavar="N", help="print so many of the first rows, 0 to 100, with the predictions")
    predict.add_argument("--page", metavar="FILE", help="HTML file that these are written to, with their pictures")
    predict.add_argument("--overwrite", action="store_true", help="replace what is in the --into folder")
    predict.add_argument("--stream", action="store_true", help="score rows as they arrive, until it is interrupted")
    predict.add_argument("--once", action="store_true", help="with --stream: end when what is there now is scored")
    predict.add_argument("--checkpoint", help="with --stream: where it goes on (default: _checkpoint in --into)")

    evaluate = commands.add_parser("evaluate", help="measure a model on labelled rows")
    evaluate.add_argument("model", help="the model's folder")
    evaluate.add_argument("rows", nargs="?", help="SQL, a table, a view or a path (default: its own test rows)")

    zoo = commands.add_parser("zoo", help="list the plugins")
    zoo.add_argument("what", nargs="?", help="a task or a kind, such as image-classification or losses")
    zoo.add_argument("--size", help="small (below 1 million parameters), medium (below 10 million) or large")
    zoo.add_argument("--source", metavar="NAME", help="a package with plugins, or built-in")
    show = commands.add_parser("show", help="show a model: metrics, settings, parity")
    show.add_argument("model", help="the model's folder")
    show.add_argument("--examples", metavar="N", help="show so many of its test rows with what it says of them")
    show.add_argument("--graph", action="store_true", help="show its network's blocks, as a tree; needs torch")
    show.add_argument("--page", metavar="FILE", help="HTML file that the examples are written to, with their pictures")
    add_looks(commands)
    start = commands.add_parser("init", help="print a YAML file to start from, with comments")
    start.add_argument(
        "task", help="what is to be learnt, such as image-classification; `sparknn zoo tasks` lists them"
    )
    start.add_argument("--from", dest="rows", help="table, path or query of the training rows (default: my_table)")
    commands.add_parser(
        "schema",
        help="print the JSON Schema of YAML files, for editors",
        description="Print the JSON Schema of YAML files. After `sparknn schema > sparknn.schema.json` the line "
        "`# yaml-language-server: $schema=sparknn.schema.json` on top of a file has VS Code complete and check it.",
    )
    item = commands.add_parser("help", help="options, shapes and source of one plugin; or a command; or keys")
    item.add_argument("item", nargs="?", help="a plugin's name, a command, or keys: what a file can say")
    demo = commands.add_parser("demo", help="train on a sample, from rows to a report: pictures, text or detect")
    demo.add_argument("what", nargs="?", default="pictures", help="pictures (the default), text or detect")
    demo.add_argument("--runs", help="folder of prepared data, checkpoints and reports (default: sparknn_runs)")

    check = commands.add_parser("check", help="check that every plugin of a package keeps to its contract")
    check.add_argument("package", help="an installed package with plugins")
    new = commands.add_parser("new-plugin", help="write a package of plugins to start from")
    new.add_argument("name", help="the package's name, such as acme-nets")
    new.add_argument("--into", default=".", help="folder that the package's own folder is put into (default: here)")
    top.commands = commands
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 for an error (one or two lines on stderr), 130 for an interrupt."""
    words = list(sys.argv[1:] if words is None else words)
    try:
        if words and not words[0].startswith("-") and words[0] not in COMMANDS:
            raise SpecError(
                f"there is no command '{words[0]}'.{did_you_mean(words[0], COMMANDS)}",
                hint=f"Commands: {', '.join(COMMANDS)}.",
            )
        read = _read(words)
        if read.command is None:
            parser().print_help()
            return 0
        globals()[f"_{read.command.replace('-', '_')}"](read)
    except SparkNNError as error:
        print(f"error: {in_shell(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; finished epochs are kept, and the same command goes on from them", file=sys.stderr)
        return 130
    return 0


def _read(words: list[str]) -> argparse.Namespace:
    top = parser()
    read, rest = top.parse_known_args(words)
    # argparse gives up on `key.path=value` words that stand behind an option.
    takes = read.command in ("train", "lr-find", "preview")
    strange = [word for word in rest if word.startswith("-") or "=" not in word or not takes]
    if strange and read.command is None:
        top.error(f"unrecognized arguments: {' '.join(strange)}")
    if strange:
        raise SpecError(_strange(top, read.command, strange), hint=f"`sparknn {read.command} --help` explains.")
    if rest:
        read.overrides = [*read.overrides, *rest]
    return read


def _strange(top: Parser, command: str, words: list[str]) -> str:
    flag = words[0].partition("=")[0]
    if not flag.startswith("-"):
        return f"{command}: '{words[0]}' is one word too many."
    known = re.findall(r"(?<!\w)--[\w-]+", top.commands.choices[command].format_help())
    return f"{command} has no option '{flag}'.{did_you_mean(flag, known)}"


def _train(read: argparse.Namespace) -> None:
    from sparknn_magic import run
    from sparknn_magic.show.text import plan_text
    from sparknn_magic.spec.experiment import Experiment

    experiment = Experiment.load(Path(read.file), overrides=read.overrides)
    if read.name or experiment.name is None:
        name = read.name or Path(read.file).stem
        experiment = Experiment.load(Path(read.file), overrides=read.overrides, name=name)
    if read.dry_run:
        print(plan_text(run.dry_run(experiment)))
        return
    print(repr(run.train(experiment, runs=read.runs, fresh=read.fresh)))


def _lr_find(read: argparse.Namespace) -> None:
    from sparknn_magic.lr_finder import lr_find, read_plan
    from sparknn_magic.show.figures import figure_svg
    from sparknn_magic.spec.experiment import Experiment

    plan = read_plan({f"--{name}": getattr(read, name) for name in ("steps", "start", "end")})
    experiment = Experiment.load(Path(read.file), overrides=read.overrides)
    found = lr_find(experiment, runs=read.runs, **plan)
    print(found)
    if read.picture:
        Path(read.picture).write_text(figure_svg(found.figure()), encoding="utf-8")
        print(f"picture: {read.picture}")


def _predict(read: argparse.Namespace) -> None:
    if read.stream:
        _stream(read)
        return
    if read.once or read.checkpoint:
        raise SpecError(f"{'--once' if read.once else '--checkpoint'} is for a --stream.")
    from pyspark.errors import AnalysisException

    from sparknn_magic.causes import spark_cause
    from sparknn_magic.looks_cli import show_first

    first, model = show_first(read), _load(read.model)
    scored = model.predict(read.rows, column=read.column, mode=read.mode)
    try:
        scored.write.mode("overwrite" if read.overwrite else "error").parquet(read.into)
    except AnalysisException as error:
        hint = "--overwrite replaces it." if error.getCondition() == "PATH_ALREADY_EXISTS" else None
        raise SpecError(spark_cause(error), hint=hint) from error
    print(f"{scored.sparkSession.read.parquet(read.into).count():,} rows in {read.into}")
    first(model)


def _stream(read: argparse.Namespace) -> None:
    for word in ("overwrite", "show", "page"):
        if getattr(read, word):
            raise SpecError(f"a --stream goes on where it was; --{word} is for rows that are all there.")
    folder = read.into if "://" in read.into else str(Path(read.into).absolute())
    asked = {"column": read.column, "mode": read.mode, "checkpoint": read.checkpoint, "once": read.once}
    found = _load(read.model).stream(read.rows, folder, **asked)
    print(found)
    try:
        found.wait()
    except KeyboardInterrupt:
        found.stop()
        print("stopped; the same command goes on from here", file=sys.stderr)
    print(found)


def _evaluate(read: argparse.Namespace) -> None:
    from sparknn_magic.show.text import metrics_table

    print(metrics_table(_load(read.model).evaluate(read.rows)))


def _zoo(read: argparse.Namespace) -> None:
    from sparknn_magic.show.zoo_listing import zoo

    print(in_shell(zoo(read.what, size=read.size, source=read.source)))


def _show(read: argparse.Namespace) -> None:
    from sparknn_magic.bundle.folder import read_bundle
    from sparknn_magic.show.text import model_text

    if read.graph:
        if read.examples is not None or read.page:
            raise SpecError("show: --graph stands alone, without --examples and --page.")
        from sparknn_magic.graphing import graph

        print(graph(read.model))
        return
    if read.examples is None:
        if read.page:
            raise SpecError("show: --page is a file for --examples, which is missing.")
        print(model_text(read_bundle(read.model)))
        return
    found = _load(read.model).examples(read.examples)
    print(found)
    if read.page:
        Path(read.page).write_text(found.page(), encoding="utf-8")
        print(f"page: {read.page}")


def _init(read: argparse.Namespace) -> None:
    from sparknn_magic.show.starter import ROWS, starter

    print(in_shell(starter(read.task, read.rows or ROWS)), end="")


def _schema(read: argparse.Namespace) -> None:
    from sparknn_magic.spec.json_schema import cell_schema

    print(in_shell(json.dumps(cell_schema(), indent=2)))


def _help(read: argparse.Namespace) -> None:
    from sparknn_magic.show.topics import topic_help

    top = parser()
    if read.item is None or read.item in COMMANDS:
        print(top.format_help() if read.item is None else top.commands.choices[read.item].format_help(), end="")
    else:
        print(in_shell(topic_help(read.item, COMMANDS)), end="")


def _demo(read: argparse.Namespace) -> None:
    from sparknn_magic.demo import demo

    demo(read.what, runs=read.runs)


def _check(read: argparse.Namespace) -> None:
    from sparknn_magic.testing import check_package

    reports, failures = check_package(read.package)
    for failure in failures:
        print(f"{failure.kind} {failure.name}: FAULTY\n  FAULT  {failure.reason}")
    for report in reports:
        print(report)
    faulty = len(failures) + sum(bool(report.faults) for report in reports)
    total = len(failures) + len(reports)
    if faulty:
        raise PluginError(
            f"{faulty} of the {total} plugins of {read.package} {'have' if faulty > 1 else 'has'} faults."
        )
    print(f"all {total} plugins of {read.package} keep to their contracts")


def _new_plugin(read: argparse.Namespace) -> None:
    from sparknn_magic.new_plugin import write_plugin

    folder = write_plugin(read.name, Path(read.into))
    print(f"wrote {folder}; next:\n  pip install -e {folder}\n  sparknn check {read.name}")


def _load(folder: str) -> Any:
    from sparknn_magic.model import load

    return load(folder, register=False)


if __name__ == "__main__":
    sys.exit(main())
