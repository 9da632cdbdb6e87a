"""`%sparknn new`: the form for the first time."""

from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

from sparknn_magic import registry
from sparknn_magic.errors import MissingExtra, SparkNNError
from sparknn_magic.notebook.words import Line


class NewMagics:
    """Part of the magics."""

    shell: InteractiveShell | Any

    if TYPE_CHECKING:

        def _variables(self) -> dict[str, Any]: ...

    def _new(self, line: Line, body: str) -> None:
        task = registry.get("task", line.name()).name if line.names else registry.names("task")[0]
        instead = f"`%sparknn init {task}` writes a cell to start from."
        if not hasattr(self.shell, "kernel"):
            raise SparkNNError("new: a form needs a notebook, and this is a terminal.", hint=instead)
        try:
            from sparknn_magic.notebook.form import Form
        except ImportError as error:
            missing = f"new: a form needs ipywidgets, which is not installed ({error})."
            raise MissingExtra(missing, hint=f"pip install ipywidgets; or {instead}") from error
        Form(task, self._variables()).show()
