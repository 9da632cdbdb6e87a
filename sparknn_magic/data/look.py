"""A look at the rows, in one Spark job and without decoding: classes, sizes and colours, and how many there are."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknn_magic.data.columns import column, rows_error
from sparknn_magic.data.plan import PicturePlan, Plan, RowsPlan
from sparknn_magic.data.sources import FOLDER_COLUMNS
from sparknn_magic.data.splits import SPLITS, TEST
from sparknn_magic.data.worker import picture_header
from sparknn_magic.errors import DataError, SparkNNError
from sparknn_magic.plugin import ImageInputs
from sparknn_magic.spec.models import ColumnSplit, Source

MAX_CLASSES = 10_000
PICTURE_SECONDS, PIXEL_SECONDS = 5e-5, 2e-8  # to decode and resize, on one core
HEADER = "struct<height: int, width: int, channels: int, error: string>"


@dataclass(frozen=True)
class Inspected:
    """What the rows are."""

    inputs: ImageInputs  # what the preprocessing steps give
    classes: tuple[str, ...]
    rows: dict[str, int]  # train, validation, test: as many as there are before unusable ones are dropped
    partitions: int  # that Spark reads the rows in
    seconds: float  # that one core takes to prepare them; a rough guess


@dataclass(frozen=True)
class Headers:
    """The range of the pictures' sizes, from their headers."""

    height: tuple[int, int]
    width: tuple[int, int]
    colour: bool

    @property
    def seconds(self) -> float:
        """What one core takes to decode and resize a picture; a rough guess."""
        return PICTURE_SECONDS + PIXEL_SECONDS * self.height[1] * self.width[1]


def inspect(plan: Plan) -> Inspected:
    """Find the classes of the training rows, and the size and channels that the steps give.

    Raises: DataError where a split has no rows, where there is one class only, too many, or no picture at all, or
    where the pictures have several sizes and no step makes them equal.
    """
    labels = _labels(plan)
    rows = {name: sum(r[name] for r in labels) for name in SPLITS}
    check_splits(plan, rows)
    classes = find_classes(plan, labels)
    headers = find_headers(plan, labels)
    return Inspected(
        inputs=find_inputs(plan, headers),
        classes=classes,
        rows=rows,
        partitions=1 + max(r.partition for r in labels),
        seconds=headers.seconds * (rows["train"] + rows["validation"]),
    )


def _labels(plan: Plan) -> list[Any]:
    """Return a row for each label: how many rows have it in each split, and what their headers say."""
    shape = plan.shape

    @F.arrow_udf(HEADER)  # type: ignore[call-overload]
    def header(images: pa.Array) -> pa.Array:
        return picture_header(images, shape)

    seen = plan.rows.select(
        "split",
        "label",
        F.spark_partition_id().alias("partition"),
        # Pictures of the test rows have no say in what the network is built for.
        header(F.when(F.col("split") != TEST, F.col("image"))).alias("h"),
    )
    used = F.col("split") != TEST
    return (
        seen.groupBy("label")
        .agg(
            *(F.count(F.when(F.col("split") == number, 1)).alias(name) for name, number in SPLITS.items()),
            F.min("h.height").alias("h0"),
            F.max("h.height").alias("h1"),
            F.min("h.width").alias("w0"),
            F.max("h.width").alias("w1"),
            F.max("h.channels").alias("channels"),
            F.max(F.when(used, F.col("h.error"))).alias("error"),
            F.max("partition").alias("partition"),
        )
        .limit(MAX_CLASSES + 2)  # the null label and one too many
        .collect()
    )


def check_splits(plan: RowsPlan, rows: dict[str, int]) -> None:
    """Raise DataError where a split that the cell asks for has none of these rows."""
    data = plan.experiment.data
    if not any(rows.values()):
        raise rows_error(plan.experiment, "train", "data.train has no rows.")
    if not rows["train"]:
        raise rows_error(plan.experiment, "train", f"no row is left for training: {_sides(rows)}.")
    for name in ("validation", "test"):
        spec, frame = getattr(data, name), getattr(plan, name)
        if isinstance(spec, Source) and name == "test":
            empty = not frame.select(F.lit(1)).head(1)
        else:
            empty = frame is not None and not rows[name]
        if empty:
            raise _empty(plan, name, rows)


def _empty(plan: RowsPlan, name: str, rows: dict[str, int]) -> SparkNNError:
    spec = getattr(plan.experiment.data, name)
    if isinstance(spec, Source):
        return rows_error(plan.experiment, name, f"data.{name} has no rows.")
    if isinstance(spec, ColumnSplit):
        values = _values(plan.train, spec.column)
        hint = f"Among its values in the other rows: {', '.join(values)}." if values else None
        message = f"no row of data.train has {spec.equals!r} in the column '{spec.column}', so none is left for {name}."
        return rows_error(plan.experiment, name, message, hint)
    without = f"write `{name}: null` to do without" if name == "validation" else f"leave `{name}` out"
    return rows_error(
        plan.experiment,
        name,
        f"{spec.to_plain()} of the rows come to none for {name}, {rows['train']} for training.",
        f"Give a larger share or a source of its own, or {without}.",
    )


def _values(frame: DataFrame, name: str) -> list[str]:
    found = frame.select(column(name).cast("string").alias("value")).distinct().orderBy("value").limit(5).collect()
    return ["null" if r.value is None else f"'{r.value[:40]}'" for r in found]


def _sides(rows: dict[str, int]) -> str:
    return ", ".join(f"{name} takes {n:,}" for name, n in rows.items() if n)


def find_classes(plan: RowsPlan, labels: list[Any]) -> tuple[str, ...]:
    """Return the classes, sorted; `labels` has for each label its name, `label`, and its training rows, `train`.

    Raises: DataError where there are fewer than two, or more than `MAX_CLASSES`.
    """
    if len([r for r in labels if r.label is not None]) > MAX_CLASSES:
        message = f"there are more than {MAX_CLASSES:,} classes; is '{plan.experiment.data.label}' the label?"
        raise rows_error(plan.experiment, "train", message)
    classes = [r.label for r in labels if r.label is not None and r.train]
    if len(classes) < 2:
        only = f"only the class '{classes[0]}'" if classes else "no label at all"
        folder = [name for name, _ in plan.columns] == FOLDER_COLUMNS
        hint = (
            "In a folder of pictures the label is the name of the folder below: photos/cat/1.jpg." if folder else None
        )
        raise rows_error(
            plan.experiment, "train", f"the training rows have {only}; a classifier needs two or more.", hint
        )
    return tuple(sorted(classes, key=(lambda s: (int(s), s)) if plan.whole_labels else None))


def find_headers(plan: PicturePlan, seen: list[Any]) -> Headers:
    """Return the range of the pictures' sizes; `seen` has rows with h0, h1, w0, w1, channels and error.

    Raises: DataError where no row has a picture.
    """
    sized = [r for r in seen if r.h0 is not None]
    if not sized:
        reason = next((r.error for r in seen if r.error), "every value is null")
        message = f"no value of column '{plan.experiment.data.image}' is a picture: {reason}."
        raise rows_error(plan.experiment, "train", message)
    return Headers(
        height=(min(r.h0 for r in sized), max(r.h1 for r in sized)),
        width=(min(r.w0 for r in sized), max(r.w1 for r in sized)),
        colour=max(r.channels for r in sized) > 1,
    )


def find_inputs(plan: PicturePlan, headers: Headers) -> ImageInputs:
    """Return the size and channels that the steps give, by sending blank pictures through them.

    Raises: DataError where pictures of several sizes stay so, or where the steps refuse them.
    """
    steps = [step.build() for step in plan.steps]

    def outcome(height: int, width: int, mode: str) -> tuple[int, int, str]:
        image = Image.fromarray(np.zeros((height, width) if mode == "L" else (height, width, 3), np.uint8))
        for step in steps:
            image = step(image)
        return image.height, image.width, image.mode

    mode, found, refused = "RGB" if headers.colour else "L", set(), ""
    for height, width in product(_some(headers.height), _some(headers.width)):
        try:
            found.add(outcome(height, width, mode))
        except (SparkNNError, ValueError, OSError, ArithmeticError) as error:  # as `image_reader` drops such a row
            refused = error.message if isinstance(error, SparkNNError) else str(error)
    if not found:
        message = f"the steps refuse pictures of {_sizes(headers)}: {refused}"
        raise plan.experiment.error(("preprocess",), message, kind=DataError)
    if len({size[:2] for size in found}) > 1:
        raise plan.experiment.error(
            ("preprocess",) if plan.steps else ("data", "train"),
            f"the pictures have several sizes ({_sizes(headers)}) and no step makes them equal.",
            hint="Add a size, for example `preprocess: [{resize: 64}]`.",
            kind=DataError,
        )
    height, width, mode = found.pop()
    return ImageInputs(channels=1 if mode == "L" else 3, height=height, width=width)


def _some(sides: tuple[int, int]) -> set[int]:
    """Return the shortest side and, where there are others, some that are as good as the longest, but not as large."""
    low, high = sides
    return {low, min(high, low + 29), min(high, low + 997)}


def _sizes(headers: Headers) -> str:
    low, high = (f"{headers.height[i]}x{headers.width[i]}" for i in (0, 1))
    return low if low == high else f"{low} to {high}"
