"""The form of `%sparknn new`: choices on the left, the cell that they come to on the right, and a few of the rows."""

import contextvars
import threading
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from IPython.display import display
from ipywidgets import HTML, Button, HBox, Layout, Output, VBox, Widget

from sparknn_magic.errors import SparkNNError
from sparknn_magic.notebook.background import in_background
from sparknn_magic.notebook.completion_rows import Catalog, SparkCatalog, active_session
from sparknn_magic.notebook.display import Rendered
from sparknn_magic.notebook.form_cell import Choices, cell_of, complaint
from sparknn_magic.notebook.form_fields import START, Fields
from sparknn_magic.notebook.form_rows import samples_html
from sparknn_magic.notebook.form_script import writing
from sparknn_magic.show.html import scoped
from sparknn_magic.show.markup import el

WAIT, KEPT = 3.0, 0.5  # seconds that the form waits for the catalog's tables, and that they hold
WRITE, SHOW = "Write the cell below", "Show samples"
SOUND = "✓ A valid cell. Its columns and rows are looked at when it runs, or by “Show samples”."
IF_NONE = "If no cell appears below, this frontend lets no form write one: copy the text above into a cell of its own."
WRITTEN = "The cell below was written by the form. `%sparknn new` opens it again."
LIVE = (
    "A form, which shows where the notebook's kernel runs and the frontend has ipywidgets. "
    "Elsewhere `%sparknn init TASK` writes a cell to start from."
)
SECONDS = 10.0  # after which the script is taken out of the page again: a saved page must not carry it
TEXT = (
    "font-size: 13px; line-height: 1.4; margin: 0; padding: 10px 12px; border: 1px solid rgba(128, 128, 128, 0.35);"
    "border-radius: 6px; overflow: auto; user-select: all; min-width: 300px"
)


class Form:
    """One form, from its first display until its cell is written. `names` is the notebook's namespace."""

    def __init__(
        self,
        task: str,
        names: Mapping[str, Any],
        *,
        catalog: Catalog | None = None,
        session: Callable[[], Any] = active_session,
    ):
        self.names, self.session = names, session
        mark = f"sparknn-{uuid4().hex[:12]}"
        self.mark, self.done_mark = f"{mark}-form", f"{mark}-done"
        self.fields = Fields(task, names, catalog or SparkCatalog(WAIT, KEPT, session), session)
        self.text = HTML(layout=Layout(width="auto"))
        self.said = HTML(layout=Layout(width="auto"))
        self.write = Button(description=WRITE, button_style="primary", layout=Layout(width="max-content"))
        self.samples = Button(description=SHOW, layout=Layout(width="max-content"))
        self.shown = HTML(layout=Layout(width="auto", max_width="900px"))
        self.channel = Output(layout=Layout(display="none"))  # what runs in the page
        self.done = Button(layout=Layout(display="none"))  # clicked by the page when it has taken the cell
        self.done.add_class(self.done_mark)
        beside = Layout(flex="1 1 320px", min_width="300px", margin="0 0 0 12px")  # below, where there is no room
        cell = VBox([self.text, self.said, HBox([self.write, self.samples])], layout=beside)
        both = HBox([self.fields.box, cell], layout=Layout(flex_flow="row wrap", align_items="flex-start"))
        self.box = VBox([both, self.shown, self.channel, self.done]).add_class(self.mark)
        self.place: Any = None  # the form's display
        self.open = True
        self.forgets: threading.Timer | None = None  # takes the script away again
        self.fields.changed = self.draw
        self.fields.again.on_click(self._again)
        self.write.on_click(self._write)
        self.samples.on_click(self._sample)
        self.done.on_click(self._written)

    @property
    def cell(self) -> str:
        """The cell as it stands; "" where the task's plugin does not load."""
        try:
            return cell_of(self.fields.choices())
        except SparkNNError:  # `draw` tells it
            return ""

    def show(self) -> None:
        """Display the form. What a saved notebook keeps of it beside the widget is a sentence."""
        kept = {"text/plain": LIVE, "text/html": scoped(el("div", LIVE, cls="soft"))}
        self.place = display({**self.box._repr_mimebundle_(), **kept}, raw=True, display_id=True)
        self.draw()

    def draw(self) -> None:
        """Show the cell as it stands, and whether it is sound. The first time this imports the architecture."""
        if not self.open:
            return
        self._forget()
        choices = self.fields.choices()
        self.text.value = scoped(el("pre", self.cell, style=TEXT))
        self._say(complaint(choices, self.names) or SOUND)
        self.fields.describe()

    def _say(self, found: SparkNNError | str) -> None:
        if isinstance(found, SparkNNError):
            lines = "\n".join(found._render_traceback_())
            self.said.value = scoped(el("pre", lines, cls="failed", style="white-space: pre-wrap; line-height: 1.35"))
        else:
            self.said.value = scoped(el("div", found, cls="soft"))

    def _again(self, _: Any) -> None:
        """Look at the session again; where there is none, start one, which the button says."""
        if self.session() is not None:
            self.fields.refresh()
            return

        def start() -> None:
            from sparknn_magic.sessions import session

            session()
            self.fields.refresh()

        self._later(self.fields.again, START, "Starting Spark ...", start, self.fields.tell)

    def _sample(self, _: Any) -> None:
        choices = self.fields.choices()

        def look() -> None:
            self.shown.value = _sampled(choices, self.names)

        def fail(words: str, *, failed: bool) -> None:
            self.shown.value = scoped(el("pre", words, cls="failed", style="white-space: pre-wrap"))

        self._later(self.samples, SHOW, "Reading rows ...", look, fail)

    def _later(self, button: Any, words: str, meanwhile: str, work: Callable[[], None], fail: Any) -> None:
        """Do what takes seconds in a thread, which prints nothing; what goes wrong is told where `fail` says it."""

        def run() -> None:
            try:
                work()
            except SparkNNError as error:
                fail(str(error), failed=True)
            except Exception as error:  # noqa: BLE001  nobody else would hear of it: told as it is
                fail(f"{type(error).__name__}: {error}", failed=True)
            finally:
                if self.open:
                    button.disabled = False
                    if button.description == meanwhile:
                        button.description = words

        button.disabled, button.description = True, meanwhile
        # In this message's context: a thread of its own has none, and widgets answer to their message.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(run,), name="sparknn-form", daemon=True).start()

    def _write(self, _: Any) -> None:
        """Hand the cell to the page; where that takes it, `_written` hears so."""
        self._forget()
        self._say(IF_NONE)
        script = {"text/html": writing(self.cell, self.mark, self.done_mark), "text/plain": ""}
        self.channel.outputs = ({"output_type": "display_data", "data": script, "metadata": {}},)
        self.forgets = threading.Timer(SECONDS, self._forget)
        self.forgets.daemon = True
        self.forgets.start()

    def _forget(self) -> None:
        """Take the script out of the page."""
        if self.forgets is not None:
            self.forgets.cancel()
            self.forgets, self.channel.outputs = None, ()

    def _written(self, _: Any) -> None:
        """Leave a sentence in the form's place: a saved notebook has no widget that is not there any more."""
        if not self.open:
            return
        self.open = False
        self._forget()
        if self.place is not None:
            html = scoped(el("div", "The cell below was written by the form. ", el("code", "%sparknn new"),
                             " opens it again.", cls="soft"))  # fmt: skip
            self.place.update(Rendered(html, WRITTEN.replace("`", "")))
        for widget in _below(self.box):
            widget.close()


def _sampled(choices: Choices, names: Mapping[str, Any]) -> str:
    from sparknn_magic.sessions import session

    spark = session()
    return in_background(spark, lambda _: samples_html(spark, choices, names))


def _below(widget: Widget) -> list[Widget]:
    """Return a widget and all in it."""
    return [widget, *(each for child in getattr(widget, "children", ()) for each in _below(child))]
