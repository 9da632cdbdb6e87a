"""The `metrics:` of a cell: SQL aggregates by name."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from sparknn_magic.spec.marks import cut
from sparknn_magic.spec.models import Name, Text, wrong

EXAMPLE = "For example: `error: avg(CASE WHEN prediction = label THEN 0 ELSE price END)`."


def read_metrics(value: Any) -> Any:
    """Turn `name: SQL` and `name: {sql: SQL}` into {name: SQL}; say how it is written where something else stands."""
    if not isinstance(value, Mapping):
        raise wrong("{path} must be names with SQL aggregates, not {value}.", hint=EXAMPLE)
    return {name: _sql(name, text) for name, text in value.items()}


def _sql(name: str, text: Any) -> Any:
    if isinstance(text, Mapping):
        if list(text) != ["sql"]:
            raise wrong(f"{{path}}.{cut(name)} must be SQL, or `{{sql: ...}}`.", at=(name,), hint=EXAMPLE)
        text = text["sql"]
    if text is None:
        hint = "Within braces a comma ends the value: put the SQL in quotes, or each metric on a line of its own."
        raise wrong(f"{{path}}.{cut(name)} has no SQL.", at=(name,), hint=hint)
    if not isinstance(text, str) or not text.strip():
        raise wrong(f"{{path}}.{cut(name)} must be an SQL aggregate.", at=(name,), hint=EXAMPLE)
    return text


Metrics = Annotated[dict[Name, Text], BeforeValidator(read_metrics)]
