"""`%%sparknn predict`, with and without `--stream`: read the line, call the function that scripts call."""

import contextlib
import itertools
import re
from collections.abc import Mapping
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import SpecError
from sparknn_magic.notebook.words import COMMANDS, Line

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparknn_magic.show.examples import Examples

SHOWN_ROWS = 5  # where the line says nothing: as a plain table
FOLLOWED = 30.0  # seconds that a cell follows a stream it has started, at most


class PredictMagics:
    """The command that scores rows."""

    if TYPE_CHECKING:
        shell: Any

        def _variables(self) -> dict[str, Any]: ...
        def _model(self, name: str) -> Any: ...

    def _predict(self, line: Line, body: str) -> None:
        if "--stream" in line.flags:
            self._stream(line, body)
            return
        lost = [word for word in ("--once", "--checkpoint") if word in (*line.flags, *line.options)]
        if lost:
            raise SpecError(f"predict: {lost[0]} is for a stream.", hint=f"Usage: {COMMANDS['predict'].usage}")
        self._predict_rows(line, body)

    def _predict_rows(self, line: Line, body: str) -> None:
        from sparknn_magic.looking import look, plain_rows, read_count
        from sparknn_magic.notebook.background import in_background
        from sparknn_magic.notebook.display import show
        from sparknn_magic.rows import rows_of
        from sparknn_magic.show.predictions import table_answers

        into, shown = line.options.get("--into", ""), line.options.get("--show")
        if not into.isidentifier() or iskeyword(into):
            what = f"'{into}' is no variable's name" if into else "say where the rows go"
            raise SpecError(f"predict: {what}.", hint=f"Usage: {COMMANDS['predict'].usage}")
        wanted = None if shown is None else read_count(shown)
        model, names = self._model(line.name()), self._variables()
        column, mode = line.options.get("--column"), line.options.get("--mode", "permissive")

        def work(_: Any) -> "tuple[DataFrame, Examples | None]":
            rows = rows_of(model.spark, body, names)
            if rows.isStreaming:
                raise SpecError(
                    "predict: these rows keep arriving.", hint="--stream --into TABLE scores them as they do."
                )
            scored = model.predict(rows, column=column, mode=mode)
            title = f"{into}: a DataFrame and a view of {len(scored.columns)} columns"
            first = f"{title}; its first rows"
            found: Examples | None = None
            if wanted is None:
                # Limited before the model runs: after it, Spark would score a whole batch to show five rows.
                few = model.predict(rows.limit(SHOWN_ROWS), column=column, mode=mode)
                found = table_answers(first, plain_rows(few))
            elif wanted:
                found = look(model, rows, count=wanted, column=column, mode=mode, title=first)
            scored.createOrReplaceTempView(into)
            return scored, found

        scored, found = in_background(model.spark, work)
        self.shell.user_ns[into] = scored
        if found is not None:
            show(found._repr_html_(), repr(found))

    def _stream(self, line: Line, body: str) -> None:
        """Start the query, follow it until it has caught up, and leave it running under a name."""
        from sparknn_magic.notebook.background import in_background
        from sparknn_magic.notebook.display import Followed, stream_progress
        from sparknn_magic.notebook.live_stream import keep_up

        into = line.options.get("--into")
        if into is None:
            raise SpecError("predict: say into which table the rows go.", hint=f"Usage: {COMMANDS['predict'].usage}")
        if "--show" in line.options:
            raise SpecError("predict: --show is for rows that are all there, not for a stream.")
        model, names = self._model(line.name()), self._variables()
        asked: dict[str, Any] = {
            "column": line.options.get("--column"),
            "mode": line.options.get("--mode", "permissive"),
        }
        asked |= {"checkpoint": line.options.get("--checkpoint"), "once": "--once" in line.flags, "variables": names}
        found = in_background(model.spark, lambda _: model.stream(body, into, **asked))
        found.variable = variable_of(into, names, found.place.checkpoint)
        names[found.variable] = found
        view = stream_progress(self.shell)
        with contextlib.suppress(KeyboardInterrupt):  # of the looking on: the query goes on
            in_background(model.spark, lambda tell: found.follow(tell, None if asked["once"] else FOLLOWED), view)
        view.replace(found)
        found.require_sound()
        if isinstance(view, Followed) and view.watching and found.query.isActive:
            keep_up(found, view)


def variable_of(into: str, names: Mapping[str, Any], checkpoint: str) -> str:
    """Return the name that a stream into this table or folder has in the notebook: `scored` -> `scored_stream`.

    What has that name already, among `names`, keeps it: a number follows. Only an older stream from this checkpoint, or
    one that has ended, gives way.
    """
    from sparknn_magic.stream import Stream, is_active

    def free(name: str) -> bool:
        there = names.get(name)
        return there is None or (
            isinstance(there, Stream) and (there.place.checkpoint == checkpoint or not is_active(there))
        )

    first = re.sub(r"\W", "_", re.split(r"[./]", into.rstrip("/"))[-1]).lstrip("0123456789") + "_stream"
    return next(filter(free, itertools.chain([first], (f"{first}_{n}" for n in itertools.count(2)))))
