"""The widgets in which a person chooses, and what stands in them. Shows no cell: `form` does."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

from ipywidgets import HTML, Button, Dropdown, HBox, Layout, SelectMultiple, Text, VBox

from sparknn_magic import registry
from sparknn_magic.errors import SparkNNError
from sparknn_magic.notebook.completion_plugins import names as plugins
from sparknn_magic.notebook.completion_rows import Catalog
from sparknn_magic.notebook.form_cell import (
    Choices,
    default_column,
    roles_of,
    starting_choices,
    takes_pretrained,
)
from sparknn_magic.notebook.form_columns import SEVERAL, Column, fitting, guess
from sparknn_magic.notebook.form_rows import columns_of, sources
from sparknn_magic.show.markup import Markup, el
from sparknn_magic.show.words import plain, plural, shorten
from sparknn_magic.show.zoo_listing import brief

OTHER = "another table, a path or SQL ..."
START, AGAIN = "Start Spark", "Look again"
NO_SESSION = f"No Spark session is running, so its tables and columns are not known. “{START}” finds them."
NO_ROLES = "This task does not tell which columns it reads: write them under data in the cell."
KNOBS = {
    "epochs": ("epochs", "the task's own"),
    "batch_size": ("batch size", "the task's own, or auto"),
    "lr": ("learning rate", "the optimizer's own"),
    "workers": ("workers", "as many as Spark has slots"),
}
STYLE = {"description_width": "104px"}
LAYOUT: dict[str, str] = {"width": "380px"}


class Fields:
    """Task, rows, columns, split, model and a few knobs. `changed` is called whenever one of them has another value."""

    def __init__(self, task: str, names: Mapping[str, Any], catalog: Catalog, session: Callable[[], Any]):
        self.names, self.catalog, self.session = names, catalog, session
        self.changed: Callable[[], None] = lambda: None
        self.columns: dict[str, Any] = {}  # the widget of each role
        self.several: set[str] = set()  # roles of more than one column
        self.filling = False
        self.task = _made(Dropdown, "task", options=registry.names("task"), value=task)
        self.name = _text("name", "of the model, in Python and in SQL")
        self.source = _made(Dropdown, "rows", options=[(OTHER, "")], value="")
        self.typed = _text("", "my_table, data/photos or SELECT ...")
        self.again = Button(description=AGAIN, layout=Layout(width="max-content", margin="2px 2px 2px 110px"))
        self.note = HTML(layout=Layout(margin="0 0 4px 110px", max_width="270px"))
        self.roles = VBox()
        self.validation = _text("validation", "none; a share such as 10%, or rows")
        self.test = _text("test", "none; a share such as 10%, or rows")
        self.model = _made(Dropdown, "model", options=[])
        self.about = HTML(layout=Layout(margin="0 0 4px 110px", max_width="270px"))
        self.pretrained = _text("pretrained", "no files; a folder or a hub id")
        self.knobs = {key: _text(*words) for key, words in KNOBS.items()}
        split, model = [self.validation, self.test], [self.model, self.about, self.pretrained]
        rows = [self.source, self.typed, HBox([self.again]), self.note, self.roles]
        self.box = VBox([self.task, self.name, *rows, *split, *model, *self.knobs.values()])
        self.list_sources()
        self._start()
        self._look()
        self.task.observe(self._task_changed, "value")
        for each in (self.source, self.typed):
            each.observe(self._source_changed, "value")
        self.model.observe(self._model_changed, "value")
        for each in (self.name, self.validation, self.test, self.pretrained, *self.knobs.values()):
            each.observe(self._changed, "value")

    def choices(self) -> Choices:
        """Return what is chosen."""
        empty = Choices(self.task.value)
        return Choices(
            task=self.task.value,
            name=self.name.value.strip() or empty.name,
            source=self._rows() or empty.source,
            columns={role: _names(w.value, several=role in self.several) for role, w in self.columns.items()},
            validation=self.validation.value,
            test=self.test.value,
            model=self.model.value or "",
            pretrained=self.pretrained.value if takes_pretrained(self.model.value or "") else "",
            knobs={key: widget.value for key, widget in self.knobs.items()},
        )

    def list_sources(self) -> None:
        """Ask again which DataFrames, tables and views there are; what is chosen stays where it is still there."""
        found = [*sources(self.names, self.catalog), (OTHER, "")]
        known = [value for _, value in found]
        chosen = self.source.value
        kept = chosen in known if chosen else bool(self.typed.value)
        with self._filled():
            self.source.options = found
            self.source.value = chosen if kept else known[0]
        self.again.description = AGAIN if self.session() is not None else START

    def refresh(self) -> None:
        """List sources and columns anew."""
        self.list_sources()
        self._look()
        self.changed()

    def tell(self, words: str, *, failed: bool = False) -> None:
        """Say something of the rows, below them."""
        lines = (el("div", line) for line in words.split("\n"))
        self.note.value = _quiet(el("div", *lines, cls="failed" if failed else "soft"))

    def _rows(self) -> str:
        return (self.source.value or self.typed.value).strip()

    @contextmanager
    def _filled(self) -> Any:
        """Set values without telling of each."""
        before, self.filling = self.filling, True
        try:
            yield
        finally:
            self.filling = before

    def _start(self) -> None:
        """Fill in what the task starts from. Raises: SparkNNError where its plugin does not load."""
        start = starting_choices(self.task.value)
        with self._filled():
            architectures = plugins("architecture", self.task.value)
            self.model.options = architectures or [("a list of layers", "")]
            if architectures:
                self.model.value = start.model if start.model in architectures else architectures[0]
            self.pretrained.value = start.pretrained
            self.validation.value, self.test.value = start.validation, start.test
            for key, widget in self.knobs.items():
                widget.value = start.knobs.get(key, "")
        self._of_model()

    def _look(self) -> None:
        """Read the columns of the chosen rows, and offer them for the task's roles."""
        source, spark = self._rows(), self.session()
        _show(self.typed, not self.source.value)
        columns: list[Column] = []
        if spark is None:
            self.tell(NO_SESSION)
        elif not source:
            self.tell("")
        else:
            try:
                columns = columns_of(spark, source, self.names)
                self.tell(plural(len(columns), "column"))
            except SparkNNError as error:
                self.tell(str(error), failed=True)
        self._offer(columns)

    def _offer(self, columns: list[Column]) -> None:
        for widget in self.columns.values():
            widget.close()
        try:
            roles = roles_of(self.task.value)
        except SparkNNError:  # told below the cell, which names the task
            roles = {}
        guessed = guess(roles, columns)
        self.several = {role for role, holds in roles.items() if holds in SEVERAL}
        self.columns = {role: _role(role, holds, columns, guessed.get(role, "")) for role, holds in roles.items()}
        for widget in self.columns.values():
            widget.observe(self._changed, "value")
        self.roles.children = [*self.columns.values(), *([] if roles else [_small(NO_ROLES)])]

    def _of_model(self) -> None:
        name = self.model.value or ""
        _show(self.pretrained, takes_pretrained(name))
        self.about.value = ""

    def describe(self) -> None:
        """Say below the model what it is, which imports it."""
        try:
            item = registry.get("architecture", self.model.value) if self.model.value else None
        except SparkNNError:  # told below the cell
            item = None
        self.about.value = _small_html(plain(brief(item.summary)), plain(item.source)) if item is not None else ""

    def _changed(self, _: Any) -> None:
        if not self.filling:
            self.changed()

    def _task_changed(self, _: Any) -> None:
        try:
            self._start()
        except SparkNNError as error:  # a task of another package that does not load
            self.tell(str(error), failed=True)
        else:
            self._look()
        self._changed(_)

    def _source_changed(self, _: Any) -> None:
        if not self.filling:
            self._look()
            self.changed()

    def _model_changed(self, _: Any) -> None:
        if not self.filling:
            self._of_model()
            self.changed()


def _made(kind: Any, description: str, **traits: Any) -> Any:
    return kind(description=description, style=STYLE, layout=Layout(**LAYOUT), **traits)


def _text(description: str, placeholder: str) -> Any:
    return _made(Text, description or " ", placeholder=placeholder, continuous_update=False)


def _role(role: str, holds: str, columns: list[Column], guessed: str) -> Any:
    """Return the widget of a role: its columns to choose from, or a text where none is known."""
    if not columns:
        several = " ..., all others if empty" if holds in SEVERAL else ""
        return _text(role, f"{default_column(role)}{several}")
    fits = fitting(holds, columns)
    if holds in SEVERAL:
        rows = min(max(len(fits), 2), 6)
        return _made(SelectMultiple, role, options=fits, value=(), rows=rows, tooltip="none chosen: all others")
    kinds = {column.name: f"{column.name} · {shorten(column.type, 40)}" for column in columns}
    ordered = [*fits, *(name for name in kinds if name not in fits)]
    none = [] if guessed else [(f"none of them holds {holds}", "")]
    return _made(Dropdown, role, options=[*none, *((kinds[name], name) for name in ordered)], value=guessed)


def _names(written: Any, *, several: bool) -> str | tuple[str, ...]:
    """Return the column that is chosen, or the columns; where they are written by hand, there are commas between."""
    if not isinstance(written, str):
        return tuple(written)
    return tuple(filter(None, (name.strip() for name in written.split(",")))) if several else written.strip()


def _show(widget: Any, shown: bool) -> None:
    widget.layout.display = None if shown else "none"


def _small(words: str) -> Any:
    return HTML(_small_html(words), layout=Layout(margin="0 0 4px 110px", max_width="270px"))


def _small_html(*lines: str) -> str:
    return _quiet(el("div", *(el("div", line) for line in lines), cls="soft"))


def _quiet(shown: Markup) -> str:
    return str(el("div", shown, cls="sparknn", style="line-height: 1.35"))  # its styles come with the cell's text
