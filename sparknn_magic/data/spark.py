"""Rows of pictures -> prepared Parquet shards, by Spark. Runs on the driver; what executors do is in `shards.py`.

Three jobs: one looks at labels and picture headers (`look.py`), one decodes and writes, one adds up what was written.
Nothing is collected but their aggregates.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic import cluster
from sparknn_magic.data import look
from sparknn_magic.data.folder import in_tasks, kept_and_dropped, make_or_find, read_shards, spark_says
from sparknn_magic.data.job import PrepareJob
from sparknn_magic.data.look import Inspected
from sparknn_magic.data.plan import PicturePlan, Plan, plan
from sparknn_magic.data.shards import DROPPED, SHARDS, shard_batches
from sparknn_magic.data.sources import BOX_COLUMNS, FOLDER_COLUMNS
from sparknn_magic.data.splits import TEST, TRAIN, VALIDATION
from sparknn_magic.plugin import DetectionInputs, ImageInputs

__all__ = [
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Inspected",
    "Plan",
    "Prepared",
    "inspect",
    "plan",
    "prepare",
    "sample_rows",
]

P = TypeVar("P", bound=PicturePlan)
TASK_SECONDS = 1.0  # of work; less is not worth a task of its own
TASK_FILES = 256  # of a folder's pictures; Spark itself gives a task some thirty


@dataclass(frozen=True)
class Prepared:
    """Prepared shards and what is known of them."""

    uri: str  # the same for the same rows and steps
    shards: str  # the folder below it
    inputs: ImageInputs
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # a channel, of training pixels in 0..1
    std: tuple[float, ...]
    rows: dict[str, int]  # train, validation
    dropped: list[dict[str, Any]]  # reason, rows
    class_rows: dict[str, int]  # training rows of each class
    reused: bool = False
    columns: tuple[str, ...] = ()  # further numbers of the row, for the loss

    def frame(self, spark: SparkSession) -> DataFrame:
        """Return split int, row long, label int, image binary of the training and validation rows, and `columns`."""
        shards = read_shards(spark, f"{self.uri}/{self.shards}", SHARDS)
        numbers = [F.col("extra")[i].alias(name) for i, name in enumerate(self.columns)]
        return shards.where(f"split != {DROPPED}").select("split", "row", "label", "image", *numbers)


def inspect(plan: Plan) -> Inspected:
    """Find the classes of the training rows, and the size and channels that the steps give, in one job.

    Raises: DataError where rows are missing, or are not what a classifier can be trained on.
    """
    with spark_says(plan.experiment):
        return look.inspect(with_larger_tasks(plan))


def prepare(plan: Plan, folder: str, *, fresh: bool = False) -> Prepared:
    """Return the prepared shards below `folder` (a path or URI that Spark can write); make them where they are missing.

    Raises: DataError where there are no usable rows, one class only, or pictures of several sizes and no step
    that makes them equal.
    """

    def make(uri: str) -> dict[str, Any]:
        whole = with_larger_tasks(plan)
        found = look.inspect(whole)
        _write(whole, found, uri)
        return _summarize(whole, found, uri)

    with spark_says(plan.experiment):
        uri, meta, reused = make_or_find(plan, folder, SHARDS, make, fresh=fresh)
        return _from_meta(uri, meta, plan.extra, reused=reused)


def with_larger_tasks(plan: P) -> P:
    """Let a task take more of a folder's files: starting one costs as much as decoding a dozen pictures."""
    if [name for name, _ in plan.columns] not in (FOLDER_COLUMNS, BOX_COLUMNS):
        return plan
    files = sum(frame.select(F.lit(1)).count() for frame, _ in plan.sources)
    tasks = max(2 * (cluster.slots(plan.spark) or 1), files // TASK_FILES)
    return replace(plan, rows=plan.rows.coalesce(tasks))


def _write(plan: Plan, found: Inspected, uri: str) -> None:
    job = PrepareJob(plan.steps, found.inputs, plan.shape, found.classes)

    def shard(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return shard_batches(batches, job)

    spread(plan, found.seconds, found.partitions).mapInArrow(shard, SHARDS).write.mode("overwrite").parquet(uri)


def spread(plan: PicturePlan, seconds: float, partitions: int) -> DataFrame:
    """Return the rows that are to be prepared, in enough tasks for a work of so many seconds on one core."""
    rows = plan.rows.where(F.col("split") != TEST)
    return in_tasks(plan, rows, int(seconds / TASK_SECONDS), partitions)


def _summarize(plan: Plan, found: Inspected, uri: str) -> dict[str, Any]:
    """Add up the shards' rows and the sums of their training pixels."""
    counted = (
        read_shards(plan.spark, uri, SHARDS)
        .groupBy("split", "label", "error")
        .agg(F.count(F.lit(1)).alias("n"), *sums_of_pixels(found.inputs.channels))
        .collect()
    )
    rows, dropped = kept_and_dropped(plan.experiment, found.rows, counted)
    training = [r for r in counted if r.split == TRAIN]
    return {
        "inputs": asdict(found.inputs),
        "classes": list(found.classes),
        **pixel_statistics(training, found.inputs),
        "rows": rows,
        "dropped": dropped,
        "class_rows": {name: sum(r.n for r in training if r.label == i) for i, name in enumerate(found.classes)},
    }


def sums_of_pixels(channels: int) -> list[Column]:
    """Return aggregates of shards for `pixel_statistics`."""
    totals = [(f"{name}{c}", F.col(name)[c]) for c in range(channels) for name in ("total", "squares")]
    return [F.sum(value.cast("decimal(38,0)")).alias(name) for name, value in totals]


def pixel_statistics(training: list[Any], inputs: ImageInputs | DetectionInputs) -> dict[str, list[float]]:
    """Return mean and std of each channel's pixels in 0..1.

    `training` are rows of `sums_of_pixels` over the training rows, `n` rows each.
    """
    pixels = sum(r.n for r in training) * inputs.height * inputs.width
    moments = [
        _moments(pixels, *(sum(int(r[f"{name}{c}"]) for r in training) for name in ("total", "squares")))
        for c in range(inputs.channels)
    ]
    return {"mean": [mean for mean, _ in moments], "std": [std for _, std in moments]}


def _moments(n: int, total: int, squares: int) -> tuple[float, float]:
    """Return mean and standard deviation, in 0..1, of n values 0..255; whole numbers, so nothing is rounded before."""
    variance = (n * squares - total * total) / (n * n * 255 * 255)
    # A channel that never changes is only shifted: dividing by its zero spread would make it infinite.
    return total / (n * 255), variance**0.5 if variance > 1e-10 else 1.0


def _from_meta(uri: str, meta: dict[str, Any], columns: tuple[str, ...], *, reused: bool) -> Prepared:
    return Prepared(
        uri=uri,
        shards=meta["shards"],
        inputs=ImageInputs(**meta["inputs"]),
        classes=tuple(meta["classes"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        rows=meta["rows"],
        dropped=meta["dropped"],
        class_rows=meta["class_rows"],
        reused=reused,
        columns=columns,
    )


def sample_rows(prepared: Prepared, spark: SparkSession, split: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring at most `limit` prepared rows of a split to the driver, for checks: uint8[n, H, W, C], int64[n]."""
    inputs = prepared.inputs
    rows = prepared.frame(spark).where(f"split = {split}").limit(limit).select("image", "label").toArrow()
    pixels = np.frombuffer(b"".join(rows.column("image").to_pylist()), np.uint8)
    shape = (-1, inputs.height, inputs.width, inputs.channels)
    return pixels.reshape(shape), rows.column("label").to_numpy().astype(np.int64)
