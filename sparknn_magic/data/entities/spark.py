"""Rows with named entities -> prepared Parquet shards, by Spark. Runs on the driver.

As for other texts (`data.text.spark`), but that a row's label is a tag for each of its tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.columns import rows_error
from sparknn_magic.data.entities.job import EntityJob
from sparknn_magic.data.entities.plan import EntityPlan, plan
from sparknn_magic.data.entities.shards import SCHEMA, shard_batches, tag_counts
from sparknn_magic.data.folder import kept_and_dropped, make_or_find, read_shards, spark_says
from sparknn_magic.data.look import MAX_CLASSES, check_splits
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.splits import TEST, TRAIN
from sparknn_magic.data.text.look import Inspected, count_rows, make_tokenizer
from sparknn_magic.data.text.look import details as text_details
from sparknn_magic.data.text.spans import labels_of, tags_of
from sparknn_magic.data.text.spark import Prepared, fields_of, spread
from sparknn_magic.data.text.tokenizing import text_inputs

__all__ = ["EntityPlan", "EntityPrepared", "Inspected", "details", "inspect", "plan", "prepare", "sample_rows"]


@dataclass(frozen=True)
class EntityPrepared(Prepared):
    """Prepared shards; `classes` are the tags, and `class_rows` the training tokens of each."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of entities."""
        return labels_of(self.classes)

    def frame(self, spark: SparkSession) -> DataFrame:
        """Return split int, row long, label binary (int32 tags), tokens binary (int32 ids)."""
        shards = read_shards(spark, f"{self.uri}/{self.shards}", SCHEMA)
        return shards.where(f"split != {DROPPED}").drop("error", "length", "cut")


@contextmanager
def looked(plan: EntityPlan) -> Iterator[tuple[DataFrame, Inspected]]:
    """Give the rows, which Spark keeps until the block ends, and what they are.

    Raises: DataError where there is nothing to learn from them.
    """
    rows = plan.rows.persist()
    try:
        yield rows, _inspect(plan, rows)
    finally:
        rows.unpersist()


def _inspect(plan: EntityPlan, rows: DataFrame) -> Inspected:
    counts, partitions = count_rows(rows)
    check_splits(plan, counts)
    classes = tags_of(_labels(plan, rows))
    found = make_tokenizer(plan, rows, counts["train"])
    return Inspected(
        inputs=replace(text_inputs(found.tokenizer, found.length), each_token=True),
        classes=classes,
        rows=counts,
        partitions=partitions,
        tokenizer=found.tokenizer,
        quantiles=tuple(found.quantiles),
    )


def _labels(plan: EntityPlan, rows: DataFrame) -> list[str]:
    """Return the labels of the training rows' entities, sorted. Raises: DataError where there is none, or too many."""
    each = rows.where(F.col("split") == TRAIN).select(F.explode("label").alias("each"))
    if plan.words:
        label = F.when(F.col("each").rlike("^[BI]-."), F.substr("each", F.lit(3)))
    else:
        label = F.col("each.label")
    found = each.select(label.alias("label")).where("label IS NOT NULL").distinct().limit(MAX_CLASSES + 1).collect()
    name = plan.experiment.data.label
    if len(found) > MAX_CLASSES:
        raise rows_error(plan.experiment, "train", f"'{name}' has more than {MAX_CLASSES:,} labels of entities.")
    if not found:
        hint = "A tag is O, B-x for an entity's first word, or I-x for the others." if plan.words else None
        raise rows_error(plan.experiment, "train", f"the training rows have no entity in '{name}'.", hint)
    return sorted(r.label for r in found)


def inspect(plan: EntityPlan) -> Inspected:
    """Find the labels, train the tokenizer and find the length of the texts.

    Raises: DataError where rows are missing or cannot be learnt from.
    """
    with spark_says(plan.experiment), looked(plan) as (_, found):
        return found


def details(plan: EntityPlan, found: Inspected) -> list[tuple[str, str]]:
    """Return what a dry run says of the texts and the labels: lines `name, text`."""
    labels = labels_of(found.classes)
    shown = ", ".join(labels[:12]) + (", ..." if len(labels) > 12 else "")
    rows = "words with tags" if plan.words else "spans of characters"
    return [*text_details(plan, found)[:-1], ("entities", f"{shown}; given as {rows}")]


def prepare(plan: EntityPlan, folder: str, *, fresh: bool = False) -> EntityPrepared:
    """Return the prepared shards below `folder` (a path or URI that Spark can write); make them where they are missing.

    Raises: DataError as `inspect` does, or where no row is usable.
    """

    def make(uri: str) -> dict[str, Any]:
        with looked(plan) as (rows, found):
            _write(plan, rows, found, uri)
        return _summarize(plan, found, uri)

    with spark_says(plan.experiment):
        uri, meta, reused = make_or_find(plan, folder, SCHEMA, make, fresh=fresh)
    return EntityPrepared(**fields_of(plan, uri, meta), reused=reused)


def _write(plan: EntityPlan, rows: DataFrame, found: Inspected, uri: str) -> None:
    labels = labels_of(found.classes)
    job = EntityJob(plan.steps, found.tokenizer, found.inputs.length, labels, plan.words)

    def shard(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return shard_batches(batches, job)

    used = spread(plan, rows.where(F.col("split") != TEST), found)
    used.mapInArrow(shard, SCHEMA).write.mode("overwrite").parquet(uri)


def _summarize(plan: EntityPlan, found: Inspected, uri: str) -> dict[str, Any]:
    """Count the shards' rows, and the tokens of each tag."""
    shards = read_shards(plan.spark, uri, SCHEMA)
    counted = shards.groupBy("split", "error").agg(
        F.count(F.lit(1)).alias("n"), F.count(F.when(F.col("cut"), 1)).alias("cut")
    )
    seen = counted.collect()
    rows, dropped = kept_and_dropped(plan.experiment, found.rows, seen)
    return {
        "inputs": asdict(found.inputs),
        "classes": list(found.classes),
        "tokenizer": found.tokenizer,
        "quantiles": list(found.quantiles),
        "cut": sum(r.cut for r in seen if r.split != DROPPED),
        "rows": rows,
        "dropped": dropped,
        "class_rows": _tokens(shards, found.classes),
    }


def _tokens(shards: DataFrame, tags: tuple[str, ...]) -> dict[str, int]:
    """Return how many training tokens have each tag."""
    width = len(tags)

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return tag_counts(batches, width)

    labels = shards.where(f"split = {TRAIN}").select("label")
    each = labels.mapInArrow(count, "counts array<bigint>").select(F.posexplode("counts").alias("tag", "n"))
    sums = {r.tag: r.n for r in each.groupBy("tag").agg(F.sum("n").alias("n")).collect()}
    return {name: int(sums.get(i, 0)) for i, name in enumerate(tags)}


@dataclass(frozen=True, eq=False)
class Sample:
    """Some rows, as training reads them."""

    tokens: list[np.ndarray]  # int32 ids of each row
    tags: list[np.ndarray]  # int32 numbers of the tags of each row, -100 for [CLS] and the like


def sample_rows(prepared: EntityPrepared, spark: SparkSession, split: int, limit: int) -> Sample:
    """Bring at most `limit` prepared rows of a split to the driver, for checks."""
    rows = prepared.frame(spark).where(f"split = {split}").orderBy("row").limit(limit).toArrow()
    tokens, tags = (
        [np.frombuffer(value, np.int32) for value in rows.column(name).to_pylist()] for name in ("tokens", "label")
    )
    return Sample(tokens, tags)
