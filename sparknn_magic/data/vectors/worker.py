"""Raw columns of a vector task -> what a model file takes: numpy arrays, a column at a time. Runs on executors.

No loop over rows: a batch costs a few passes over its numbers. A row that cannot be scored has a short reason, and
costs no other row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparknn_magic.data.pixels import is_list
from sparknn_magic.data.vectors.job import Feature, input_names, number_names, wrong_length
from sparknn_magic.data.vectors.shards import INFINITE, NULL, Reasons
from sparknn_magic.errors import DataError

MOST = 60  # letters of a type, in an error


@dataclass(frozen=True, slots=True)
class Vectors:
    """What `vector_reader` makes of n rows."""

    inputs: dict[str, np.ndarray]  # of the readable rows, by the names of the model file's inputs
    rows: np.ndarray  # int64[readable]: their positions, ascending
    errors: list[str | None]  # one for each of the n rows: None where it was read, else a short reason


def vector_reader(*, features: Sequence[Mapping[str, Any]], required: Sequence[str]) -> Callable[..., Vectors]:
    """Return a function of an Arrow array for each feature, all of n values, to `Vectors`.

    `features` are those of `Feature`, as plain values; `required` the names of the numbers (`price`, `pixels[3]`) and
    of the categorical columns that no row may be without.
    Raises: DataError, when the function is called, where a column's type is not one that its feature can be read from.
    """
    known = [Feature(**feature) for feature in features]
    names, needed = input_names(known), frozenset(required)

    def read(*columns: pa.Array) -> Vectors:
        reasons = Reasons(len(columns[0]))
        pairs = zip(known, columns, strict=True)
        values = [
            _category(f, c, reasons, needed) if f.kind == "category" else _numbers(f, c, reasons, needed)
            for f, c in pairs
        ]
        good = reasons.none()
        if not good.all():
            values = [each[good] for each in values]
        return Vectors(dict(zip(names, values, strict=True)), np.flatnonzero(good), reasons.list())

    return read


def _category(feature: Feature, column: pa.Array, reasons: Reasons, needed: frozenset[str]) -> np.ndarray:
    """Return object[rows] of texts; a null is the empty one."""
    kind = column.type
    if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise _other_type(feature, kind)
    texts = pc.fill_null(column.cast(pa.string()), "")
    if feature.name in needed:
        reasons.add(np.asarray(pc.equal(texts, "")), NULL.format(feature.name))
    return texts.to_numpy(zero_copy_only=False)


def _numbers(feature: Feature, column: pa.Array, reasons: Reasons, needed: frozenset[str]) -> np.ndarray:
    """Return float64 or float32, [rows] or [rows, width]; a null is NaN."""
    if feature.kind == "number":
        found = _floats(feature, column)[:, None]
    elif pa.types.is_struct(column.type):
        found = _vectors(feature, column, reasons)
    elif is_list(column.type):
        found = _lists(feature, column, reasons)
    elif pa.types.is_null(column.type):
        found = np.full((len(column), feature.width), np.nan)
    else:
        raise _other_type(feature, column.type)
    for i, name in enumerate(number_names([feature])):
        if name in needed:
            reasons.add(np.isnan(found[:, i]), NULL.format(name))
    if not np.isfinite(found).all():
        for i, name in enumerate(number_names([feature])):
            reasons.add(np.isinf(found[:, i]), INFINITE.format(name))
    found = found.astype(np.float32 if feature.single else np.float64, copy=False)
    return found[:, 0] if feature.kind == "number" else found


def _floats(feature: Feature, values: pa.Array) -> np.ndarray:
    """Return float64[n], NaN for null."""
    kind = values.type
    t = pa.types
    if not (t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind) or t.is_boolean(kind) or t.is_null(kind)):
        raise _other_type(feature, kind)
    if t.is_boolean(kind):
        values = values.cast(pa.uint8())
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _lists(feature: Feature, column: pa.Array, reasons: Reasons) -> np.ndarray:
    found = np.full((len(column), feature.width), np.nan)
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    fits = lengths == feature.width
    reasons.add((lengths >= 0) & ~fits, wrong_length(feature.name, feature.width))
    found[fits] = _floats(feature, _of(column, fits).flatten()).reshape(-1, feature.width)
    return found


def _vectors(feature: Feature, column: pa.Array, reasons: Reasons) -> np.ndarray:
    """Read MLlib's vectors: struct<type (0 sparse, 1 dense), size, indices, values>."""
    fields = {field.name for field in column.type}
    if not fields >= {"type", "size", "indices", "values"}:
        raise _other_type(feature, column.type)
    found = np.full((len(column), feature.width), np.nan)
    present = np.asarray(column.is_valid())
    dense = np.asarray(pc.fill_null(pc.equal(pc.struct_field(column, "type"), 1), False)) & present
    size = pc.fill_null(pc.struct_field(column, "size"), -1).to_numpy(zero_copy_only=False)
    values, indices = pc.struct_field(column, "values"), pc.struct_field(column, "indices")
    lengths = pc.fill_null(pc.list_value_length(values), -1).to_numpy(zero_copy_only=False)
    fits = present & (np.where(dense, lengths, size) == feature.width)
    reasons.add(present & ~fits, wrong_length(feature.name, feature.width))
    full, sparse = fits & dense, fits & ~dense
    found[full] = _floats(feature, _of(values, full).flatten()).reshape(-1, feature.width)
    if sparse.any():
        rows = np.repeat(np.flatnonzero(sparse), lengths[sparse])
        found[sparse] = 0.0
        found[rows, _of(indices, sparse).flatten().to_numpy()] = _floats(feature, _of(values, sparse).flatten())
    return found


def _of(column: pa.Array, rows: np.ndarray) -> pa.Array:
    return column if rows.all() else column.filter(pa.array(rows))


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _other_type(feature: Feature, kind: pa.DataType) -> DataError:
    return DataError(f"column '{feature.name}' is {str(kind)[:MOST]} here; the model was trained on {feature.type}.")
