"""A look at rows of numbers and categories before training: every column, copies, what is left out. On the driver.

Spark computes all of it; what comes to the driver is a row of figures for each column, and a few rows that are shown.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from sparknn_magic.data.folder import spark_says
from sparknn_magic.data.preview.findings import Broken, ColumnLook, Copies, Findings, Grid, Twins
from sparknn_magic.data.preview.rows import (
    ACCURACY,
    COUNTING,
    INSPECTING,
    QUANTILES,
    Say,
    count_classes,
    count_splits,
    drawn,
    find_copies,
    group_words,
    inspected,
    spreads,
)
from sparknn_magic.data.shards import DROPPED
from sparknn_magic.data.splits import TEST, TRAIN
from sparknn_magic.data.vectors.columns import raw
from sparknn_magic.data.vectors.job import Feature, number_names
from sparknn_magic.data.vectors.plan import VectorPlan
from sparknn_magic.data.vectors.shards import shard_batches, shard_schema
from sparknn_magic.data.vectors.spark import vector_job

MOST = 1_000_000  # rows that are looked at, where the user does not say
AT_ONCE = 40  # columns of one job: Spark compiles all their aggregates into one function
TOP = 5  # values of a category
SHOWN = 5  # rows of the grid
EXAMPLES = 3  # of copies
NUMBERS = 12  # of a row behind the steps, shown
Details = Callable[[Any, Any], list[tuple[str, str]]]


def look(plan: VectorPlan, most: int | None, inspect: Callable[[Any], Any], details: Details, say: Say) -> Findings:
    """Return what is found of rows of columns; at most about `most` of them are read.

    Raises: DataError with the place in the cell where Spark cannot read the rows.
    """
    with spark_says(plan.experiment):
        say(COUNTING)
        every = _rows(plan)
        counted, _ = count_splits(every)
        classes = None if plan.regression else count_classes(every.select("split", "label"))
        total = sum(counted.values())
        few = _sampled(plan, total, most or MOST)
        say(INSPECTING)
        found, stops = inspected(inspect, few)
        say("looking at columns, copies and rows that training leaves out")
        rows = _rows(few).persist()
        try:
            numbers = rows.select(F.col("label").cast("double").alias("label")) if plan.regression else None
            label = spreads(numbers, {"label": ("label", "")}) if numbers is not None else []
            return Findings(
                rows=counted,
                looked=rows.count(),
                kind="rows",
                classes=classes,
                spreads=tuple(label),
                broken=_dropped(few, found),
                copies=(_copies(few, rows),),
                columns=_columns(few, rows.where(F.col("split") == TRAIN)),
                facts=tuple(details(few, found)) if found is not None else (),
                stops=stops,
                grid=_grid(few, found),
            )
        finally:
            rows.unpersist()


def _rows(plan: VectorPlan) -> DataFrame:
    """Return split, label (a string), key (a hash of the features) and the features: f0, f1, ..."""
    frames = []
    for part in plan.parts:
        features = [raw(f).alias(f"f{i}") for i, f in enumerate(part.features)]
        key = F.xxhash64(*(raw(f) for f in part.features)).alias("key")
        split = part.split.cast("int").alias("split")
        frames.append(part.frame.select(split, part.label.cast("string").alias("label"), key, *features))
    return frames[0] if len(frames) == 1 else frames[0].unionAll(frames[1])


def _sampled(plan: VectorPlan, total: int, most: int) -> VectorPlan:
    """Return the plan of a sample of the rows."""
    if total <= most:
        return plan

    def few(frame: DataFrame, features: Sequence[Feature]) -> DataFrame:
        return drawn(frame, F.xxhash64(*(raw(f) for f in features)), total, most)

    parts = tuple(replace(part, frame=few(part.frame, part.features)) for part in plan.parts)
    return replace(plan, parts=parts, train=few(plan.train, plan.features))


def _columns(plan: VectorPlan, training: DataFrame) -> tuple[ColumnLook, ...]:
    """Return the figures of every column over the training rows."""
    found: list[ColumnLook] = []
    tops = _top_values(plan, training)
    for start in range(0, len(plan.features), AT_ONCE):
        some = list(enumerate(plan.features))[start : start + AT_ONCE]
        aggregates = [each for i, feature in some for each in _aggregates(i, feature)]
        row = training.agg(F.count(F.lit(1)).alias("rows"), *aggregates).collect()[0]
        found += [_column(row, i, feature, tops) for i, feature in some]
    return tuple(found)


def _aggregates(i: int, feature: Feature) -> list[Column]:
    value = F.col(f"f{i}")
    if feature.kind == "number":
        there = F.when(~F.isnan(value), value)
        finite = F.when(F.abs(there) < float("inf"), there)
        return [
            F.count(there).alias(f"n{i}"),
            F.approx_count_distinct(there).alias(f"d{i}"),
            (F.count(there) - F.count(finite)).alias(f"i{i}"),
            F.avg(finite).alias(f"m{i}"),
            F.percentile_approx(finite, list(QUANTILES), ACCURACY).alias(f"q{i}"),
        ]
    if feature.kind == "category":
        there = F.when(value != "", value)
        return [F.count(there).alias(f"n{i}"), F.approx_count_distinct(there).alias(f"d{i}")]
    size = F.when(value.isNotNull(), F.size(value))
    return [
        F.count(value).alias(f"n{i}"),
        F.approx_count_distinct(F.when(value.isNotNull(), F.xxhash64(value))).alias(f"d{i}"),
        F.min(size).alias(f"l{i}"),
        F.max(size).alias(f"h{i}"),
    ]


def _column(row: Any, i: int, feature: Feature, tops: dict[int, tuple[tuple[str, int], ...]]) -> ColumnLook:
    found = row.asDict()
    quantiles, least = found.get(f"q{i}"), found.get(f"l{i}")
    return ColumnLook(
        name=feature.name,
        kind=feature.kind,
        type=feature.type,
        rows=row["rows"],
        nulls=row["rows"] - found[f"n{i}"],
        distinct=found[f"d{i}"],
        infinite=found.get(f"i{i}") or 0,
        quantiles=dict(zip(QUANTILES, quantiles, strict=True)) if quantiles else {},
        mean=found.get(f"m{i}"),
        lengths=(least, found[f"h{i}"]) if least is not None else None,
        top=tops.get(i, ()),
    )


def _top_values(plan: VectorPlan, training: DataFrame) -> dict[int, tuple[tuple[str, int], ...]]:
    """Return the most frequent values of each categorical column, by its place."""
    places = [i for i, feature in enumerate(plan.features) if feature.kind == "category"]
    if not places:
        return {}
    pairs = F.array(*(F.struct(F.lit(i).alias("place"), F.col(f"f{i}").alias("value")) for i in places))
    each = training.select(F.explode(pairs).alias("pair")).where("pair.value != ''")
    counted = each.groupBy("pair.place", "pair.value").agg(F.count(F.lit(1)).alias("n"))
    rank = F.row_number().over(Window.partitionBy("place").orderBy(F.desc("n"), "value")).alias("rank")
    found = counted.select("place", "value", "n", rank).where(F.col("rank") <= TOP).orderBy("place", "rank").collect()
    return {i: tuple((r.value, r.n) for r in found if r.place == i) for i in places}


def _dropped(plan: VectorPlan, found: Any) -> tuple[Broken, ...]:
    """Return why training leaves rows out, by the code that prepares them; nothing where training would not begin."""
    if found is None:
        return ()
    job = vector_job(plan, found)

    def shard(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return shard_batches(batches, job)

    rows = plan.rows({f.name: f.width for f in found.features}).where(F.col("split") != TEST)
    shards = rows.mapInArrow(shard, shard_schema(plan.regression, plan.extra)).where(f"split = {DROPPED}")
    counted = shards.groupBy("error").agg(F.count(F.lit(1)).alias("n")).orderBy(F.desc("n"), "error").limit(50)
    return tuple(Broken(r.error, r.n) for r in counted.collect())


def _copies(plan: VectorPlan, rows: DataFrame) -> Copies:
    copies, shown = find_copies(rows, "key", "equal in every feature", EXAMPLES)
    if plan.regression:
        copies = replace(copies, conflicting=0)
    if not copies.groups:
        return copies
    values = F.to_json(F.struct(*(F.col(f"f{i}").alias(f.name) for i, f in enumerate(plan.features[:NUMBERS]))))
    wanted = rows.where(F.col("key").isin([r.key for r in shown])).select("key", F.substring(values, 1, 300).alias("v"))
    texts = {r.key: r.v for r in wanted.dropDuplicates(["key"]).collect()}
    twins = (Twins(group_words(r), texts=(texts[r.key],)) for r in shown if r.key in texts)
    return replace(copies, examples=tuple(twins))


def _grid(plan: VectorPlan, found: Any) -> Grid | None:
    """Return a few training rows as they are, and their numbers and codes as the network is given them."""
    if found is None:
        return None
    table = plan.sample({f.name: f.width for f in found.features}, TRAIN, SHOWN).toArrow().combine_chunks()
    if not table.num_rows:
        return None
    names = [feature.name for feature in plan.features]
    given = table.select([f"f{i}" for i in range(len(names))]).rename_columns(names).to_pylist()
    job = vector_job(plan, found)
    shards = pa.Table.from_batches(list(shard_batches(iter(table.to_batches()), job))).to_pylist()
    return Grid(tuple(given), tuple(_after(shard, number_names(found.features), job.categories) for shard in shards))


def _after(shard: dict[str, Any], names: Sequence[str], categories: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return what the network is given of a row, or why training leaves it out."""
    if shard["error"] is not None:
        return {"left out": shard["error"]}
    numbers = np.frombuffer(shard["numbers"], np.float32)[:NUMBERS]
    found: dict[str, Any] = {name: float(x) for name, x in zip(names, numbers, strict=False)}
    codes = np.frombuffer(shard["codes"], np.int32)
    return found | {f"code {n + 1}": int(code) for n, code in enumerate(codes[: len(categories)])}
