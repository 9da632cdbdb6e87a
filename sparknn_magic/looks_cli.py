"""`sparknn preview`, `sparknn compare`, `sparknn explain` and `sparknn runs` in the shell."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_looks(commands: Any) -> None:
    """Add the commands to the parser of the command line."""
    preview = commands.add_parser("preview", help="look at the rows of a YAML file's experiment before training")
    preview.add_argument("file", help="the experiment, as for train; task and data are enough")
    preview.add_argument(
        "overrides", nargs="*", default=[], metavar="key.path=value", help="override a value of the file"
    )
    preview.add_argument("--rows", metavar="N", help="rows to look at where there are more: a sample of them")
    preview.add_argument("--page", metavar="FILE", help="HTML file that the report is written to, with its pictures")

    compare = commands.add_parser("compare", help="put models of one task side by side")
    compare.add_argument("models", nargs="+", help="the models' folders")
    compare.add_argument(
        "--on", metavar="ROWS", help="labelled rows: SQL, a table or a path (default: their test rows)"
    )
    compare.add_argument("--page", metavar="FILE", help="HTML file that the comparison is written to, with its curves")

    explain = commands.add_parser("explain", help="show a classifier's worst mistakes, and what they hang on")
    explain.add_argument("model", help="the model's folder")
    explain.add_argument("rows", nargs="?", help="labelled rows: SQL, a table or a path (default: its own test rows)")
    explain.add_argument("--examples", metavar="N", default="6", help="show so many (default: 6)")
    explain.add_argument("--page", metavar="FILE", help="HTML file that they are written to, with their pictures")

    runs = commands.add_parser("runs", help="list the runs that a run folder keeps, or show one")
    runs.add_argument("name", nargs="?", help="a run to show with its whole experiment: NAME or NAME/1a2b3c")
    runs.add_argument("--runs", help="the run folder (default: sparknn_runs)")


def in_shell(shown: object) -> str:
    """Return what is printed, with the commands that it names as a shell has them: without the notebook's sign."""
    return str(shown).replace("`%sparknn ", "`sparknn ")


def show_preview(read: argparse.Namespace) -> None:
    """Print what is found of the rows."""
    from sparknn_magic.previewing import preview, read_rows
    from sparknn_magic.show.progress import Lines

    found = preview(Path(read.file), rows=read_rows(read.rows), overrides=read.overrides, on_event=Lines())
    print(found)
    _page(found, read.page)


def show_comparison(read: argparse.Namespace) -> None:
    """Print models side by side."""
    from sparknn_magic.comparing import compare

    found = compare(read.models, read.on)
    print(found)
    _page(found, read.page)


def show_reasons(read: argparse.Namespace) -> None:
    """Print mistakes and what they hang on."""
    from sparknn_magic.explaining import explain
    from sparknn_magic.model import load

    found = explain(load(read.model, register=False), read.rows, count=read.examples)
    print(found)
    if read.page:
        Path(read.page).write_text(found.page(), encoding="utf-8")
        print(f"page: {read.page}")


def show_first(read: argparse.Namespace) -> Callable[[Any], None]:
    """Read how many scored rows are to be printed; return what scores them with a model and prints them."""
    from sparknn_magic.errors import SpecError
    from sparknn_magic.looking import look, read_count

    wanted = 0 if read.show is None else read_count(read.show)
    if read.page and not wanted:
        raise SpecError("predict: --page is a file for the rows of --show N, and there are none.")

    def first(model: Any) -> None:
        if not wanted:
            return
        found = look(model, read.rows, count=wanted, column=read.column, mode=read.mode)
        print(found)
        if read.page:
            Path(read.page).write_text(found.page(), encoding="utf-8")
            print(f"page: {read.page}")

    return first


def show_runs(read: argparse.Namespace) -> None:
    """Print the runs of a folder, or one of them."""
    from sparknn_magic.kept_runs import runs

    found: Any = runs(read.runs)
    print(in_shell(found.find(read.name) if read.name else found))


def _page(found: Any, file: str | None) -> None:
    if file:
        print(f"page: {found.save(file)}")
