"""The input columns of a vector task, found in a frame and checked by type. Runs on the driver."""

from collections.abc import Sequence
from dataclasses import replace

from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
    UserDefinedType,
)

from sparknn_magic.data.columns import column, find_column, rows_error, sql_name
from sparknn_magic.data.splits import key_columns, split_columns
from sparknn_magic.data.vectors.job import Feature, wrong_length
from sparknn_magic.errors import DataError, SparkNNError, SpecError
from sparknn_magic.spec.experiment import Experiment

SHOWN = 80  # letters of a type, in an error


def find_features(frame: DataFrame, experiment: Experiment, source: str = "train") -> tuple[Feature, ...]:
    """Return the columns under `data.features` of the training source, or all but label, key and split columns.

    Raises: DataError where there is no such column, or its type is none that a network can take; SpecError where
    `data.image` or `data.shape` is given, which pictures alone have.
    """
    data = experiment.data
    for name in ("image", "shape"):
        if experiment.where("data", name):
            message = f"data.{name} is for pictures; the columns of this task are listed under `features`."
            raise experiment.error(("data", name), message, key=True, kind=SpecError)
    names = _names(frame, experiment, source)
    chosen = [find_column(frame, name, experiment, source, "categories") for name in data.categories or ()]
    for name in chosen:
        if name not in names:
            message = f"data.categories has '{name}', which is not among the features."
            raise experiment.error(("data", "categories"), message, hint="Name it under `features` too.")
    return tuple(_feature(frame, name, name in chosen, experiment, source) for name in names)


def _names(frame: DataFrame, experiment: Experiment, source: str) -> list[str]:
    data = experiment.data
    label = find_column(frame, data.label, experiment, source, "label")
    if data.features is None:
        others = {label, *key_columns(frame, experiment), *split_columns(frame, experiment)}
        names = [name for name in frame.columns if name not in others]
    else:
        names = [find_column(frame, name, experiment, source, "features") for name in data.features]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise experiment.error(("data", "features"), f"data.features has the column '{twice}' twice.", kind=DataError)
    if label in names:
        message = f"the label '{label}' is among the features: the network would read what it is to predict."
        raise experiment.error(("data", "features"), message, kind=DataError)
    if not names:
        raise rows_error(experiment, source, f"data.{source} has no column but the label '{label}' to learn from.")
    return names


def _feature(frame: DataFrame, name: str, category: bool, experiment: Experiment, source: str) -> Feature:
    kind = frame.schema[name].dataType
    found = Feature(name, *_kind(kind))
    if category and found.kind != "category":
        if not isinstance(kind, IntegralType | BooleanType):
            message = f"column '{name}' is {found.type[:SHOWN]}; categories are strings, whole numbers or booleans."
            hint = f"In SQL: CAST({sql_name(name)} AS STRING) AS {sql_name(name)}."
            raise experiment.error(("data", "categories"), message, hint=hint, kind=DataError)
        return replace(found, kind="category", width=0)
    if not found.kind:
        raise _no_numbers(experiment, source, name, kind)
    return found


def _kind(kind: DataType) -> tuple[str, str, int]:
    """Return kind, type and width of a feature; the kind is "" where a network cannot take the column."""
    text = kind.simpleString()
    if isinstance(kind, StringType):
        return "category", text, 0
    if isinstance(kind, NumericType | BooleanType):
        return "number", text, 1
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType | BooleanType):
        return "array", text, -1
    if isinstance(kind, UserDefinedType) and text == "vector":
        return "vector", text, -1
    return "", text, 0


def _no_numbers(experiment: Experiment, source: str, name: str, kind: DataType) -> SparkNNError:
    quoted, text = sql_name(name), kind.simpleString()[:SHOWN]
    hint = f"Leave it out: `features: [...]` under data lists the columns to use, or SELECT * EXCEPT ({quoted})."
    if isinstance(kind, DateType):
        hint = f"In SQL: datediff({quoted}, DATE'2000-01-01') AS {quoted}, month({quoted}) AS month; or leave it out."
    elif isinstance(kind, TimestampType | TimestampNTZType):
        cast = f"CAST({quoted} AS TIMESTAMP)" if isinstance(kind, TimestampNTZType) else quoted
        hint = f"In SQL: unix_timestamp({cast}) AS {quoted}, hour({quoted}) AS hour; or leave it out."
    message = (
        f"column '{name}' is {text}; features are numbers, booleans, strings, arrays of numbers and MLlib vectors."
    )
    path = ("data", "features") if experiment.where("data", "features") else ("data", source)
    return experiment.error(path, message, hint=hint, kind=DataError)


def same_features(
    frame: DataFrame, features: Sequence[Feature], experiment: Experiment, source: str
) -> tuple[Feature, ...]:
    """Find the features of the training source in another one; return them by the names they have there.

    Raises: DataError where one is missing or of another kind.
    """
    found = []
    for feature in features:
        name = find_column(frame, feature.name, experiment, source, "features")
        kind, text, _ = _kind(frame.schema[name].dataType)
        numbers = ("array", "vector")
        ok = kind == feature.kind or (kind in numbers and feature.kind in numbers)
        if feature.kind == "category":  # an int may stand for a long, or a text of digits
            ok = isinstance(frame.schema[name].dataType, StringType | IntegralType | BooleanType)
        if not ok:
            message = f"column '{name}' of data.{source} is {text[:SHOWN]}, and {feature.type[:SHOWN]} in data.train."
            raise rows_error(experiment, source, message)
        found.append(replace(feature, name=name, kind="category" if feature.kind == "category" else kind, type=text))
    return tuple(found)


def raw(feature: Feature) -> Column:
    """Return a feature as a column of double, array<double> or string."""
    whole = column(feature.name)
    if feature.kind == "category":
        return whole.cast("string")
    if feature.kind == "number":
        return whole.cast("double")
    return vector_to_array(whole) if feature.kind == "vector" else whole.cast("array<double>")


def numbers(features: Sequence[Feature]) -> tuple[Column, Column]:
    """Return all numbers of a row as one array<double>, and null or why a row has none: a string.

    The array is null where an array or vector of the row has another length than its feature's width; a null in the
    place of a whole array or vector is as many nulls.
    """
    parts: list[Column] = []
    scalars: list[Column] = []
    wrong = F.lit(None).cast("string")
    for feature in features:
        if feature.kind == "number":
            scalars.append(raw(feature))
        elif feature.kind != "category":
            parts, scalars = [*parts, *_array(scalars)], []
            whole, nothing = raw(feature), F.lit(None).cast("double")
            fits = F.size(whole) == feature.width
            parts.append(F.when(whole.isNull(), F.array_repeat(nothing, feature.width)).when(fits, whole))
            reason = wrong_length(feature.name, feature.width)
            wrong = F.coalesce(wrong, F.when(whole.isNotNull() & ~fits, F.lit(reason)))
    parts += _array(scalars)
    if not parts:
        return F.array().cast("array<double>"), wrong
    return (parts[0] if len(parts) == 1 else F.concat(*parts)), wrong


def _array(scalars: list[Column]) -> list[Column]:
    return [F.array(*scalars)] if scalars else []
