"""What a preview looks at in rows of any kind: splits, classes, a sample, copies. Runs on the driver; Spark counts."""

from collections.abc import Callable
from typing import Any, TypeVar

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from sparknn_magic.data.look import MAX_CLASSES
from sparknn_magic.data.preview.findings import Copies, Counted, Spread
from sparknn_magic.data.splits import SPLITS, TEST, TRAIN
from sparknn_magic.errors import SparkNNError

P = TypeVar("P")
Say = Callable[[str], None]  # hears what is being done now, in a few words
COUNTING, INSPECTING = "counting rows and classes", "checking what training would check"
BUCKETS = 1_000_000
KEPT = 8  # partitions of what is counted and kept: Spark would keep as many as a shuffle has, 200, however few the rows
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
ACCURACY = 10_000  # of percentile_approx: a rank is off by at most one part in this many
MOST_VALUES = 12  # of sizes, scripts and the like
UNKNOWN = "label not among the training classes"
HELD_OUT = tuple(name for name, number in SPLITS.items() if number != TRAIN)


def by_split() -> list[Column]:
    """Return an aggregate for each split: how many rows it has."""
    return [F.count(F.when(F.col("split") == number, 1)).alias(name) for name, number in SPLITS.items()]


def count_splits(rows: DataFrame) -> tuple[dict[str, int], int]:
    """Return the rows of each split, and in how many partitions Spark reads them; one job."""
    seen = rows.select("split", F.spark_partition_id().alias("partition"))
    found = seen.agg(*by_split(), F.max("partition").alias("partition")).collect()[0]
    return {name: found[name] for name in SPLITS if found[name]}, 1 + (found.partition or 0)


def count_both(rows: DataFrame) -> tuple[Counted, dict[str, int], int]:
    """Return the classes of rows with split and label, the rows of each split, and the partitions; mostly one job."""
    partition = F.spark_partition_id().alias("partition")
    seen = rows.select("split", "label", partition).groupBy("label").agg(*by_split(), F.max("partition").alias("p"))
    found = seen.limit(MAX_CLASSES + 2).collect()
    if len(found) > MAX_CLASSES + 1:  # of more labels than classes can be, not all are here
        return _classes(found, "classes"), *count_splits(rows)
    counted = {name: sum(r[name] for r in found) for name in SPLITS}
    rows_of = {name: n for name, n in counted.items() if n}
    return _classes(found, "classes"), rows_of, 1 + max((r.p for r in found), default=0)


def count_classes(labels: DataFrame, name: str = "classes") -> Counted:
    """Count rows of (split, label) by label and split, the most frequent label first; one job."""
    return _classes(labels.groupBy("label").agg(*by_split()).limit(MAX_CLASSES + 2).collect(), name)


def _classes(found: list[Any], name: str) -> Counted:
    found.sort(key=lambda r: (-sum(r[split] for split in SPLITS), str(r.label)))
    values = tuple((r.label, {split: r[split] for split in SPLITS if r[split]}) for r in found)
    return Counted(name, values, len(values))


def left_out(seen: DataFrame, classes: Counted | None) -> DataFrame:
    """Return the training and validation rows that training leaves out, with the reason in `error`.

    `seen` has split, label and error; where there are `classes`, a label that is none of them is a reason too.
    """
    used = seen.where(F.col("split") != TEST)
    if classes is not None:
        known = [label for label, rows in classes.values if label is not None and rows.get("train")]
        label = F.when(F.col("label").isNull(), "null label").when(
            ~F.array_contains(F.lit(known or [""]), F.col("label")), UNKNOWN
        )
        used = used.withColumn("error", F.coalesce("error", label))
    return used.where("error IS NOT NULL")


def drawn(frame: DataFrame, key: Column, total: int, most: int) -> DataFrame:
    """Return about `most` of the rows, chosen by a hash of `key`, so that copies stay together; all if no more."""
    if total <= most:
        return frame
    share = max(1, BUCKETS * most // total)
    return frame.where(F.pmod(F.xxhash64(F.lit("preview"), key), F.lit(BUCKETS)) < share)


def inspected(inspect: Callable[[P], Any], plan: P) -> tuple[Any, tuple[str, ...]]:
    """Return what a dry run finds of the rows; None, and why, where training would stop there."""
    try:
        return inspect(plan), ()
    except SparkNNError as error:
        return None, (str(error).replace("\n", " "),)


def spreads(rows: DataFrame, wanted: dict[str, tuple[str, str]]) -> list[Spread]:
    """Return how these columns are spread; `wanted` has of each its words and unit. One query."""
    parts = [F.percentile_approx(F.col(name).cast("double"), list(QUANTILES), ACCURACY).alias(name) for name in wanted]
    found = rows.agg(*parts).collect()[0]
    return [
        Spread(words, unit, dict(zip(QUANTILES, found[name], strict=True)))
        for name, (words, unit) in wanted.items()
        if found[name] is not None
    ]


def most_frequent(rows: DataFrame, wanted: dict[str, str]) -> tuple[Counted, ...]:
    """Return the most frequent values of these columns of strings; `wanted` has of each its words. One query.

    A column whose values are all null is left out.
    """
    pairs = [F.struct(F.lit(n).alias("place"), F.col(name).alias("value")) for n, name in enumerate(wanted)]
    each = rows.select(F.explode(F.array(*pairs)).alias("pair")).where("pair.value IS NOT NULL")
    place = Window.partitionBy("place")
    counted = each.groupBy("pair.place", "pair.value").agg(F.count(F.lit(1)).alias("n"))
    ranked = counted.withColumns(
        {
            "rank": F.row_number().over(place.orderBy(F.desc("n"), "value")),
            "distinct": F.count(F.lit(1)).over(place),
        }
    )
    found = ranked.where(F.col("rank") <= MOST_VALUES).orderBy("place", "rank").collect()
    lists = [(words, [r for r in found if r.place == n]) for n, words in enumerate(wanted.values())]
    return tuple(
        Counted(words, tuple((str(r.value), {"rows": r.n}) for r in some), some[0].distinct)
        for words, some in lists
        if some
    )


def find_copies(rows: DataFrame, key: str, how: str, many: int) -> tuple[Copies, list[Any]]:
    """Count rows of (split, label, key) that share a key, and return the `many` groups of them that matter most.

    Rows whose key is null have no copies. What matters are leaks, then groups of several labels, then large ones.
    """
    copies = _groups(rows, key).where("n > 1").coalesce(KEPT).persist()
    try:
        held = {name: F.sum(F.when(F.col("train") > 0, F.col(name)).otherwise(0)).alias(name) for name in HELD_OUT}
        found = copies.agg(
            F.count(F.lit(1)).alias("groups"),
            F.coalesce(F.sum(F.col("n") - 1), F.lit(0)).alias("extra"),
            F.count(F.when(F.col("labels") > 1, 1)).alias("conflicting"),
            *held.values(),
        ).collect()[0]
        leaks = (F.col("train") > 0) & (F.col("n") > F.col("train"))
        order = [leaks.desc(), F.desc("labels"), F.desc("n"), F.col(key)]
        worst = copies.orderBy(*order).limit(many).collect() if found.groups else []
    finally:
        copies.unpersist()
    leaked = {name: found[name] for name in HELD_OUT if found[name]}
    return Copies(how, found.groups, found.extra, leaked, found.conflicting), worst


def _groups(rows: DataFrame, key: str) -> DataFrame:
    """Return a row for each key: n, rows by split, labels (how many different ones), and two of these labels."""
    return (
        rows.where(F.col(key).isNotNull())
        .groupBy(key)
        .agg(
            F.count(F.lit(1)).alias("n"),
            *by_split(),
            F.count_distinct("label").alias("labels"),
            F.min("label").alias("first_label"),
            F.max("label").alias("last_label"),
        )
    )


def group_words(row: Any) -> str:
    """Return what a group is in words: '3 times (2 train, 1 validation), labels cat and dog'."""
    where = ", ".join(f"{row[name]:,} {name}" for name in SPLITS if row[name])
    said = f"{row.n:,} times ({where})"
    if row.labels > 1:
        others = f" and {row.labels - 2} more" if row.labels > 2 else ""
        said += f", labels {row.first_label} and {row.last_label}{others}"
    return said + (f", {row.first_label}" if row.labels == 1 else "")
