"""Pictures that look alike: 64-bit hashes that differ in a few bits, found by Spark without comparing all with all.

Of two hashes that differ in at most 3 bits one of their four runs of 16 bits is equal, so only hashes that share a run
are compared. A run that very many hashes share (plain grounds) is passed over: all pairs of these would be too many.
Pictures with one shape on a plain ground often share the hash of differences across; the one of differences down must
be near too.
"""

from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknn_magic.data.preview.findings import Copies
from sparknn_magic.data.preview.rows import HELD_OUT, KEPT, by_split
from sparknn_magic.data.preview.worker import BITS, PAIRS, like_pairs
from sparknn_magic.data.splits import SPLITS

BANDS, WIDTH = 4, 16
BUCKETS = 64  # of runs: a Python worker compares the hashes of a bucket's runs at a time
HOW = f"at most {BITS} of 64 bits differ in each of their two difference hashes; copies count too"


@dataclass(frozen=True)
class Near:
    """What was found."""

    copies: Copies
    pairs: list[Any]  # a few of them: keys of two pictures, and in how many bits they differ


def find_near(seen: DataFrame, examples: int) -> Near:
    """Look for like pictures in rows with split, key, hash and down; name some that are not equal. Two queries."""
    each = (
        seen.where("hash IS NOT NULL")
        .groupBy("hash", "down")
        .agg(F.count(F.lit(1)).alias("n"), F.min("key").alias("key"), F.max("key").alias("other"), *by_split())
        .coalesce(KEPT)
        .persist()
    )
    pairs = _pairs(each).coalesce(KEPT).persist()
    try:
        found = _counts(each, pairs)
        chosen = _chosen(each, pairs, examples)
    finally:
        pairs.unpersist()
        each.unpersist()
    leaked = {name: found[name] for name in HELD_OUT if found[name]}
    copies = Copies(HOW, found.groups, found.rows - found.groups, leaked, title="Like pictures", pairs=True)
    return Near(copies, chosen)


def _pairs(each: DataFrame) -> DataFrame:
    """Return the pairs of different hashes, a below b, that differ in at most `BITS` bits each: rows of `PAIRS`."""
    runs = [F.shiftrightunsigned("hash", WIDTH * i).bitwiseAND(2**WIDTH - 1) for i in range(BANDS)]
    places = F.explode(F.array(*(run + F.lit(i << WIDTH) for i, run in enumerate(runs)))).alias("place")
    bucket = F.pmod(F.xxhash64("place"), F.lit(BUCKETS))
    found = each.select(places, "hash", "down", "key", "train").groupBy(bucket).applyInArrow(like_pairs, PAIRS)
    return found.distinct()  # two hashes may share more than one run


def _counts(each: DataFrame, pairs: DataFrame) -> Any:
    """Return groups (hashes with more than one row, or with a neighbour), their rows, and the leaked ones by split."""
    near = [
        pairs.select(
            *(F.col(f"{x}_{name}").alias(name) for name in ("hash", "down")), F.col(f"{y}_train").alias("taught")
        )
        for x, y in (("a", "b"), ("b", "a"))
    ]
    added = each.unionByName(near[0].unionAll(near[1]), allowMissingColumns=True)
    sums = [F.sum(name).alias(name) for name in ("n", *SPLITS, "taught")]  # without a neighbour the last is null
    whole = added.groupBy("hash", "down").agg(*sums)
    alike = (F.col("n") > 1) | F.col("taught").isNotNull()
    taught = (F.col("train") > 0) | (F.coalesce("taught", F.lit(0)) > 0)
    return whole.agg(
        F.count(F.when(alike, 1)).alias("groups"),
        F.coalesce(F.sum(F.when(alike, F.col("n"))), F.lit(0)).alias("rows"),
        *(F.coalesce(F.sum(F.when(taught, F.col(name))), F.lit(0)).alias(name) for name in HELD_OUT),
    ).collect()[0]


def _chosen(each: DataFrame, pairs: DataFrame, many: int) -> list[Any]:
    """Return keys of some pairs that look alike and are not equal, those first that differ least: key, other, bits."""
    equal = each.where(F.col("key") != F.col("other")).select("key", "other", F.lit(0).alias("bits"))
    unequal = pairs.select(F.col("a_key").alias("key"), F.col("b_key").alias("other"), "bits")
    return equal.unionAll(unequal).orderBy("bits", "key").limit(many).collect()
