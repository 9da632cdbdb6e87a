"""The second file of a text model, which takes strings: `export: {tokenizer_in_graph: true}`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import ExportError, SparkNNError

if TYPE_CHECKING:
    import pyarrow as pa

    from sparknn_magic.spec.experiment import Experiment

ROWS = 256  # texts on which the tokenizer in the graph is compared with the library, and the two files with each other
PLACE = ("export", "tokenizer_in_graph")


def wanted(experiment: "Experiment") -> bool:
    """Return whether the cell asks for the file."""
    return experiment.export is not None and experiment.export.tokenizer_in_graph


def check_strings(plan: Any, found: Any) -> None:
    """Before anything is trained: raise ExportError, with its place in the cell, where the file could not be written.

    `found` is what a task on texts found of the rows: has `tokenizer` and `inputs`.
    """
    from sparknn_magic.data.text.tokenizing import split_steps
    from sparknn_magic.export.strings import require_same

    if not wanted(plan.experiment):
        return
    try:
        functions, _ = split_steps([step.build() for step in plan.steps])
        if functions:
            raise ExportError(
                "a step of `preprocess:` is a Python function, which no graph can hold.",
                hint="Leave tokenizer_in_graph out, or the step.",
            )
        require_same(found.tokenizer, found.inputs.length, _texts(plan))
    except SparkNNError as error:
        raise plan.experiment.error(PLACE, error.message, hint=error.hint, kind=type(error)) from error


def write_strings(prepared: Any, folder: Path) -> dict[str, Any]:
    """Write model_strings.onnx beside model.onnx where the cell asks for it; return what that adds to `meta`.

    Raises: ExportError where the two files answer differently on real rows.
    """
    import numpy as np

    from sparknn_magic.bundle.folder import MODEL, STRINGS
    from sparknn_magic.export.parity import TOLERANCE
    from sparknn_magic.export.strings import export_strings, run_ids, run_strings

    if not wanted(prepared.plan.experiment):
        return {}
    columns, length = _texts(prepared.plan), prepared.inputs.length
    export_strings(folder / MODEL, prepared.tokenizer, length, len(columns), folder / STRINGS)
    found = run_strings(folder / STRINGS, columns)
    difference = float(np.abs(found - run_ids(folder / MODEL, prepared.tokenizer, length, columns)).max())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{STRINGS} and {MODEL} differ by {difference:.2g} on real rows; at most {TOLERANCE:g} is allowed."
        )
    return {"strings": {"file": STRINGS, "rows": len(found), "max_difference": difference}}


def _texts(plan: Any) -> "Sequence[pa.Array]":
    """Bring some of the training rows' texts to the driver: those that are neither null nor empty."""
    from pyspark.sql import functions as F

    from sparknn_magic.data.columns import column

    rows = plan.train.select(*(column(name).alias(f"c{i}") for i, name in enumerate(plan.texts)))
    for name in rows.columns:
        rows = rows.where(F.trim(name) != "")
    table = rows.limit(ROWS).toArrow().combine_chunks()
    if not table.num_rows:
        raise ExportError("there is no text among the training rows to check the tokenizer in the graph on.")
    return [table.column(name).chunk(0) for name in table.column_names]
