"""`%%sparknn preview`, `%sparknn compare` and `%sparknn runs`: read the line, call the function that scripts call."""

from typing import TYPE_CHECKING, Any

from sparknn_magic.notebook.words import Line


class LookMagics:
    """The commands that look: at rows before training, at models beside each other, at kept runs."""

    if TYPE_CHECKING:
        shell: Any

        def _variables(self) -> dict[str, Any]: ...
        def _first_line(self, body: str) -> int: ...
        def _model(self, name: str) -> Any: ...

    def _preview(self, line: Line, body: str) -> None:
        from sparknn_magic.notebook.background import in_background
        from sparknn_magic.notebook.display import look_progress
        from sparknn_magic.previewing import preview, read_rows, resolve_preview
        from sparknn_magic.sessions import session
        from sparknn_magic.spec.experiment import Experiment

        rows, names, first = read_rows(line.options.get("--rows")), self._variables(), self._first_line(body)
        asked: dict[str, Any] = {"first_line": first, "overrides": line.overrides, "variables": names}
        experiment = Experiment.parse(body, rows_only=True, **asked)
        resolve_preview(experiment)  # a wrong name is told at once, before Spark is started
        view = look_progress(self.shell, str(experiment.data.train.value))
        try:
            spark = session()
            given: dict[str, Any] = {"spark": spark, "rows": rows, "variables": names}
            found = in_background(spark, lambda tell: preview(experiment, on_event=tell, **given), view)
        except BaseException as error:
            view.fail(interrupted=isinstance(error, KeyboardInterrupt))
            raise
        view.replace(found)
        self._write(line, found)

    def _compare(self, line: Line, body: str) -> None:
        from sparknn_magic.comparing import compare
        from sparknn_magic.notebook.background import in_background

        models, names = [self._model(name) for name in line.names], self._variables()
        rows = line.options.get("--on") or (body if body.strip() else None)
        found = in_background(models[0].spark, lambda _: compare(models, rows, variables=names))
        self._looked(line, found)

    def _looked(self, line: Line, found: Any) -> None:
        """Show a report, and write it as a page where the line says so."""
        from sparknn_magic.notebook.display import show

        show(found._repr_html_(), repr(found))
        self._write(line, found)

    def _write(self, line: Line, found: Any) -> None:
        if line.options.get("--page"):
            print(f"page: {found.save(line.options['--page'])}")

    def _runs(self, line: Line, body: str) -> None:
        from sparknn_magic.kept_runs import runs
        from sparknn_magic.notebook.display import show

        found: Any = runs(line.options.get("--runs"))
        if line.names:
            found = found.find(line.name())
        show(found._repr_html_(), repr(found))
