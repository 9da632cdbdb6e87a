"""Rows of pictures with boxes -> prepared Parquet shards, by Spark. Runs on the driver.

As for other pictures (`data.spark`), but that a row's label is the boxes in it. Jobs: one that looks at picture headers
and boxes, whose result is counted by two more; one that decodes and writes; two that add up what was written.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.boxes import look
from sparknn_magic.data.boxes.formats import remarks
from sparknn_magic.data.boxes.job import BoxJob
from sparknn_magic.data.boxes.look import Inspected, notes
from sparknn_magic.data.boxes.plan import BoxPlan, plan
from sparknn_magic.data.boxes.shards import SHARDS, shard_batches
from sparknn_magic.data.folder import kept_and_dropped, make_or_find, read_shards, spark_says
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.spark import pixel_statistics, spread, sums_of_pixels, with_larger_tasks
from sparknn_magic.data.splits import TRAIN
from sparknn_magic.plugin import DetectionInputs

__all__ = ["BoxPlan", "BoxPrepared", "Inspected", "details", "inspect", "plan", "prepare", "sample_rows"]


@dataclass(frozen=True)
class BoxPrepared:
    """Prepared shards and what is known of them."""

    uri: str  # the same for the same rows and steps
    shards: str  # the folder below it
    inputs: DetectionInputs
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # a channel, of training pixels in 0..1
    std: tuple[float, ...]
    rows: dict[str, int]  # train, validation
    dropped: list[dict[str, Any]]  # reason, rows
    class_rows: dict[str, int]  # training boxes of each class
    boxes: dict[str, Any]  # boxes, background (rows), clipped, dropped, left (by reason), quantiles, examples
    notes: list[str]  # what the user should know of the boxes
    plan: BoxPlan = field(repr=False)
    reused: bool = False

    def frame(self, spark: SparkSession) -> DataFrame:
        """Return split int, row long, image binary, boxes binary (float32[n, 5]) of training and validation rows."""
        shards = read_shards(spark, f"{self.uri}/{self.shards}", SHARDS)
        return shards.where(f"split != {DROPPED}").select("split", "row", "image", "boxes")


def inspect(plan: BoxPlan) -> Inspected:
    """Find the classes of the training boxes, the size and channels that the steps give, and bad boxes.

    Raises: DataError where rows are missing or cannot be learnt from, or, with `bad_boxes: fail`, where a box is bad.
    """
    with spark_says(plan.experiment):
        said = _of_test_files(plan)
        look.refuse_bad_tests(plan)
        found = look.inspect(with_larger_tasks(plan))
    return replace(found, remarks=(*found.remarks, *said))


def details(plan: BoxPlan, found: Inspected) -> list[tuple[str, str]]:
    """Return what a dry run says of the boxes: lines `name, text`."""
    return look.details(found)


def prepare(plan: BoxPlan, folder: str, *, fresh: bool = False) -> BoxPrepared:
    """Return the prepared shards below `folder` (a path or URI that Spark can write); make them where they are missing.

    Raises: DataError as `inspect` does, or where no row is usable.
    """

    def make(uri: str) -> dict[str, Any]:
        whole = with_larger_tasks(plan)
        found = look.inspect(whole)
        _write(whole, found, uri)
        return _summarize(whole, found, uri)

    with spark_says(plan.experiment):
        said = _of_test_files(plan)
        look.refuse_bad_tests(plan)
        uri, meta, reused = make_or_find(plan, folder, SHARDS, make, fresh=fresh)
    inputs = meta["inputs"] | {"sizes": tuple(meta["inputs"]["sizes"])}
    return BoxPrepared(
        uri=uri,
        shards=meta["shards"],
        inputs=DetectionInputs(**inputs),
        classes=tuple(meta["classes"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        rows=meta["rows"],
        dropped=meta["dropped"],
        class_rows=meta["class_rows"],
        boxes=meta["boxes"],
        notes=[*meta["notes"], *said],
        plan=plan,
        reused=reused,
    )


def _of_test_files(plan: BoxPlan) -> list[str]:
    """Return what there is to say of the test rows' annotation files, which are no part of what is prepared."""
    return remarks(plan.spark, plan.experiment, ("test",))


def _write(plan: BoxPlan, found: Inspected, uri: str) -> None:
    job = BoxJob(plan.steps, found.inputs, plan.shape, found.classes, plan.rules)

    def shard(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return shard_batches(batches, job)

    spread(plan, found.seconds, found.partitions).mapInArrow(shard, SHARDS).write.mode("overwrite").parquet(uri)


def _summarize(plan: BoxPlan, found: Inspected, uri: str) -> dict[str, Any]:
    """Add up the shards' rows, their boxes, and the sums of their training pixels."""
    shards = read_shards(plan.spark, uri, SHARDS)
    size = F.size("classes")
    counted = (
        shards.groupBy("split", "error")
        .agg(
            F.count(F.lit(1)).alias("n"),
            F.sum(size).alias("boxes"),
            F.count(F.when(size == 0, 1)).alias("background"),
            *sums_of_pixels(found.inputs.channels),
        )
        .collect()
    )
    kept = [r for r in counted if r.split != DROPPED]
    rows, dropped = kept_and_dropped(plan.experiment, found.rows, counted)
    # As they are in the shards: some pictures have a good header and cannot be decoded.
    boxes = replace(found.boxes, boxes=sum(r.boxes for r in kept), background=sum(r.background for r in kept))
    return {
        "inputs": asdict(found.inputs) | {"sizes": list(found.inputs.sizes)},
        "classes": list(found.classes),
        **pixel_statistics([r for r in kept if r.split == TRAIN], found.inputs),
        "rows": rows,
        "dropped": dropped,
        "class_rows": _class_rows(shards, found.classes),
        "boxes": boxes.to_plain(),
        "notes": notes(boxes, found.remarks),
    }


def _class_rows(shards: DataFrame, classes: tuple[str, ...]) -> dict[str, int]:
    """Return how many training boxes each class has."""
    each = shards.where(f"split = {TRAIN}").select(F.explode("classes").alias("number"))
    found = {r.number: r.n for r in each.groupBy("number").agg(F.count(F.lit(1)).alias("n")).collect()}
    return {name: found.get(i, 0) for i, name in enumerate(classes)}


def sample_rows(
    prepared: BoxPrepared, spark: SparkSession, split: int, limit: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Bring at most `limit` prepared rows of a split to the driver, for checks.

    Returns: uint8[n, H, W, C], and of each picture float32[boxes, 5]: class number, x1, y1, x2, y2.
    """
    inputs = prepared.inputs
    rows = prepared.frame(spark).where(f"split = {split}").limit(limit).select("image", "boxes").toArrow()
    pixels = np.frombuffer(b"".join(rows.column("image").to_pylist()), np.uint8)
    boxes = [np.frombuffer(each, np.float32).reshape(-1, 5) for each in rows.column("boxes").to_pylist()]
    return pixels.reshape(-1, inputs.height, inputs.width, inputs.channels), boxes
