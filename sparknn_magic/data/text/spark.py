"""Rows of texts -> prepared Parquet shards, by Spark. Runs on the driver.

Jobs: one that counts rows, one for labels, one whose only task trains the tokenizer, one that writes, one that adds up
what was written. Nothing is collected but aggregates, and the tokenizer.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.folder import in_tasks, kept_and_dropped, make_or_find, read_shards, spark_says
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.splits import TEST, TRAIN
from sparknn_magic.data.text.job import TextJob
from sparknn_magic.data.text.look import Inspected, details, looked
from sparknn_magic.data.text.plan import TextPlan, plan
from sparknn_magic.data.text.shards import shard_batches, shard_schema
from sparknn_magic.plugin import TextInputs

__all__ = ["Inspected", "Prepared", "TextPlan", "details", "inspect", "plan", "prepare", "sample_rows", "spread"]

TASK_ROWS = 20_000  # texts; fewer are not worth a task of their own


@dataclass(frozen=True)
class Prepared:
    """Prepared shards and what is known of them."""

    uri: str  # the same for the same rows and steps
    shards: str  # the folder below it
    inputs: TextInputs
    classes: tuple[str, ...]
    tokenizer: str  # tokenizer.json
    quantiles: tuple[int, ...]  # of the training texts' lengths in tokens: median, 95 %, longest
    cut: int  # training and validation rows that are longer than the network reads
    rows: dict[str, int]  # train, validation
    dropped: list[dict[str, Any]]  # reason, rows
    class_rows: dict[str, int]  # training rows of each class
    plan: TextPlan = field(repr=False)
    reused: bool = False

    def frame(self, spark: SparkSession) -> DataFrame:
        """Return split int, row long, label, tokens binary, and the extra columns."""
        schema = shard_schema(self.plan.multilabel, self.plan.extra)
        shards = read_shards(spark, f"{self.uri}/{self.shards}", schema)
        return shards.where(f"split != {DROPPED}").drop("error", "length", "cut")

    @property
    def notes(self) -> list[str]:
        """What the user should know of the rows: how many texts are cut."""
        if not self.cut:
            return []
        rows, most = sum(self.rows.values()), self.inputs.length
        return [f"{self.cut:,} of {rows:,} texts have more than {most:,} tokens; the network reads the first {most:,}."]


def inspect(plan: TextPlan) -> Inspected:
    """Find the classes, train the tokenizer and find the length of the texts.

    Raises: DataError where rows are missing or cannot be learnt from.
    """
    with spark_says(plan.experiment), looked(plan) as (_, found):
        return found


def prepare(plan: TextPlan, folder: str, *, fresh: bool = False) -> Prepared:
    """Return the prepared shards below `folder` (a path or URI that Spark can write); make them where they are missing.

    Raises: DataError as `inspect` does, or where no row is usable.
    """
    schema = shard_schema(plan.multilabel, plan.extra)

    def make(uri: str) -> dict[str, Any]:
        with looked(plan) as (rows, found):
            _write(plan, rows, found, uri, schema)
        return _summarize(plan, found, uri, schema)

    with spark_says(plan.experiment):
        uri, meta, reused = make_or_find(plan, folder, schema, make, fresh=fresh)
    return Prepared(**fields_of(plan, uri, meta), reused=reused)


def fields_of(plan: TextPlan, uri: str, meta: dict[str, Any]) -> dict[str, Any]:
    """Return what `Prepared` has of rows whose meta.json this is."""
    return {
        "uri": uri,
        "shards": meta["shards"],
        "inputs": TextInputs(**meta["inputs"]),
        "classes": tuple(meta["classes"]),
        "tokenizer": meta["tokenizer"],
        "quantiles": tuple(meta["quantiles"]),
        "cut": meta["cut"],
        "rows": meta["rows"],
        "dropped": meta["dropped"],
        "class_rows": meta["class_rows"],
        "plan": plan,
    }


def _write(plan: TextPlan, rows: DataFrame, found: Inspected, uri: str, schema: str) -> None:
    job = TextJob(
        steps=plan.steps,
        tokenizer=found.tokenizer,
        length=found.inputs.length,
        pair=plan.pair,
        classes=found.classes,
        multilabel=plan.multilabel,
        columns=plan.extra,
    )

    def shard(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return shard_batches(batches, job)

    used = spread(plan, rows.where(F.col("split") != TEST), found)
    used.mapInArrow(shard, schema).write.mode("overwrite").parquet(uri)


def spread(plan: TextPlan, rows: DataFrame, found: Inspected) -> DataFrame:
    """Return the rows in as many partitions as are worth it."""
    return in_tasks(plan, rows, sum(found.rows.values()) // TASK_ROWS, found.partitions)


def _summarize(plan: TextPlan, found: Inspected, uri: str, schema: str) -> dict[str, Any]:
    """Count the shards' rows."""
    shards = read_shards(plan.spark, uri, schema)
    keys = ["split", "error"] if plan.multilabel else ["split", "error", "label"]
    counted = shards.groupBy(*keys).agg(F.count(F.lit(1)).alias("n"), F.count(F.when(F.col("cut"), 1)).alias("cut"))
    seen = counted.collect()
    rows, dropped = kept_and_dropped(plan.experiment, found.rows, seen)
    if plan.multilabel:
        by_class = _class_rows(plan, found)
    else:
        by_number = {r.label: r.n for r in seen if r.split == TRAIN}
        by_class = {name: by_number.get(i, 0) for i, name in enumerate(found.classes)}
    return {
        "inputs": asdict(found.inputs),
        "classes": list(found.classes),
        "tokenizer": found.tokenizer,
        "quantiles": list(found.quantiles),
        "cut": sum(r.cut for r in seen if r.split != DROPPED),
        "rows": rows,
        "dropped": dropped,
        "class_rows": by_class,
    }


def _class_rows(plan: TextPlan, found: Inspected) -> dict[str, int]:
    """Return how many training rows have each of several labels."""
    training = plan.rows.where(F.col("split") == TRAIN).select(F.explode("label").alias("label"))
    seen = {r.label: r["count"] for r in training.groupBy("label").count().collect()}
    return {name: seen.get(name, 0) for name in found.classes}


@dataclass(frozen=True, eq=False)
class Sample:
    """Some rows, as training reads them."""

    tokens: list[np.ndarray]  # int32 ids of each row
    labels: np.ndarray  # int64[rows] class numbers, or float32[rows, classes] of 0 and 1


def sample_rows(prepared: Prepared, spark: SparkSession, split: int, limit: int) -> Sample:
    """Bring at most `limit` prepared rows of a split to the driver, for checks."""
    shards = prepared.frame(spark).where(f"split = {split}").select("tokens", "label", "row")
    rows = shards.orderBy("row").limit(limit).toArrow()
    tokens = [np.frombuffer(value, np.int32) for value in rows.column("tokens").to_pylist()]
    labels = rows.column("label").to_pylist()
    if prepared.plan.multilabel:
        found = np.frombuffer(b"".join(labels), np.float32).reshape(-1, len(prepared.classes))
    else:
        found = np.array(labels, np.int64)
    return Sample(tokens, found)
