"""A look at the rows of a text task by Spark: labels, and the tokenizer with the length of the texts. On the driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknn_magic.data.look import MAX_CLASSES, check_splits, find_classes
from sparknn_magic.data.splits import SPLITS, TRAIN
from sparknn_magic.data.text.job import SAMPLE, TokenizerJob
from sparknn_magic.data.text.plan import TextPlan, text_error
from sparknn_magic.data.text.shards import TOKENIZER, find_tokenizer
from sparknn_magic.data.text.tokenizing import text_inputs
from sparknn_magic.plugin import TextInputs

MOST_CHARACTERS = 20_000  # of a text that a tokenizer is trained on
BUCKETS = 1_000_000


@dataclass(frozen=True)
class Inspected:
    """What the rows are."""

    inputs: TextInputs
    classes: tuple[str, ...]
    rows: dict[str, int]  # train, validation, test: as many as there are before unusable ones are dropped
    partitions: int  # that Spark reads the rows in
    tokenizer: str  # tokenizer.json
    quantiles: tuple[int, ...]  # of the training texts' lengths in tokens: median, 95 %, longest


@contextmanager
def looked(plan: TextPlan) -> Iterator[tuple[DataFrame, Inspected]]:
    """Give the rows, which Spark keeps until the block ends, and what they are.

    Raises: DataError where they are not what a classifier can be trained on.
    """
    rows = plan.rows.persist()
    try:
        yield rows, _inspect(plan, rows)
    finally:
        rows.unpersist()


def _inspect(plan: TextPlan, rows: DataFrame) -> Inspected:
    counts, partitions = count_rows(rows)
    check_splits(plan, counts)
    classes = find_classes(plan, _labels(plan, rows))
    found = make_tokenizer(plan, rows, counts["train"])
    return Inspected(
        inputs=text_inputs(found.tokenizer, found.length),
        classes=classes,
        rows=counts,
        partitions=partitions,
        tokenizer=found.tokenizer,
        quantiles=tuple(found.quantiles),
    )


def count_rows(rows: DataFrame) -> tuple[dict[str, int], int]:
    """Return the rows of each split, and how many partitions there are."""
    found = rows.select("split", F.spark_partition_id().alias("partition")).groupBy("split")
    seen = found.agg(F.count(F.lit(1)).alias("n"), F.max("partition").alias("partition")).collect()
    by_split = {r.split: r.n for r in seen}
    return {n: by_split.get(number, 0) for n, number in SPLITS.items()}, 1 + max((r.partition for r in seen), default=0)


def _labels(plan: TextPlan, rows: DataFrame) -> list[Any]:
    """Return each label with its number of training rows."""
    label = F.explode("label") if plan.multilabel else F.col("label")
    each = rows.select(label.alias("label"), "split").groupBy("label")
    counted = each.agg(F.count(F.when(F.col("split") == TRAIN, 1)).alias("train"))
    return counted.limit(MAX_CLASSES + 2).collect()  # the null label and one too many


def make_tokenizer(plan: TextPlan, rows: DataFrame, count: int) -> Any:
    """Have one executor train the tokenizer on the training texts, or on a sample of them that a hash draws."""
    job = TokenizerJob(plan.steps, plan.tokenizer, plan.given, plan.most, plan.length)

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return find_tokenizer(batches, job)

    training = rows.where((F.col("split") == TRAIN) & F.col("text").isNotNull())
    if count > SAMPLE:
        training = training.where(F.pmod(F.xxhash64("row"), F.lit(BUCKETS)) < BUCKETS * SAMPLE // count)
    texts = [F.substring(name, 1, MOST_CHARACTERS).alias(name) for name in ("text", "pair")]
    sample = training.select("row", *texts).repartition(1).sortWithinPartitions("row", "text")
    found = sample.select("text", "pair").mapInArrow(find, TOKENIZER).collect()
    if not found:
        raise text_error(plan.experiment, f"every training row's '{plan.texts[0]}' is null.")
    return found[0]


def details(plan: TextPlan, found: Inspected) -> list[tuple[str, str]]:
    """Return what a dry run says of the texts: lines `name, text`."""
    median, most, longest = found.quantiles
    words = f"{median:,} tokens in the median, {most:,} at 95 %, {longest:,} at most; {found.inputs.length:,} are read"
    source = "of the pretrained network" if plan.tokenizer is None else "trained on the training texts"
    lines = [("texts", words), ("tokenizer", f"{source}, {found.inputs.vocabulary:,} tokens")]
    return [*lines, ("labels", "several a row")] if plan.multilabel else lines
