"""`%sparknn` and `%%sparknn`: read the line, call the function that scripts call, bind a name. No logic of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Dict, Unicode, observe

from sparknn_magic.errors import SparkNNError, SpecError, UnknownName, did_you_mean
from sparknn_magic.notebook import completion, help
from sparknn_magic.notebook.help_magics import HelpMagics
from sparknn_magic.notebook.look_magics import LookMagics
from sparknn_magic.notebook.new_magics import NewMagics
from sparknn_magic.notebook.predict_magics import PredictMagics
from sparknn_magic.notebook.words import Line, read_line
from sparknn_magic.settings import choose, models_folder

if TYPE_CHECKING:
    from sparknn_magic.model import Model


class Interrupted(SparkNNError):  # noqa: N818  (the word that the cell shows)
    """The user has interrupted the cell; what was done up to then is kept."""


@magics_class
class SparkNNMagics(HelpMagics, LookMagics, PredictMagics, NewMagics, Magics):
    """Train, score and inspect neural networks on Spark."""

    shell: InteractiveShell  # always given to an extension's magics

    runs = Unicode(help="Folder of prepared data, checkpoints and reports.").tag(config=True)
    models = Unicode(help="Folder of the models that name no other.").tag(config=True)
    train = Dict(help="What a cell's `train:` has where it says nothing, such as {'workers': 2}.").tag(config=True)

    @observe("runs", "models", "train")
    def _set(self, change: Any) -> None:
        choose(**{change["name"]: change["new"] or None})

    @no_var_expand
    @line_cell_magic
    def sparknn(self, line: str, cell: str | None = None) -> None:
        """Train and run neural networks on Spark; `%sparknn help` lists the commands."""
        read = read_line(line, has_body=cell is not None)
        body = cell or ""
        try:
            getattr(self, f"_{read.command.replace('-', '_')}")(read, body)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{read.command} was interrupted.",
                hint="Finished epochs are kept: run the cell again to go on." if read.command == "train" else None,
            ) from None
        except SparkNNError as error:
            error.point_at(body, self._first_line(body))
            raise

    sparknn.__doc__ = help.docstring()  # what `%%sparknn?` shows

    def _train(self, line: Line, body: str) -> None:
        from sparknn_magic import run
        from sparknn_magic.notebook.background import in_background
        from sparknn_magic.notebook.display import progress, show
        from sparknn_magic.sessions import session
        from sparknn_magic.show.html import plan_html
        from sparknn_magic.show.text import plan_text
        from sparknn_magic.spec.experiment import Experiment
        from sparknn_magic.spec.resolve import resolve

        name, names, first = line.name(), self._variables(), self._first_line(body)
        experiment = Experiment.parse(body, first_line=first, name=name, overrides=line.overrides, variables=names)
        resolve(experiment)  # a wrong name is told at once, before Spark is started
        if "--dry-run" in line.flags:
            spark = session()
            plan = in_background(spark, lambda _: run.dry_run(experiment, spark=spark, variables=names))
            show(plan_html(plan), plan_text(plan))
            return
        view = progress(self.shell, name, experiment.train.epochs)
        asked: dict[str, Any] = {
            "variables": names,
            "runs": line.options.get("--runs"),
            "fresh": "--fresh" in line.flags,
            "stop": view.stop,
        }
        try:
            spark = session()
            model = in_background(spark, lambda tell: run.train(experiment, spark=spark, on_event=tell, **asked), view)
        except BaseException as error:
            view.fail(interrupted=isinstance(error, KeyboardInterrupt))
            raise
        self.shell.user_ns[name] = model
        view.finish(model)

    def _lr_find(self, line: Line, body: str) -> None:
        from sparknn_magic.lr_finder import lr_find, read_plan
        from sparknn_magic.notebook.background import in_background
        from sparknn_magic.notebook.display import sweep_progress
        from sparknn_magic.sessions import session
        from sparknn_magic.spec.experiment import Experiment
        from sparknn_magic.spec.resolve import resolve

        name, names, first = line.name(), self._variables(), self._first_line(body)
        asked: dict[str, Any] = read_plan(line.options)
        asked |= {"variables": names, "runs": line.options.get("--runs"), "fresh": "--fresh" in line.flags}
        experiment = Experiment.parse(body, first_line=first, name=name, overrides=line.overrides, variables=names)
        resolve(experiment)  # a wrong name is told at once, before Spark is started
        view = sweep_progress(self.shell, name)
        try:
            spark = session()
            found = in_background(spark, lambda tell: lr_find(experiment, spark=spark, on_event=tell, **asked), view)
        except BaseException as error:
            view.fail(interrupted=isinstance(error, KeyboardInterrupt))
            raise
        self.shell.user_ns[f"{name}_lr"] = found
        view.replace(found)

    def _evaluate(self, line: Line, body: str) -> None:
        from sparknn_magic.notebook.background import in_background
        from sparknn_magic.notebook.display import show
        from sparknn_magic.show.html import metrics_html
        from sparknn_magic.show.text import metrics_table

        model, names = self._model(line.name()), self._variables()
        rows = body if body.strip() else None
        metrics = in_background(model.spark, lambda _: model.evaluate(rows, variables=names))
        show(metrics_html(metrics), metrics_table(metrics))

    def _load(self, line: Line, body: str) -> None:
        from sparknn_magic.model import load
        from sparknn_magic.notebook.display import show

        model = load(line.name(), register=False)
        name = line.names[1] if len(line.names) > 1 else model.name
        self.shell.user_ns[name] = model.register(name)
        show(model._repr_html_(), repr(model))

    def _zoo(self, line: Line, body: str) -> None:
        from sparknn_magic.notebook.display import show
        from sparknn_magic.show.zoo_listing import zoo

        what = line.names[0] if line.names else None
        found = zoo(what, size=line.options.get("--size"), source=line.options.get("--source"))
        show(found._repr_html_(), repr(found))

    def _show(self, line: Line, body: str) -> None:
        from sparknn_magic.bundle.folder import read_bundle
        from sparknn_magic.notebook.display import show
        from sparknn_magic.show.html import model_html
        from sparknn_magic.show.text import model_text

        if "--examples" in line.options and "--graph" in line.flags:
            raise SpecError("show: --examples or --graph, not both in one line.")
        if "--examples" in line.options:
            self._examples(line)
            return
        model, folder = self._find(line.name())
        if "--graph" in line.flags:
            self._graph(model if model is not None else folder)
        elif model is not None:
            show(model._repr_html_(), repr(model))
        elif folder is not None:  # looking at a model takes no Spark
            meta = read_bundle(folder)
            show(model_html(meta), model_text(meta))

    def _graph(self, model: Any) -> None:
        from sparknn_magic.graphing import graph
        from sparknn_magic.notebook.display import show

        found = graph(model)
        show(found._repr_html_(), repr(found))

    def _examples(self, line: Line) -> None:
        from sparknn_magic.notebook.background import in_background
        from sparknn_magic.notebook.display import show

        model, count, names = self._model(line.name()), line.options["--examples"], self._variables()
        found = in_background(model.spark, lambda _: model.examples(count, variables=names))
        show(found._repr_html_(), repr(found))

    def _explain(self, line: Line, body: str) -> None:
        from sparknn_magic.explaining import explain
        from sparknn_magic.notebook.background import in_background
        from sparknn_magic.notebook.display import show

        model, count, rows = self._model(line.name()), line.options.get("--examples", 6), body.strip() or None
        names = self._variables()
        found = in_background(model.spark, lambda _: explain(model, rows, count=count, variables=names))
        show(found._repr_html_(), repr(found))

    def _variables(self) -> dict[str, Any]:
        return self.shell.user_ns

    def _first_line(self, body: str) -> int:
        """Return the number that the notebook gives the body's first line: the magic's own line is above it.

        IPython takes away empty lines on top of a cell, which the notebook counts.
        """
        history = self.shell.history_manager
        raw: str = history.input_hist_raw[-1] if history is not None else ""
        blank = len(raw[: len(raw) - len(raw.lstrip())].splitlines())
        return 2 + (blank if raw.rstrip().endswith(body.rstrip()) and raw.lstrip().startswith("%%") else 0)

    def _model(self, name: str) -> "Model":
        """Return the notebook's model of this name, else the one in the folder of this name or of models/NAME."""
        from sparknn_magic.model import load

        model, folder = self._find(name)
        return model if model is not None else load(folder)  # type: ignore[arg-type]

    def _find(self, name: str) -> "tuple[Model | None, Path | None]":
        from sparknn_magic.bundle.folder import META
        from sparknn_magic.model import Model

        found = self.shell.user_ns.get(name)
        if isinstance(found, Model):
            return found, None
        folder = next((f for f in (Path(name), models_folder() / name) if (f / META).is_file()), None)
        if folder is not None:
            return None, folder
        if found is not None:
            raise UnknownName(f"'{name}' is a {type(found).__name__}, not a trained model.")
        known = [
            key for key, value in self.shell.user_ns.items() if isinstance(value, Model) and not key.startswith("_")
        ]
        known += [path.parent.name for path in models_folder().glob(f"*/{META}")]
        raise UnknownName(
            f"there is no trained model named '{name}'.{did_you_mean(name, known)}",
            hint=f"`%%sparknn train {name}` makes one, `%sparknn load FOLDER` reads one.",
        )


def load(shell: InteractiveShell) -> None:
    """Give a shell the magics, their completion, and `%%sparknn` lines without a body; done again, it has them once."""
    shell.register_magics(SparkNNMagics)
    completion.register(shell)
    help.register(shell.input_transformer_manager.line_transforms)


def unload(shell: InteractiveShell) -> None:
    """Take them away again."""
    completion.unregister(shell)
    help.unregister(shell.input_transformer_manager.line_transforms)
    for magics in shell.magics_manager.magics.values():
        magics.pop("sparknn", None)
