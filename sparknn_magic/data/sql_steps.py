"""SQL steps under `preprocess:`: run by Spark on the rows of a source, and again on the rows of a prediction.

Training runs every step as it is written, before the rows are split: a step that drops rows drops them from all sides,
and one that changes the key column changes the split. A prediction keeps all of its rows. Of each step it runs what
computes columns row by row (a SELECT list, a LEFT JOIN) and leaves out what chooses rows: WHERE, DISTINCT, ORDER BY,
LIMIT. A step of which nothing row by row remains (GROUP BY, a window, explode, UNION, ...) is left out whole. Spark's
own analyzed plan decides, on a frame without rows; what is left out is stored with the model and said in words.

A column that `SELECT *` has and that is given again replaces it: `SELECT *, lower(name) AS name FROM {data}`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType

from sparknn_magic.data.columns import column, find_column, same_name
from sparknn_magic.data.functions import IMAGE
from sparknn_magic.data.query_plan import Shape, shape_of, without_choice
from sparknn_magic.data.sources import SPARK_ERRORS, is_query, query_cause
from sparknn_magic.errors import DataError, SparkNNError
from sparknn_magic.plugin import Part
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.preprocess import DATA
from sparknn_magic.spec.resolve import Query, Resolved

Fail = Callable[[str], SparkNNError]
LACKS = ("UNRESOLVED_COLUMN", "UNRESOLVED_USING_COLUMN_FOR_JOIN", "CANNOT_RESOLVE_STAR_EXPAND")  # Spark's conditions
_VIEW = re.compile(r"`?_pyspark_\w*[0-9a-f]{32}`?")  # the name under which Spark has the rows of {data}


@dataclass(frozen=True)
class StoredStep:
    """An SQL step as a model folder has it: plain values."""

    sql: str
    params: dict[str, Any]
    before: int  # how many of the preprocessing plugins stand before it
    predict: str | None  # what a prediction runs of it; None: nothing
    skipped: str  # what a prediction leaves out, in words; "" where it runs the whole step
    changes: list[str]  # columns that it computes anew, in small letters; of a model's step, its input columns alone
    # Columns of what is learnt, which new rows have not: the type (`DataType.jsonValue`) in the source, or null.
    learnt: dict[str, Any] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """Return values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Applied:
    """Sources with all SQL steps applied."""

    frames: dict[str, DataFrame]
    steps: tuple[StoredStep, ...]
    done: int  # how many of the plugins have been applied to the pictures on the way

    def stored(self, inputs: Sequence[str], learnt: Mapping[str, Any] | None = None) -> tuple[StoredStep, ...]:
        """Return what a model with these input columns keeps of the steps; `learnt` are those of `StoredStep`."""
        names, kept = {name.lower() for name in inputs}, dict(learnt or {})
        return tuple(replace(step, changes=sorted(names & set(step.changes)), learnt=kept) for step in self.steps)


def apply_steps(
    frames: dict[str, DataFrame], experiment: Experiment, resolved: Resolved, picture: str | None = None
) -> Applied:
    """Run the SQL steps on every source (train, validation, test); nothing runs yet but Spark's analysis.

    `picture` is the column of pictures: plugins that stand before an SQL step are applied to it by a Spark function, so
    that the order is kept, and what cannot be read is null from there on. Without it no plugin may stand before SQL.
    Raises: SpecError or DataError with the place in the cell.
    """
    found, stored = dict(frames), []
    done = 0
    for query in resolved.queries:
        if query.before > done:
            if picture is None:
                raise _too_late(experiment, resolved, query)
            early = [step.part for step in resolved.preprocess[done : query.before]]
            for name, frame in found.items():
                held = find_column(frame, picture, experiment, name, "image")
                found[name] = with_pictures(frame, held, early)
            done = query.before
        fail = _placed(experiment, query)
        stored.append(_stored(found["train"], query, fail))
        found = {name: run_query(frame, query.sql, query.params, fail) for name, frame in found.items()}
    return Applied(found, tuple(stored), done)


def _placed(experiment: Experiment, query: Query) -> Fail:
    def fail(message: str) -> SparkNNError:
        return experiment.error(query.path, message)

    return fail


def _too_late(experiment: Experiment, resolved: Resolved, query: Query) -> SparkNNError:
    name = resolved.preprocess[query.before - 1].item.name
    return experiment.error(
        query.path,
        f"an SQL step stands after '{name}', which is applied when all SQL has been.",
        hint=f"Write the SQL steps before '{name}'.",
    )


def run_query(frame: DataFrame, sql: str, params: Mapping[str, Any], fail: Fail) -> DataFrame:
    """Return the rows that a step makes of a frame; of columns of one name the last, in the place of the first.

    Raises: the error that `fail` makes, where the text is no query or Spark does not understand it.
    """
    return _last_of_each(_rows(frame, sql, params, fail))


def _rows(frame: DataFrame, sql: str, params: Mapping[str, Any], fail: Fail) -> DataFrame:
    spark = frame.sparkSession
    if not is_query(sql):
        raise fail(f"'{sql.split()[0]}' does not begin a query; SELECT, WITH, FROM, TABLE and VALUES do.")
    text = sql.replace("{", "{{").replace("}", "}}").replace("{{data}}", DATA)
    try:
        # Spark makes a view of the rows and drops it again, and with it the cache of a frame of the very same plan.
        rows = spark.sql(text, args=dict(params) or None, data=frame.where(F.lit(True)))
        rows.schema  # noqa: B018 (a Connect session analyses only now)
    except SPARK_ERRORS as error:
        raise fail(f"Spark refuses this step: {_VIEW.sub(DATA, query_cause(spark, error, params=params))}") from error
    return rows


def _last_of_each(rows: DataFrame) -> DataFrame:
    exact = rows.sparkSession.conf.get("spark.sql.caseSensitive") == "true"
    keys = [name if exact else name.lower() for name in rows.columns]
    if len(set(keys)) == len(keys):
        return rows
    last = {key: n for n, key in enumerate(keys)}
    numbered = rows.toDF(*(f"c{n}" for n in range(len(keys))))
    return numbered.select(*(F.col(f"c{last[key]}").alias(rows.columns[last[key]]) for key in dict.fromkeys(keys)))


def with_pictures(frame: DataFrame, name: str, steps: Sequence[Part]) -> DataFrame:
    """Return the frame with plugins applied to its column of pictures, which becomes Spark's image struct."""
    parts = tuple(steps)

    def apply(arrays: Iterator[pa.Array]) -> Iterator[pa.Array]:
        from sparknn_magic.data.arrays import stepper

        step = stepper(parts)
        for array in arrays:
            yield step(array)

    return frame.withColumn(name, F.arrow_udf(apply, IMAGE)(column(name)))  # type: ignore[call-overload]


def _stored(frame: DataFrame, query: Query, fail: Fail) -> StoredStep:
    """Find what a prediction can run of a step, on the columns that the training rows have by then."""

    def store(predict: str | None, skipped: str, shape: Shape) -> StoredStep:
        return StoredStep(query.sql, dict(query.params), query.before, predict, skipped, sorted(shape.changed))

    whole = _shape(frame, query.sql, query, fail)
    if not whole.chooses:
        return store(query.sql, "", whole)
    rest = without_choice(query.sql)
    if rest is not None:
        part = _shape(frame, rest.sql, query, fail)
        if not part.chooses:
            return store(rest.sql, rest.cut, part)
    return store(None, f"the whole step, for its {' and '.join(whole.chooses)}", whole)


def _shape(frame: DataFrame, sql: str, query: Query, fail: Fail) -> Shape:
    empty = empty_frame(frame.sparkSession, frame.schema)
    return shape_of(empty, lambda rows: _rows(rows, sql, _used(sql, query.params), fail))


def _used(sql: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a text still has."""
    return {name: value for name, value in params.items() if re.search(rf":{re.escape(name)}\b", sql)}


def empty_frame(spark: SparkSession, schema: StructType) -> DataFrame:
    """Return a frame without rows."""
    return spark.createDataFrame([], schema)


def predict_frame(
    frame: DataFrame, steps: Sequence[StoredStep], *, label: str, pictures: Callable[[DataFrame, int, int], DataFrame]
) -> tuple[DataFrame, int, int | None]:
    """Run on the rows of a prediction what the stored steps have for it.

    `pictures(frame, first, last)` applies the model's plugins from first up to last, those that stand before an SQL
    step; how many have been applied is returned too. A step may name what is learnt, `label` or the steps' `learnt`,
    which new rows have not: it is null. Where those are missing, a step that reads yet another column which the rows
    lack was there for them, if neither it nor a later one changes what the model reads: it is left out with those
    behind it, and its number (from 1) returned.
    Raises: DataError where Spark does not understand a step on these rows.
    """
    done, left = 0, None
    learnt = {name: kind for step in steps for name, kind in step.learnt.items()}
    lacking = [name for name in learnt if not same_name(frame, name)]
    kinds = {name: learnt[name] for name in lacking if learnt[name] is not None} if learnt else {label: "string"}
    added = [name for name in kinds if not same_name(frame, name)] if any(step.predict for step in steps) else []
    for name in added:
        frame = frame.withColumn(name, F.lit(None).cast(_type(kinds[name])))
    for n, step in enumerate(steps, 1):
        if step.predict is None:
            continue
        if step.before > done:
            frame, done = pictures(frame, done, step.before), step.before
        try:
            frame = run_query(frame, step.predict, _used(step.predict, step.params), _of_step(n))
        except DataError as error:
            needed = any(later.changes or later.before > done for later in steps[n - 1 :])
            if needed or not lacking or not _lacks_column(error):
                raise
            left = n
            break
    for name in added:
        frame = frame.drop(*(column(found) for found in same_name(frame, name)[:1]))
    return frame, done, left


def _type(plain: Any) -> DataType:
    fields = [{"name": "x", "type": plain, "nullable": True, "metadata": {}}]
    return StructType.fromJson({"type": "struct", "fields": fields})["x"].dataType


def _lacks_column(error: DataError) -> bool:
    condition = str(getattr(error.__cause__, "getCondition", lambda: None)())
    return condition.startswith(LACKS)


def _of_step(n: int) -> Fail:
    def fail(message: str) -> SparkNNError:
        return DataError(f"SQL step {n} of the model's preprocessing: {message}")

    return fail
