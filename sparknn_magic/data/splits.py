"""Which side of the split a row is on: by a hash of its key, so the same one in every run and on every cluster."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from sparknn_magic.data.columns import column, find_column, has_hash
from sparknn_magic.errors import DataError
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import ColumnSplit, Fraction

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
BUCKETS = 10_000  # the hash of a row's key falls into one of these; a split takes a run of them


def picture(name: str, kind: str) -> list[Column]:
    """Return the columns that make up a picture: of Spark's image struct all but its origin, the file's path."""
    if kind != "struct":
        return [column(name)]
    return [column(name).getField(field) for field in ("height", "width", "nChannels", "mode", "data")]


def key_columns(frame: DataFrame, experiment: Experiment) -> list[str]:
    """Return the names of the columns under `data.key`; [] where the cell names none.

    Raises: DataError where there is no such column, or its type has no hash.
    """
    found = [find_column(frame, name, experiment, "train", "key") for name in experiment.data.key or ()]
    for name in found:
        kind = frame.schema[name].dataType
        if not has_hash(kind):
            message = f"the key column '{name}' is {kind.simpleString()[:80]}, of which Spark computes no hash."
            raise experiment.error(("data", "key"), message, hint="Choose a column of text or numbers.", kind=DataError)
    return found


def split_columns(frame: DataFrame, experiment: Experiment) -> list[str]:
    """Return the names of the columns that say by a value which side a row is on."""
    specs = {name: getattr(experiment.data, name) for name in ("validation", "test")}
    return [
        find_column(frame, spec.column, experiment, "train", name)
        for name, spec in specs.items()
        if isinstance(spec, ColumnSplit)
    ]


def split_of(frame: DataFrame, experiment: Experiment, own: list[Column]) -> Column:
    """Return the split of each row of the training source, as an int.

    Where `data.key` is not given the key is `own`, the picture itself or all features of the row: copies of one are
    then never on both sides. A column decides before a share does. Validation takes the lowest hashes and test the
    highest, so that a change of one share leaves the other rows where they are.
    """
    key = [column(name) for name in key_columns(frame, experiment)] or own
    # The literal keeps the hash apart from one that the query itself may have chosen its rows by.
    bucket = F.pmod(F.xxhash64(F.lit("split"), *key), F.lit(BUCKETS))
    split = F.lit(TRAIN)
    for name, spec in (("validation", experiment.data.validation), ("test", experiment.data.test)):
        if isinstance(spec, Fraction):
            size = max(1, round(spec.share * BUCKETS))
            chosen = bucket < size if name == "validation" else bucket >= BUCKETS - size
            split = F.when(chosen, SPLITS[name]).otherwise(split)
    for name, spec in (("validation", experiment.data.validation), ("test", experiment.data.test)):
        if isinstance(spec, ColumnSplit):
            found = find_column(frame, spec.column, experiment, "train", name)
            split = F.when(_equals(frame, found, spec.equals), SPLITS[name]).otherwise(split)
    return split


def _equals(frame: DataFrame, name: str, value: str | int | bool) -> Column:
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(frame.schema[name].dataType, NumericType):
        return column(name) == F.lit(value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return column(name).cast("string") == text
