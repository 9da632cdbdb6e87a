"""Rows of numbers and categories -> prepared Parquet shards, by Spark. Runs on the driver.

Jobs: one for labels, one for each step that is fitted to what others give, one for categories, one that writes, one
that adds up what was written. Nothing is collected but aggregates, and the values of categories.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.folder import in_tasks, kept_and_dropped, make_or_find, read_shards, spark_says
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.splits import TEST, TRAIN
from sparknn_magic.data.vectors.job import Feature, FittedStep, VectorJob, number_names, plain_steps, read_steps
from sparknn_magic.data.vectors.look import Inspected, looked, required_categories
from sparknn_magic.data.vectors.plan import VectorPlan, plan
from sparknn_magic.data.vectors.shards import shard_batches, shard_schema
from sparknn_magic.data.vectors.steps import build_steps, stays_missing
from sparknn_magic.data.vectors.worker import Vectors
from sparknn_magic.plugin import VectorInputs

__all__ = ["Inspected", "Prepared", "VectorPlan", "inspect", "plan", "prepare", "sample_rows"]

TASK_NUMBERS = 10_000_000  # of a row's numbers and categories, times rows; fewer are not worth a task of their own


@dataclass(frozen=True)
class Prepared:
    """Prepared shards and what is known of them."""

    uri: str  # the same for the same rows and steps
    shards: str  # the folder below it
    features: tuple[Feature, ...]
    inputs: VectorInputs
    steps: tuple[FittedStep, ...]
    categories: tuple[tuple[str, ...], ...]  # of each categorical column, in the order of codes 1, 2, ...
    distinct: tuple[int, ...]  # of each how many different values the training rows have
    missing: tuple[int, ...]  # of each of the numbers, among the training rows
    classes: tuple[str, ...]  # none where a number is learnt
    mean: float  # of the numbers learnt
    std: float
    rows: dict[str, int]  # train, validation
    dropped: list[dict[str, Any]]  # reason, rows
    class_rows: dict[str, int]  # training rows of each class
    plan: VectorPlan = field(repr=False)
    reused: bool = False

    def frame(self, spark: SparkSession) -> DataFrame:
        """Return split int, row long, label, numbers and codes (bytes), and the extra columns."""
        schema = shard_schema(self.plan.regression, self.plan.extra)
        shards = read_shards(spark, f"{self.uri}/{self.shards}", schema)
        return shards.where(f"split != {DROPPED}").drop("error")

    def required(self) -> list[str]:
        """Return the names of the numbers and of the categorical columns that no row may be without."""
        names = number_names(self.features)
        stay = stays_missing(build_steps(self.steps, len(names)), len(names))
        return [name for name, missing in zip(names, stay, strict=True) if missing] + [
            name for name in required_categories(self.plan) if name is not None
        ]

    def job(self) -> VectorJob:
        """Return what executors did to the rows."""
        return vector_job(self.plan, self)


def inspect(plan: VectorPlan) -> Inspected:
    """Look at the rows and fit the steps.

    Raises: DataError where rows are missing, have nulls that no step fills, or cannot be learnt from.
    """
    with spark_says(plan.experiment), looked(plan) as (_, found):
        return found


def prepare(plan: VectorPlan, folder: str, *, fresh: bool = False) -> Prepared:
    """Return the prepared shards below `folder` (a path or URI that Spark can write); make them where they are missing.

    Raises: DataError as `inspect` does, or where no row is usable.
    """
    schema = shard_schema(plan.regression, plan.extra)

    def make(uri: str) -> dict[str, Any]:
        with looked(plan) as (rows, found):
            _write(plan, rows, found, uri, schema)
        return _summarize(plan, found, uri, schema)

    with spark_says(plan.experiment):
        uri, meta, reused = make_or_find(plan, folder, schema, make, fresh=fresh)
    return _from_meta(plan, uri, meta, reused=reused)


@dataclass(frozen=True, eq=False)
class Sample:
    """Some rows, as training reads them and as they are."""

    numbers: np.ndarray  # float32[rows, F], after the steps
    codes: np.ndarray  # int32[rows, G]
    labels: np.ndarray  # int64[rows] class numbers, or float64[rows] standardized
    raw: dict[str, np.ndarray]  # by the names of a model file's inputs


def sample_rows(prepared: Prepared, split: int, limit: int, read: Callable[..., Vectors]) -> Sample:
    """Bring at most `limit` usable rows of a split to the driver, for checks; `read` is a `vector_reader`.

    They are prepared here by the code that prepares rows on executors.
    """
    plan, job = prepared.plan, prepared.job()
    features = prepared.features
    rows = plan.sample({f.name: f.width for f in features}, split, limit).toArrow().combine_chunks()
    batches = rows.to_batches() or [pa.RecordBatch.from_pylist([], schema=rows.schema)]
    batch = batches[0]
    shard = next(shard_batches(iter([batch]), job))
    found = read(*(batch.column(f"f{i}") for i in range(len(features))))
    used = shard.column("split").to_numpy() != DROPPED
    both = found.rows[used[found.rows]]
    sizes = {"numbers": (np.float32, job.inputs[0]), "codes": (np.int32, job.inputs[1])}
    arrays = {
        name: np.frombuffer(b"".join(shard.column(name).to_pylist()), dtype).reshape(len(used), size)[both]
        for name, (dtype, size) in sizes.items()
    }
    labels = shard.column("label").to_numpy(zero_copy_only=False)[both]
    return Sample(
        **arrays,
        labels=labels.astype(np.float64 if plan.regression else np.int64),
        raw={name: values[used[found.rows]] for name, values in found.inputs.items()},
    )


def vector_job(plan: VectorPlan, found: "Inspected | Prepared") -> VectorJob:
    """Return what executors do to the rows."""
    return VectorJob(
        names=number_names(found.features),
        steps=found.steps,
        categories=found.categories,
        required=required_categories(plan),
        classes=None if plan.regression else found.classes,
        mean=found.mean,
        std=found.std,
        columns=plan.extra,
    )


def _write(plan: VectorPlan, rows: DataFrame, found: Inspected, uri: str, schema: str) -> None:
    job = vector_job(plan, found)

    def shard(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return shard_batches(batches, job)

    rows = rows.where(F.col("split") != TEST)
    tasks = sum(found.rows.values()) * sum(job.inputs) // TASK_NUMBERS
    in_tasks(plan, rows, tasks, found.partitions).mapInArrow(shard, schema).write.mode("overwrite").parquet(uri)


def _summarize(plan: VectorPlan, found: Inspected, uri: str, schema: str) -> dict[str, Any]:
    """Count the shards' rows."""
    keys = ["split", "error"] if plan.regression else ["split", "error", "label"]
    counted = read_shards(plan.spark, uri, schema).groupBy(*keys).agg(F.count(F.lit(1)).alias("n")).collect()
    rows, dropped = kept_and_dropped(plan.experiment, found.rows, counted)
    by_class = {} if plan.regression else {r.label: r.n for r in counted if r.split == TRAIN}
    return {
        "features": [asdict(f) for f in found.features],
        "inputs": asdict(found.inputs),
        "steps": plain_steps(found.steps),
        "categories": found.categories,
        "distinct": found.distinct,
        "missing": found.missing,
        "classes": found.classes,
        "mean": found.mean,
        "std": found.std,
        "rows": rows,
        "dropped": dropped,
        "class_rows": {name: by_class.get(i, 0) for i, name in enumerate(found.classes)},
    }


def _from_meta(plan: VectorPlan, uri: str, meta: dict[str, Any], *, reused: bool) -> Prepared:
    inputs = meta["inputs"]
    return Prepared(
        uri=uri,
        shards=meta["shards"],
        features=tuple(Feature(**f) for f in meta["features"]),
        inputs=VectorInputs(inputs["numbers"], tuple(inputs["categories"]), tuple(inputs["embedded"])),
        steps=read_steps(meta["steps"]),
        categories=tuple(tuple(values) for values in meta["categories"]),
        distinct=tuple(meta["distinct"]),
        missing=tuple(meta["missing"]),
        classes=tuple(meta["classes"]),
        mean=meta["mean"],
        std=meta["std"],
        rows=meta["rows"],
        dropped=meta["dropped"],
        class_rows=meta["class_rows"],
        plan=plan,
        reused=reused,
    )
