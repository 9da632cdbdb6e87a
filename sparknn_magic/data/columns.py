"""The columns that an experiment names, found in a frame and checked by type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    MapType,
    NumericType,
    StringType,
    StructType,
    VariantType,
)

from sparknn_magic.data.job import check_image_type
from sparknn_magic.errors import DataError, SparkNNError, SpecError, did_you_mean
from sparknn_magic.spec.experiment import Experiment

KEPT = ("split", "row", "label", "image", "numbers", "codes", "error")  # columns of prepared rows
BOXES = dict.fromkeys(("boxes", "labels", "format", "units", "bad_boxes"), "object-detection")  # keys under `data`
WHOLE_NUMBERS = ("tinyint", "smallint", "int", "bigint")


@dataclass(frozen=True)
class Columns:
    """The names that a source's columns really have, and how its pictures are held."""

    image: str
    label: str
    kind: str  # of pictures: "encoded", "struct", "nested" or "flat"
    type: str  # of the image column, as Spark writes it
    whole_labels: bool  # labels are whole numbers


def column(name: str) -> Column:
    """Return a column by its whole name: dots, spaces and backticks in it are part of the name."""
    return F.col("`" + name.replace("`", "``") + "`")


def rows_error(experiment: Experiment, name: str, message: str, hint: str | None = None) -> SparkNNError:
    """Return an error about the rows of `data.<name>`, with the place of that source in the cell."""
    return experiment.error(("data", name), message, hint=hint, kind=DataError)


def find_column(frame: DataFrame, wanted: str, experiment: Experiment, source: str, role: str) -> str:
    """Return the name as the frame has it: like Spark, `image` finds `Image` too.

    `role` is the key under `data:` that names the column: image, label, key, or the split that a column decides.
    Raises: DataError where there is none, or more than one.
    """
    path = ("data", role) if experiment.where("data", role) else ("data", source)
    found = same_name(frame, wanted)
    if len(found) > 1:
        both = " and ".join(f"'{name}'" for name in found[:2])
        raise experiment.error(
            path,
            f"data.{source} has more than one column '{wanted}': {both}.",
            hint="Rename one of them in the query: SELECT ... AS ...",
            kind=DataError,
        )
    if not found:
        shown = ", ".join(frame.columns[:12]) + (" ..." if len(frame.columns) > 12 else "")
        split = role in ("validation", "test")
        role_words = f"{role} split" if split else role
        use = f"`{role}: {{column: NAME, is: VALUE}}`" if split else f"`{role}: NAME`"
        raise experiment.error(
            path,
            f"data.{source} has no column '{wanted}' for the {role_words}.{did_you_mean(wanted, frame.columns)}",
            hint=f"Its columns are {shown}. {use} under data chooses one.",
            kind=DataError,
        )
    return found[0]


def same_name(frame: DataFrame, wanted: str) -> list[str]:
    """Return the columns that Spark finds by this name: whatever their case, unless spark.sql.caseSensitive is set."""
    exact = [name for name in frame.columns if name == wanted]
    same = [name for name in frame.columns if name.lower() == wanted.lower()]
    if len(same) == 1 and exact:
        return exact
    return exact if frame.sparkSession.conf.get("spark.sql.caseSensitive") == "true" else same


def find_columns(frame: DataFrame, experiment: Experiment, source: str) -> Columns:
    """Find the image and the label column of `data.<source>` and check their types.

    Raises: DataError with the place in the cell.
    """
    image = find_column(frame, experiment.data.image, experiment, source, "image")
    label = find_column(frame, experiment.data.label, experiment, source, "label")
    kind, held = check_image(frame, image, experiment, source)
    return Columns(image, label, kind, held, check_classes(frame, label, experiment, source))


def check_image(frame: DataFrame, image: str, experiment: Experiment, source: str) -> tuple[str, str]:
    """Return how a column holds pictures ("encoded", ...) and its type, as Spark writes it. Raises: DataError."""
    held = frame.schema[image].dataType.simpleString()
    try:
        return check_image_type(held, shape=experiment.data.shape, column=image), held
    except DataError as error:
        raise rows_error(experiment, source, error.message, error.hint) from error


def check_same_pictures(
    experiment: Experiment, train: tuple[str, str], validation: tuple[str, str], image: str
) -> None:
    """Raise DataError where the pictures of two sources cannot stand in one column.

    Of both: how they hold pictures, and the type of their column; `image` is that of data.validation.
    """
    (ours, ours_type), (theirs, theirs_type) = train, validation
    floats = [any(word in kind for word in ("float", "double")) for kind in (ours_type, theirs_type)]
    if ours != theirs or (ours_type != theirs_type and (floats[0] != floats[1] or ours == "struct")):
        message = f"column '{image}' of data.validation is {theirs_type[:80]}, and {ours_type[:80]} in data.train."
        raise rows_error(experiment, "validation", message, "Both sources must hold their pictures in the same way.")


def refuse_keys(experiment: Experiment, others: Mapping[str, str], instead: str) -> None:
    """Raise SpecError where the cell says of its data what only other tasks have.

    `others` are keys under `data` and what they are for; `instead` ends the error's sentence.
    """
    for name, words in others.items():
        if experiment.where("data", name):
            message = f"data.{name} is for {words}; {instead}"
            raise experiment.error(("data", name), message, key=True, kind=SpecError)


def find_numbers(frame: DataFrame, wanted: Sequence[str], experiment: Experiment, source: str) -> list[str]:
    """Find the numeric columns of `data.<source>` that the loss reads; return their names as the frame has them.

    Raises: DataError with the place of the loss in the cell.
    """

    def fail(message: str, hint: str | None = None) -> SparkNNError:
        return experiment.error(("loss",), message, hint=hint, kind=DataError)

    found = []
    for name in wanted:
        same = same_name(frame, name)
        if len(same) != 1:
            shown = ", ".join(frame.columns[:12]) + (" ..." if len(frame.columns) > 12 else "")
            number = "more than one" if same else "no"
            guess = "" if same else did_you_mean(name, frame.columns)
            raise fail(
                f"the loss reads a column '{name}', and data.{source} has {number} such column.{guess}",
                f"Its columns are {shown}.",
            )
        kind = frame.schema[same[0]].dataType
        if not isinstance(kind, NumericType | BooleanType):
            raise fail(
                f"the loss reads the column '{name}' of data.{source}, which is {kind.simpleString()} and no number.",
                f"In the query: CASE WHEN {sql_name(name)} = ... THEN 1 ELSE 0 END AS ...",
            )
        if name.lower() in KEPT:
            raise fail(
                f"the loss cannot read a column '{name}': prepared rows have one of their own by that name.",
                f"Rename it in the query: SELECT ..., {sql_name(name)} AS ...",
            )
        found.append(same[0])
    return found


def check_classes(frame: DataFrame, label: str, experiment: Experiment, source: str) -> bool:
    """Check that a label column can hold classes; return whether they are whole numbers. Raises: DataError."""
    kind = frame.schema[label].dataType
    label_type = kind.simpleString()
    if label_type not in ("boolean", *WHOLE_NUMBERS) and not isinstance(kind, StringType):
        number = label_type.startswith(("float", "double", "decimal"))
        raise rows_error(
            experiment,
            source,
            f"the label column '{label}' is {label_type}; classes are strings, whole numbers or booleans.",
            f"In SQL: CAST({sql_name(label)} AS {'INT' if number else 'STRING'}) AS {sql_name(label)}.",
        )
    return label_type in WHOLE_NUMBERS


def sql_name(name: str) -> str:
    """Return a column's name as SQL writes it."""
    return name if name.isidentifier() else "`" + name.replace("`", "``") + "`"


def has_hash(kind: DataType) -> bool:
    """Return whether xxhash64 takes a column of this type."""
    if isinstance(kind, StructType):
        return all(has_hash(field.dataType) for field in kind)
    if isinstance(kind, ArrayType):
        return has_hash(kind.elementType)
    return not isinstance(kind, MapType | VariantType)
