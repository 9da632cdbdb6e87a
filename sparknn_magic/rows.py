"""What a user calls rows: a DataFrame, SQL, a table, a view, a path. The column of a name in them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparknn_magic.errors import DataError, SpecError, did_you_mean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def rows_of(
    spark: "SparkSession", data: Any, variables: Mapping[str, Any] | None = None, *, stream: bool = False
) -> "DataFrame":
    """Return the DataFrame that a DataFrame, SQL, a table or view name, or a path stands for.

    `variables` are the notebook's, in which a bare name may be a DataFrame. With `stream` it is one whose rows keep
    arriving. Raises: SpecError.
    """
    from pyspark.sql import DataFrame

    from sparknn_magic.data.sources import open_source
    from sparknn_magic.data.streams import open_stream, require_stream
    from sparknn_magic.spec.models import Source, read_source

    def fail(message: str, hint: str | None = None) -> SpecError:
        return SpecError(message, hint=hint)

    frames = {name: value for name, value in (variables or {}).items() if isinstance(value, DataFrame)}
    found = data if isinstance(data, DataFrame) else frames.get(data.strip()) if isinstance(data, str) else None
    if found is not None:
        if stream:
            require_stream(found, data.strip() if isinstance(data, str) else "the DataFrame", fail)
        return found
    if not isinstance(data, str) or not data.strip():
        raise SpecError(
            f"rows are a DataFrame, SQL, a table or a path, not {type(data).__name__ if data else 'nothing'}."
        )
    source = Source.model_validate(read_source(data.strip()))
    return (open_stream if stream else open_source)(spark, source, fail, frames)


def column_of(frame: "DataFrame", name: str) -> str:
    """Return the name of the column as the frame has it. Raises: DataError where there is none, or more than one."""
    from sparknn_magic.data.columns import same_name

    found = same_name(frame, name)
    if len(found) != 1:
        raise DataError(
            f"the rows have {len(found) or 'no'} column{'s' if found else ''} '{name}'."
            f"{'' if found else did_you_mean(name, frame.columns)}",
            hint=f"Their columns are {', '.join(frame.columns[:12])}.",
        )
    return found[0]
