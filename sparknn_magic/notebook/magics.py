"""`%sparknn` and `%%sparknn`: read the line, call the function that scripts call, bind a name. No logic of its own."""

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError, SpecError, UnknownName, did_you_mean
from sparknn_magic.notebook.words import COMMANDS, Line, read_line, usage

if TYPE_CHECKING:
    from sparknn_magic.model import Model

SHOWN_ROWS = 5


class Interrupted(SparkNNError):
    """The user has interrupted the cell; what was done up to then is kept."""


@magics_class
class SparkNNMagics(Magics):
    """Train, score and inspect neural networks on Spark."""

    @no_var_expand
    @line_cell_magic
    def sparknn(self, line: str, cell: str | None = None) -> None:
        """Train and run neural networks on Spark; `%sparknn help` lists the commands."""
        read = read_line(line, has_body=cell is not None)
        body = cell or ""
        try:
            getattr(self, f"_{read.command}")(read, body)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{read.command} was interrupted.",
                hint="Finished epochs are kept: run the cell again to go on." if read.command == "train" else None,
            ) from None

    def _train(self, line: Line, body: str) -> None:
        from sparknn_magic import run
        from sparknn_magic.notebook.display import progress, show
        from sparknn_magic.show.html import plan_html
        from sparknn_magic.show.text import plan_text

        name, names = line.name(), self._variables()
        asked: dict[str, Any] = {"name": name, "overrides": line.overrides, "variables": names}
        if "--dry-run" in line.flags:
            plan = run.dry_run(_experiment(body, asked), variables=names)
            show(plan_html(plan), plan_text(plan))
            return
        experiment = _experiment(body, asked)
        view = progress(self.shell, name)
        try:
            model = run.train(
                experiment,
                variables=names,
                on_event=view,
                runs=line.options.get("--runs"),
                fresh="--fresh" in line.flags,
            )
        except BaseException:
            view.fail()
            raise
        self.shell.user_ns[name] = model
        view.finish(model._repr_html_(), repr(model))

    def _predict(self, line: Line, body: str) -> None:
        into = line.options.get("--into")
        if into is None or not into.isidentifier():
            what = f"'{into}' is no variable's name" if into else "say where the rows go"
            raise SpecError(f"predict: {what}.", hint=f"Usage: {COMMANDS['predict'].usage}")
        model = self._model(line.name())
        scored = model.predict(
            body,
            column=line.options.get("--column"),
            mode=line.options.get("--mode", "permissive"),
            variables=self._variables(),
        )
        self.shell.user_ns[into] = scored
        scored.createOrReplaceTempView(into)
        self._show_rows(scored, into)

    def _show_rows(self, scored: Any, into: str) -> None:
        from sparknn_magic.notebook.display import show
        from sparknn_magic.show.rows import rows_html, rows_text

        plain = [f"`{c}`" for c, kind in scored.dtypes if kind in PLAIN_TYPES]
        wanted = [*plain, "prediction.label AS prediction", "round(prediction.score, 4) AS score", "prediction.error AS error"]
        first = [row.asDict() for row in scored.limit(SHOWN_ROWS).selectExpr(*wanted).collect()]
        title = f"{into}: a DataFrame and a view of {len(scored.columns)} columns; its first rows"
        show(rows_html(title, first), rows_text(title, first))

    def _evaluate(self, line: Line, body: str) -> None:
        from sparknn_magic.notebook.display import show
        from sparknn_magic.show.html import metrics_html
        from sparknn_magic.show.text import metrics_table

        model = self._model(line.name())
        metrics = model.evaluate(body if body.strip() else None, variables=self._variables())
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
        from sparknn_magic.show.catalogue import zoo_table
        from sparknn_magic.show.html import zoo_html

        items, failures = registry.select(line.names[0] if line.names else None)
        show(zoo_html(items, failures), zoo_table(items, failures))

    def _show(self, line: Line, body: str) -> None:
        from sparknn_magic.notebook.display import show

        model = self._model(line.name())
        show(model._repr_html_(), repr(model))

    def _help(self, line: Line, body: str) -> None:
        from sparknn_magic.show.catalogue import item_help

        if not line.names:
            print(usage())
        elif line.names[0] in COMMANDS:
            command = COMMANDS[line.names[0]]
            print(f"{command.usage}\n    {command.about}")
        else:
            print(item_help(registry.find(line.names[0])))

    def _variables(self) -> dict[str, Any]:
        return self.shell.user_ns

    def _model(self, name: str) -> "Model":
        """Return the notebook's model of this name, else the one in the folder of this name or of models/NAME."""
        from pathlib import Path

        from sparknn_magic.bundle.folder import META
        from sparknn_magic.model import Model, load

        found = self.shell.user_ns.get(name)
        if isinstance(found, Model):
            return found
        for folder in (Path(name), Path("models") / name):
            if (folder / META).is_file():
                return load(folder)
        if found is not None:
            raise UnknownName(f"'{name}' is a {type(found).__name__}, not a trained model.")
        known = [key for key, value in self.shell.user_ns.items() if isinstance(value, Model) and not key.startswith("_")]
        known += [path.parent.name for path in Path("models").glob(f"*/{META}")]
        raise UnknownName(
            f"there is no trained model named '{name}'.{did_you_mean(name, known)}",
            hint=f"`%%sparknn train {name}` makes one, `%sparknn load FOLDER` reads one.",
        )


PLAIN_TYPES = ("string", "int", "bigint", "smallint", "tinyint", "double", "float", "boolean", "date", "timestamp")


def _experiment(body: str, asked: dict[str, Any]) -> Any:
    """Read the cell; its lines are counted as the notebook shows them, the magic's own line being the first."""
    from sparknn_magic.spec.experiment import Experiment

    return Experiment.parse(body, first_line=2, **asked)
