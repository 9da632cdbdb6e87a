"""The steps under `preprocess:`: plugins, and SQL over the rows, in the order in which they are written."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from sparknn_magic.spec.models import Scalar, Spec, Step, Text, read_step, read_steps, wrong
from sparknn_magic.spec.words import Words

DATA = "{data}"  # the rows, as an SQL step names them
_EXAMPLE = "For example: `- sql: SELECT *, lower(name) AS name FROM {data} WHERE price > 0`."


class SqlStep(Spec):
    """A query over the rows as they are by then, which stand in it as {data}: `sql: SELECT * FROM {data} WHERE ...`."""

    sql: Text = Field(description="a query of {data}; `:name` stands for a value of `params`")
    params: dict[str, Scalar] = Field(default={}, description="values of the query's named parameters")

    def to_plain(self) -> dict[str, Any]:
        """Return `{sql: ...}`, with its params where it has any."""
        return {"sql": self.sql} | ({"params": dict(self.params)} if self.params else {})


def read_preprocess_step(value: Any) -> Any:
    """Turn what stands in a cell into a `SqlStep` or a `Step`."""
    if isinstance(value, SqlStep):
        return value
    if value == "sql":
        raise wrong("{path} is 'sql' without a query.", hint=_EXAMPLE)
    return _sql_step(value) if isinstance(value, Mapping) and "sql" in value else read_step(value)


def _sql_step(value: Mapping[str, Any]) -> SqlStep:
    text, params = value["sql"], value.get("params") or {}
    extra = next((key for key in value if key not in ("sql", "params")), None)
    if extra is not None:
        message = f"{{path}} takes 'sql' and 'params'; '{extra}' is a step of its own."
        raise wrong(message, hint="Start it with '- '.", at=(extra,), key=True)
    if not isinstance(text, str) or not text.strip():
        raise wrong("{path} must have a query after 'sql'.", hint=_EXAMPLE, at=("sql",))
    if DATA not in text:
        raise wrong("{path} does not say where the rows go: write {data} for them.", hint=_EXAMPLE, at=("sql",))
    if not isinstance(params, Mapping) or not all(isinstance(v, Scalar) for v in params.values()):
        hint = "For example: `params: {floor: 3}`, for `:floor` in the query."
        raise wrong("{path} must have single values by name under 'params'.", hint=hint, at=("params",))
    return SqlStep(sql=text.strip(), params=dict(params))


PreprocessStep = Annotated[
    SqlStep | Step, BeforeValidator(read_preprocess_step), Words("a name, one name with its options, or `sql: ...`")
]
Preprocess = Annotated[tuple[PreprocessStep, ...], BeforeValidator(read_steps), Field(strict=False)]
