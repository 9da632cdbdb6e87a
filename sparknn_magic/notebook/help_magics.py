"""The commands that help with typing: `help` and `init`."""

from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from sparknn_magic.notebook.words import Line


class HelpMagics:
    """Part of the magics."""

    shell: InteractiveShell | Any

    def _help(self, line: Line, body: str) -> None:
        from sparknn_magic.notebook.help import help_for

        print(help_for(line.names[0] if line.names else None), end="")

    def _init(self, line: Line, body: str) -> None:
        """Put a cell to start from below, or print it where the frontend has no next cell."""
        from sparknn_magic.show.starter import ROWS, starter_cell

        cell = starter_cell(line.name(), line.options.get("--from", ROWS))
        # A kernel asks its frontend for a cell, a terminal fills in its next prompt; a bare shell keeps it to itself.
        if hasattr(self.shell, "kernel") or hasattr(self.shell, "pt_app"):
            self.shell.set_next_input(cell)
            print(f"The cell to start from is below; `%sparknn help {line.name()}` explains the task.")
        else:
            print(cell)
