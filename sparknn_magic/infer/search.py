"""The nearest rows of a table for each row of another, by a model's vectors: exact, as a Spark job. On the driver.

Both sides get their vectors from the model's function and are packed into blocks; every pair of blocks meets, in a
Cartesian product of the few blocks, and `nearest` compares them as matrices. Neither side is collected, and none is
broadcast. A task holds the queries of one partition, `BLOCK_ROWS` of them, and lets the blocks of the other side pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, IntegerType, LongType, StringType, StructType

from sparknn_magic import cluster
from sparknn_magic.data.columns import column, has_hash
from sparknn_magic.errors import DataError, SpecError
from sparknn_magic.infer.nearest import BLOCK_ROWS, BLOCKS, nearest, pack
from sparknn_magic.plugin import Part

WRITE = Part("sparknn_magic.infer.embeddings:vector_writer")
VECTOR = "struct<vector:binary,error:string>"  # what `Side.udf` gives
ADDED = ("rank", "score", "match", "error")
TASKS = 2  # for each slot, of the side that is searched
FEW_SLOTS = 8  # where a cluster's slots cannot be told


@dataclass(frozen=True)
class Side:
    """Rows, and what makes vectors of them."""

    rows: DataFrame
    columns: Sequence[str]  # the model's input columns, as these rows name them
    udf: Any  # a `model_udf(..., once=True)` with `WRITE` and the result `VECTOR`


def search(rows: Side, queries: Side, k: int) -> DataFrame:
    """Return the columns of the queries with rank int, score double, match struct and error string added.

    There are `k` rows for each query, fewer where there are fewer to search: `match` is a row of `rows`, `score` the
    cosine of the two vectors, -1 to 1, and `rank` counts from 1. Equal scores are ordered by a hash of the row's
    columns. Rows that cannot be read are left out. A query that cannot be read, or finds nothing, has one row, with
    nulls and the reason in `error`.
    Counts the queries; all else is done when the result is read.
    Raises: SpecError where `k` is less than 1; DataError where columns are named twice, or like one that is added.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise SpecError(f"search: k is {k!r}; it must be a whole number of 1 or more.")
    _check_names(rows.rows.columns, ())
    _check_names(queries.rows.columns, ADDED)
    spark = rows.rows.sparkSession
    parts = max(1, -(-queries.rows.count() // BLOCK_ROWS))
    tasks = TASKS * (cluster.slots(spark) or FEW_SLOTS)
    # Each block with a number, and moved once more: what makes it must not run again for each block that it meets.
    asked = _blocks(queries, parts, queries=True).withColumn("block", F.monotonically_increasing_id())
    asked = asked.select("block", F.col("vectors").alias("query_vectors"), F.col("rows").alias("query_rows"))
    searched = _blocks(rows, tasks, queries=False)
    searched = searched if parts == 1 else searched.repartition(tasks)
    # So that queries meet a block even where there is nothing to search.
    nothing = spark.range(1, numPartitions=1).selectExpr("CAST(null AS BINARY)", "CAST(null AS BINARY)")
    searched = searched.unionAll(nothing)
    pairs = searched.crossJoin(asked.repartition(parts).hint("shuffle_replicate_nl"))
    pairs = pairs.select("block", "query_vectors", "query_rows", "vectors", "rows")
    best = _best(pairs, rows.rows.schema, queries.rows.schema, k)
    return best.select("query.*", "rank", "found.score", "found.match", "error")


def _blocks(side: Side, partitions: int, *, queries: bool) -> DataFrame:
    """Return the blocks of one side, a row each: vectors binary, rows binary."""
    schema = side.rows.schema
    known = [column(field.name) for field in schema if has_hash(field.dataType)]
    found = side.rows.select(
        F.struct(*(column(name) for name in side.rows.columns)).alias("row"),
        F.xxhash64(F.lit("row"), *known).alias("key"),
        side.udf(*(column(name) for name in side.columns)).alias("found"),
    )

    def packed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return pack(batches, queries=queries)

    return found.repartition(partitions).mapInArrow(packed, BLOCKS)


def _best(pairs: DataFrame, rows: StructType, queries: StructType, k: int) -> DataFrame:
    """Return query, error, rank, found struct<score, key, match>: the k best of what the tasks have found."""
    from pyspark.sql.pandas.types import to_arrow_type

    match = to_arrow_type(rows)
    one = StructType().add("score", DoubleType()).add("key", LongType()).add("match", rows)
    schema = StructType().add("block", LongType()).add("place", IntegerType()).add("query", queries)
    schema = schema.add("error", StringType()).add("found", ArrayType(one))

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return nearest(batches, k, match)

    each = pairs.mapInArrow(compare, schema).groupBy("block", "place")
    whole = each.agg(
        F.first("query").alias("query"),
        F.first("error").alias("error"),
        F.flatten(F.collect_list("found")).alias("found"),
    )

    def better(a: Any, b: Any) -> Any:
        same = F.when(a.key < b.key, -1).when(a.key > b.key, 1).otherwise(0)
        return F.when(a.score > b.score, -1).when(a.score < b.score, 1).otherwise(same)

    first = F.slice(F.array_sort("found", better), 1, k)
    ranked = whole.select("query", "error", F.posexplode_outer(first).alias("place", "found"))
    return ranked.select("query", "error", (F.col("place") + 1).alias("rank"), "found")


def _check_names(names: Sequence[str], added: Sequence[str]) -> None:
    lower = [name.lower() for name in names]
    for name in names:
        if lower.count(name.lower()) > 1:
            raise DataError(f"search: there is more than one column '{name}'.", hint="Rename one: SELECT ... AS ...")
        if name.lower() in added:
            message = f"search: the queries already have a column '{name}'; the result has one of its own by that name."
            raise DataError(message, hint=f"Rename it: SELECT ..., {name} AS my_{name.lower()}")
