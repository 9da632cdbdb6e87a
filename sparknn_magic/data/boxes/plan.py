"""What the cell's `data:` and `preprocess:` come to for pictures with boxes, before any row is read. On the driver."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, NumericType, StringType, StructType

from sparknn_magic.data.boxes.job import FIELDS, BoxRules, columns_of, ordered, rules_of
from sparknn_magic.data.columns import (
    WHOLE_NUMBERS,
    check_image,
    check_same_pictures,
    column,
    find_column,
    refuse_keys,
    rows_error,
    same_name,
    sql_name,
)
from sparknn_magic.data.plan import PicturePlan, open_frames, sides_of
from sparknn_magic.data.splits import SPLITS, TRAIN, VALIDATION, key_columns, picture, split_columns, split_of
from sparknn_magic.data.sql_steps import apply_steps
from sparknn_magic.errors import DataError, SpecError
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import BOX_KINDS, Source
from sparknn_magic.spec.resolve import Resolved

FORMAT = 3  # a change of layout or of what is done to rows makes old prepared folders invalid
OTHERS = {
    "text": "texts",
    "max_length": "texts",
    "features": "columns of numbers and categories",
    "categories": "columns of numbers and categories",
    "label": "tasks with one label a row",
}


@dataclass(frozen=True)
class BoxPlan(PicturePlan):
    """Rows of pictures with boxes: `rows` has boxes array<array<double>> and labels array<string> too."""

    rules: BoxRules

    def preparation(self) -> list[Any]:
        """Return the shape of raw pixels, how boxes are written and judged, and the steps."""
        rules = [self.rules.format, self.rules.units, self.rules.bad]
        steps = [[step.ref, dict(step.options), str(step.code)] for step in self.steps]
        return [f"boxes {FORMAT}", self.experiment.to_dict()["data"].get("shape"), rules, steps]


@dataclass(frozen=True)
class Found:
    """The columns of one source, by the names that they really have."""

    image: str
    kind: str  # of pictures: "encoded", "struct", "nested" or "flat"
    type: str  # of the image column, as Spark writes it
    boxes: str
    labels: str
    whole_labels: bool


def plan(spark: SparkSession, experiment: Experiment, resolved: Resolved, names: Iterable[str] = ()) -> BoxPlan:
    """Open the sources, check columns and types, and lay out the splits. Runs no job over rows.

    `names` are the notebook's DataFrames. Raises: SpecError or DataError with the place in the cell.
    """
    _check_cell(experiment)
    # Without the column of pictures: a step before an SQL step would move pixels, and the boxes stayed where they are.
    opened = open_frames(spark, experiment, names)
    applied = apply_steps(opened, experiment, resolved)
    frames = applied.frames
    columns = {name: _columns(frame, experiment, name) for name, frame in frames.items()}
    source, first = frames["train"], columns["train"]
    split = split_of(source, experiment, picture(first.image, first.kind))
    splits = {"train": split, "validation": F.lit(VALIDATION)}
    prepared = [name for name in splits if name in frames]
    for name in prepared[1:]:
        other = columns[name]
        check_same_pictures(experiment, (first.kind, first.type), (other.kind, other.type), other.image)
    parts = [_standard(frames[n], splits[n], columns[n], experiment) for n in prepared]
    used = {"train": [*key_columns(source, experiment), *split_columns(source, experiment)]}
    return BoxPlan(
        experiment=experiment,
        spark=spark,
        rows=parts[0] if len(parts) == 1 else parts[0].unionAll(parts[1]),
        train=source.where(split == TRAIN),
        **sides_of(frames, split, experiment),
        columns=[(field.name, field.dataType.simpleString()) for field in source.schema],
        whole_labels=first.whole_labels,
        sources=tuple((frames[n], tuple(_that_matter(columns[n], used.get(n, [])))) for n in prepared),
        queries=applied.stored([first.image], _learnt(opened["train"], experiment)),
        steps=tuple(step.part for step in resolved.preprocess),
        rules=rules_of(experiment.to_dict()["data"]),
    )


def _learnt(source: DataFrame, experiment: Experiment) -> dict[str, Any]:
    """Return the columns of boxes and labels, and the types that they have in the source before any SQL step."""
    found = {name: same_name(source, name)[:1] for name in columns_of(experiment.to_dict()["data"])}
    return {name: source.schema[held[0]].dataType.jsonValue() if held else None for name, held in found.items()}


def truth(frame: DataFrame, data: Mapping[str, Any]) -> tuple[Column, Column]:
    """Return a frame's boxes as array<array<double>> and their labels as array<string>, whatever they are held in.

    `data` is an experiment's `data`, as bundle.json has it; its columns are there. Raises: DataError where boxes are
    structs whose fields do not say which number each is, or say another format.
    """
    boxes, labels = (same_name(frame, wanted)[0] for wanted in columns_of(data))
    kind = frame.schema[boxes].dataType
    each = kind.elementType if isinstance(kind, ArrayType) else None
    found = column(boxes)
    if isinstance(each, StructType):
        fields = _fields(each.names, boxes, rules_of(data).format)

        def numbers(box: Column) -> Column:
            # A null box stays one: getField of it would make a box of four nulls, which is told in other words.
            return F.when(box.isNotNull(), F.array(*(box.getField(name).cast("double") for name in fields)))

        found = F.transform(found, numbers)
    return found.cast("array<array<double>>"), column(labels).cast("array<string>")


def _check_cell(experiment: Experiment) -> None:
    """Raise SpecError for what a cell may say of other tasks, but not of this one."""
    refuse_keys(experiment, OTHERS, "what is learnt of a picture is named by `boxes` and `labels`.")
    if experiment.metrics:
        message = "metrics are SQL over one label a row, and a row of object-detection has boxes."
        hint = "Its own metrics are mean average precisions, of each label too."
        raise experiment.error(("metrics",), message, hint=hint, key=True, kind=SpecError)
    own = [n for n in SPLITS if isinstance(s := getattr(experiment.data, n), Source) and s.kind in BOX_KINDS]
    for key in ("format", "units"):
        if own and getattr(experiment.data, key) is not None:
            kind = getattr(experiment.data, own[0]).kind
            message = f"data.{own[0]} is {kind}, which says itself how its boxes are written; `{key}` is for columns."
            raise experiment.error(("data", key), message, hint=f"Leave `{key}` out.", key=True, kind=SpecError)


def _columns(frame: DataFrame, experiment: Experiment, source: str) -> Found:
    """Find the columns of `data.<source>` and check their types. Raises: DataError."""
    wanted = columns_of(experiment.to_dict()["data"])
    image = find_column(frame, experiment.data.image, experiment, source, "image")
    boxes, labels = (
        find_column(frame, name, experiment, source, role)
        for name, role in zip(wanted, ("boxes", "labels"), strict=True)
    )
    _check_boxes(frame, boxes, experiment, source)
    whole = _check_labels(frame, labels, experiment, source)
    kind, held = check_image(frame, image, experiment, source)
    return Found(image, kind, held, boxes, labels, whole)


def _check_boxes(frame: DataFrame, name: str, experiment: Experiment, source: str) -> None:
    kind = frame.schema[name].dataType
    each = kind.elementType if isinstance(kind, ArrayType) else None
    if _numbers(each):
        return
    if isinstance(each, StructType) and len(each) == 4 and all(isinstance(f.dataType, NumericType) for f in each):
        try:
            _fields(each.names, name, rules_of(experiment.to_dict()["data"]).format)
        except DataError as error:
            raise rows_error(experiment, source, error.message, error.hint) from None
        return
    shown = kind.simpleString()[:80]
    message = f"column '{name}' is {shown}; boxes are array<array<number>>, or arrays of structs of four numbers."
    hint = None
    if isinstance(each, StructType):
        whole = [f.name for f in each if isinstance(f.dataType, NumericType)][:4]
        hint = f"In SQL: {_in_sql(name, whole if len(whole) == 4 else ['x1', 'y1', 'x2', 'y2'])}"
    elif _numbers(kind):
        hint = f"For one box a row, in SQL: array({sql_name(name)}) AS {sql_name(name)}."
    raise rows_error(experiment, source, message, hint)


def _fields(fields: list[str], name: str, written: str) -> list[str]:
    """Return the fields of a box in the order of its numbers. Raises: DataError where they do not say `written`."""
    known = ordered(fields)
    if known is None:
        message = f"the boxes in '{name}' have the fields {', '.join(fields)}, which do not say which number each is."
        shown = "; ".join(", ".join(names) for names in list(FIELDS)[:6:2])
        raise DataError(message, hint=f"Known are {shown}. In SQL: {_in_sql(name, ['LEFT', 'TOP', 'RIGHT', 'BOTTOM'])}")
    if written not in known[1]:
        message = f"the boxes in '{name}' have the fields {', '.join(known[0])}, and are read as {written}."
        raise DataError(message, hint=f"`format: {' or '.join(known[1])}` under data says what they are.")
    return known[0]


def _in_sql(name: str, fields: list[str]) -> str:
    listed = ", ".join(f"b.{sql_name(field)}" for field in fields)
    return f"transform({sql_name(name)}, b -> array({listed})) AS {sql_name(name)}."


def _numbers(kind: DataType | None) -> bool:
    return isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType)


def _check_labels(frame: DataFrame, name: str, experiment: Experiment, source: str) -> bool:
    """Return whether the labels are whole numbers. Raises: DataError where they can be no classes."""
    kind = frame.schema[name].dataType
    each = kind.elementType if isinstance(kind, ArrayType) else None
    whole = each is not None and each.simpleString() in WHOLE_NUMBERS
    if not whole and not isinstance(each, StringType):
        message = f"column '{name}' is {kind.simpleString()[:80]}; the labels of a row's boxes are array<string>."
        boxes = columns_of(experiment.to_dict()["data"])[0]
        made = f"CAST({sql_name(name)} AS ARRAY<STRING>)"
        if not isinstance(kind, ArrayType):  # one label a row
            made = f"array_repeat({sql_name(name)}, size({sql_name(boxes)}))"
        raise rows_error(experiment, source, message, f"In SQL: {made} AS {sql_name(name)}.")
    return whole


def _standard(frame: DataFrame, split: Column, found: Found, experiment: Experiment) -> DataFrame:
    boxes, labels = truth(frame, experiment.to_dict()["data"])
    return frame.select(
        split.cast("int").alias("split"),
        F.xxhash64(*picture(found.image, found.kind), boxes, labels).alias("row"),
        column(found.image).alias("image"),
        boxes.alias("boxes"),
        labels.alias("labels"),
    )


def _that_matter(found: Found, others: list[str]) -> list[Column]:
    return [*picture(found.image, found.kind), *(column(name) for name in (found.boxes, found.labels, *others))]
