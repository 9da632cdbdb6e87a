"""What the steps of the vector tasks share. Standard library only: executors import this file."""

from sparknn_magic.plugin import ColumnStep

VECTORS = ("vector-classification", "vector-regression")
Columns = str | tuple[str, ...] | None  # as a cell has them: one name, several, or all
ACCURACY = 10_000  # of percentile_approx: a rank is off by at most one part in this many


class Limited(ColumnStep):
    """A step that may be limited to some columns."""

    def __init__(self, columns: Columns):
        self.columns = names(columns)


def names(columns: Columns) -> tuple[str, ...] | None:
    """Return the names as a tuple."""
    return (columns,) if isinstance(columns, str) else columns
