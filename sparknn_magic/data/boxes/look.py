"""A look at pictures with boxes, by Spark and without decoding: classes, sizes, and what is wrong. On the driver."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from sparknn_magic.data.boxes.average_precision import MOST
from sparknn_magic.data.boxes.formats import remarks
from sparknn_magic.data.boxes.geometry import placement
from sparknn_magic.data.boxes.job import (
    BEYOND,
    INVERTED,
    NO_FAULTS,
    OUTSIDE,
    REASONS,
    UNKNOWN,
    LookJob,
    columns_of,
    many,
)
from sparknn_magic.data.boxes.plan import BoxPlan, truth
from sparknn_magic.data.boxes.shards import LOOK, look_batches
from sparknn_magic.data.columns import column, rows_error, same_name
from sparknn_magic.data.look import MAX_CLASSES, check_splits, find_headers, find_inputs
from sparknn_magic.data.splits import SPLITS, TEST, TRAIN, VALIDATION
from sparknn_magic.errors import DataError, SparkNNError
from sparknn_magic.plugin import DetectionInputs, ImageInputs
from sparknn_magic.spec.models import BOX_KINDS, Source

MORE = 1.5  # times as many objects as a training picture has boxes may be given of one,
LIMIT = 1000  # but no more: a picture that is annotated wrongly must not make all answers large
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MANY_WRONG = 0.2  # of the boxes: so many in wrong places are rather written in another format
TINY = 1.0  # pixels of the largest picture: where nearly all boxes are smaller, they are rather fractions
FORMATS = "Are they what `format` and `units` say? Without these they are read as xyxy, corners, in pixels."
SIDES = "Are they of these pictures, at this size, and upright as the pictures' EXIF data says?"
ACCURACY = 10_000  # of percentile_approx: a rank is off by at most one part in this many


@dataclass(frozen=True)
class BoxCounts:
    """What is known of the boxes of training and validation rows."""

    boxes: int  # good ones
    background: int  # rows without any
    clipped: int  # good ones that were cut at the picture's edges
    left: dict[str, int]  # left out, by reason
    example_clipped: str | None = None
    example_left: str | None = None
    quantiles: tuple[float, ...] = ()  # `QUANTILES` of sqrt(area) in pixels of the prepared training pictures
    most: int = 0  # good ones of a training picture, at most

    @property
    def dropped(self) -> int:
        """How many are left out."""
        return sum(self.left.values())

    def to_plain(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {**asdict(self), "quantiles": list(self.quantiles), "dropped": self.dropped}


@dataclass(frozen=True)
class Inspected:
    """What the rows are."""

    inputs: DetectionInputs  # what the preprocessing steps give
    classes: tuple[str, ...]
    rows: dict[str, int]  # train, validation, test: as many as there are before unusable ones are dropped
    partitions: int  # that Spark reads the rows in
    seconds: float  # that one core takes to prepare them; a rough guess
    boxes: BoxCounts
    remarks: tuple[str, ...] = field(default=())  # on annotation files


def inspect(plan: BoxPlan) -> Inspected:
    """Find the classes of the training boxes, the size and channels that the steps give, and bad boxes.

    Raises: DataError where a split has no rows, where no training row has a good box, where the pictures have several
    sizes and no step makes them equal, or, with `bad_boxes: fail`, where a box is bad.
    """
    said = remarks(plan.spark, plan.experiment, ("train", "validation"))
    seen = seen_rows(plan).persist()  # read by three jobs; it has no pictures
    try:
        sides = _sides(seen)
        rows = {name: sum(r.n for r in sides if r.split == number) for name, number in SPLITS.items()}
        check_splits(plan, rows)
        headers = find_headers(plan, sides)
        counts = _counts(sides)
        if plan.rules.bad == "fail":
            _refuse_bad(plan, counts)
        classes, counts = _classes(plan, seen, counts)
        inputs = find_inputs(plan, headers)
        check_places(plan, headers.width[0], headers.height[0], inputs)
        sizes = _quantiles(seen)
        scale = min(inputs.width / headers.width[1], inputs.height / headers.height[1])
    finally:
        seen.unpersist()
    return Inspected(
        inputs=DetectionInputs(inputs.channels, inputs.height, inputs.width, sizes),
        classes=classes,
        rows=rows,
        partitions=1 + max(r.partition for r in sides),
        seconds=headers.seconds * (rows["train"] + rows["validation"]),
        boxes=replace(counts, quantiles=sizes),
        remarks=(*said, *_doubts(plan, counts, sizes[-1] / scale if sizes else math.inf), *_unjudged(sides, counts)),
    )


def _doubts(plan: BoxPlan, counts: BoxCounts, size: float) -> list[str]:
    """Return what speaks against boxes being what they are read as.

    Nearly all are at most as large as `size`, the root of the area in pixels of the largest picture.
    """
    advice = SIDES if _annotated(plan) else FORMATS
    if _misplaced(counts) > MANY_WRONG * (counts.boxes + counts.dropped):
        return [f"many boxes are inverted or reach beyond their pictures. {advice}"]
    if size < TINY:
        return [f"nearly all boxes are smaller than a pixel. {advice}"]
    return []


def _unjudged(sides: list[Any], counts: BoxCounts) -> list[str]:
    """Return what is to be said of validation rows that have no box by which an epoch could be judged."""
    boxes = sum(r.boxes for r in sides if r.split == VALIDATION) - counts.left.get(REASONS[UNKNOWN], 0)
    if any(r.split == VALIDATION for r in sides) and not boxes:
        return ["no validation row has a box: AP50 cannot tell which epoch is best."]
    return []


def _annotated(plan: BoxPlan) -> bool:
    """Tell whether the training boxes come from annotation files, which say themselves how they are written."""
    source = plan.experiment.data.train
    return isinstance(source, Source) and source.kind in BOX_KINDS


def _misplaced(counts: BoxCounts) -> int:
    return counts.clipped + sum(counts.left.get(REASONS[n], 0) for n in (INVERTED, OUTSIDE, BEYOND))


def seen_rows(plan: BoxPlan) -> DataFrame:
    """Return a row of `LOOK` for each row, and its partition; pictures of test rows have no say."""
    used = F.col("split") != TEST
    read = (F.when(used, F.col(name)).alias(name) for name in ("image", "boxes", "labels"))
    return _looked_at(plan, plan.rows.select("split", *read))


def refuse_bad_tests(plan: BoxPlan) -> None:
    """Raise DataError where a box of a test row is bad and the cell says `bad_boxes: fail`: before hours of training.

    A Spark job over the headers of these pictures.
    """
    if plan.rules.bad != "fail" or plan.test is None:
        return
    data = plan.experiment.to_dict()["data"]
    image = column(same_name(plan.test, data["image"])[0])
    boxes, labels = truth(plan.test, data)
    # As rows of another split: those of test rows have no say.
    rows = plan.test.select(
        F.lit(VALIDATION).alias("split"), image.alias("image"), boxes.alias("boxes"), labels.alias("labels")
    )
    _refuse_bad(plan, _counts(_sides(_looked_at(plan, rows))), "the test rows have ")


def _looked_at(plan: BoxPlan, given: DataFrame) -> DataFrame:
    """Return rows of `LOOK` of (split, image, boxes, labels)."""
    job = LookJob(plan.steps, plan.shape, plan.rules)

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return look_batches(batches, job)

    return given.mapInArrow(look, LOOK).withColumn("partition", F.spark_partition_id())


def _sides(seen: DataFrame) -> list[Any]:
    """Return of each split its rows, the range of picture sizes, and what its boxes are."""
    used = F.col("split") != TEST

    def total(value: Column) -> Column:
        return F.coalesce(F.sum(value), F.lit(0))

    return (
        seen.groupBy("split")
        .agg(
            F.count(F.lit(1)).alias("n"),
            F.min("height").alias("h0"),
            F.max("height").alias("h1"),
            F.min("width").alias("w0"),
            F.max("width").alias("w1"),
            F.max("channels").alias("channels"),
            F.max(F.when(used, F.col("error"))).alias("error"),
            F.max("partition").alias("partition"),
            F.count(F.when(used & F.col("error").isNull() & (F.size("labels") == 0), 1)).alias("background"),
            total(F.size("labels")).alias("boxes"),
            F.max(F.when(F.col("split") == TRAIN, F.size("labels"))).alias("most"),
            total(F.col("clipped")).alias("clipped"),
            F.array(*(total(F.col("left")[i]) for i in range(len(REASONS)))).alias("left"),
            F.min("example_clipped").alias("example_clipped"),
            F.min("example_left").alias("example_left"),
        )
        .collect()
    )


def _counts(sides: list[Any]) -> BoxCounts:
    left = {reason: sum(r.left[i] for r in sides) for i, reason in enumerate(REASONS)}
    return BoxCounts(
        boxes=sum(r.boxes for r in sides),
        background=sum(r.background for r in sides),
        clipped=sum(r.clipped for r in sides),
        left={reason: n for reason, n in left.items() if n},
        example_clipped=next((r.example_clipped for r in sides if r.example_clipped), None),
        example_left=next((r.example_left for r in sides if r.example_left), None),
        most=max((r.most or 0 for r in sides), default=0),
    )


def _refuse_bad(plan: BoxPlan, counts: BoxCounts, whose: str = "") -> None:
    """Raise DataError where a box is bad; the words begin with `whose`."""
    faults = {reason: n for reason, n in counts.left.items() if reason not in {REASONS[i] for i in NO_FAULTS}}
    if counts.clipped:
        faults["reaching beyond the picture"] = counts.clipped
    if not faults:
        return
    listed = ", ".join(f"{n:,} {reason}" for reason, n in faults.items())
    words = many(sum(faults.values()), "bad box", "bad boxes")
    message = f"{whose}{words}: {listed}; such as {counts.example_left or counts.example_clipped}."
    raise plan.experiment.error(
        ("data", "bad_boxes"),
        message,
        hint="`bad_boxes: clip` cuts boxes at the picture's edges and leaves other bad ones out; drop leaves out all.",
        kind=DataError,
    )


def _classes(plan: BoxPlan, seen: DataFrame, counts: BoxCounts) -> tuple[tuple[str, ...], BoxCounts]:
    """Return the labels of the training rows' good boxes, sorted; and the counts without boxes of other labels."""
    each = seen.select("split", F.explode("labels").alias("label")).groupBy("label")
    sums = each.agg(*(F.count(F.when(F.col("split") == n, 1)).alias(name) for name, n in SPLITS.items()))
    labelled = sums.limit(MAX_CLASSES + 1).collect()
    found = [r.label for r in labelled if r.train]
    boxes, labels = columns_of(plan.experiment.to_dict()["data"])
    if len(labelled) > MAX_CLASSES:
        message = f"the boxes have more than {MAX_CLASSES:,} labels; is '{labels}' their class?"
        raise rows_error(plan.experiment, "train", message)
    if not found:
        raise _no_box(plan, boxes, counts)
    classes = tuple(sorted(found, key=(lambda s: (int(s), s)) if plan.whole_labels else None))
    others = sorted(r.label for r in labelled if not r.train)
    if not others:
        return classes, counts
    unknown = sum(r.validation for r in labelled if not r.train)
    example = counts.example_left or f"one of '{others[0][:40]}'"
    left = counts.left | {REASONS[UNKNOWN]: unknown}
    return classes, replace(counts, boxes=counts.boxes - unknown, left=left, example_left=example)


def _no_box(plan: BoxPlan, boxes: str, counts: BoxCounts) -> SparkNNError:
    why = f": {many(counts.dropped, 'is', 'are')} bad, such as {counts.example_left}" if counts.dropped else ""
    hint = (SIDES if _annotated(plan) else FORMATS) if _misplaced(counts) else None
    return rows_error(plan.experiment, "train", f"no training row has a good box in '{boxes}'{why}.", hint)


def check_places(plan: BoxPlan, width: int, height: int, inputs: ImageInputs) -> None:
    """Raise DataError where a step changes the size of pictures and does not say where their pixels go."""
    found = placement([step.build() for step in plan.steps], width, height)[1]
    if found != (inputs.width, inputs.height):
        message = "a step changes the size of pictures and has no `place` and `size`, by which boxes could follow."
        hint = "resize, letterbox, center_crop and pad have them; `sparknn_magic.plugin` says what they are."
        raise plan.experiment.error(("preprocess",), message, hint=hint, kind=DataError)


def _quantiles(seen: DataFrame) -> tuple[float, ...]:
    """Return `QUANTILES` of the sizes of training boxes; () where the steps cut them all away."""
    sizes = seen.where(F.col("split") == TRAIN).select(F.explode("sizes").alias("size"))
    found = sizes.agg(F.percentile_approx("size", list(QUANTILES), ACCURACY).alias("q")).collect()[0].q
    return tuple(round(float(q), 2) for q in found or ())


def details(found: Inspected) -> list[tuple[str, str]]:
    """Return what a dry run says of the boxes: lines `name, text`."""
    counts, inputs = found.boxes, found.inputs
    rows = found.rows["train"] + found.rows["validation"]
    words = f"{counts.boxes:,} in {rows:,} rows, {counts.background:,} of them background"
    lines = [("boxes", words)]
    if inputs.sizes:
        low, _, middle, _, high = inputs.sizes
        size = f"{low:.0f} to {high:.0f} pixels, {middle:.0f} in the median"
        lines.append(("box sizes", f"{size}: the square root of the area, in {inputs.width} x {inputs.height}"))
    return [*lines, *(("note", note) for note in notes(counts, found.remarks))]


def most_objects(boxes: int) -> int:
    """Return how many objects of a picture a model gives at most, whose training pictures have up to so many boxes."""
    return max(MOST, min(math.ceil(MORE * boxes), LIMIT))


def notes(counts: BoxCounts, said: tuple[str, ...]) -> list[str]:
    """Return what the user should know of the boxes: sentences."""
    found = list(said)
    if counts.most > MOST:
        given = f"the model gives up to {most_objects(counts.most):,}, if it has as many candidates"
        figures = f"COCO's figures count the {MOST} surest of each class"
        found.append(f"a picture has up to {counts.most:,} boxes: {given}; {figures}.")
    if counts.clipped:
        words = many(
            counts.clipped, "box reaches beyond its picture and is", "boxes reach beyond their pictures and are"
        )
        found.append(f"{words} cut at the edges, such as {counts.example_clipped}.")
    if counts.left:
        listed = ", ".join(f"{n:,} {reason}" for reason, n in counts.left.items())
        words = many(counts.dropped, "box is", "boxes are")
        example = f"; such as {counts.example_left}" if counts.example_left else ""
        found.append(f"{words} left out: {listed}{example}.")
    return found
