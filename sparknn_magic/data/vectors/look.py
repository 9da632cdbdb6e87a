"""A look at the rows of a vector task by Spark: lengths, labels, missing values, categories, and the steps fitted.

Runs on the driver. The rows are kept by Spark meanwhile, so that a costly query runs once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from sparknn_magic.data.columns import rows_error
from sparknn_magic.data.look import MAX_CLASSES, check_splits, find_classes
from sparknn_magic.data.splits import SPLITS, TRAIN
from sparknn_magic.data.vectors.columns import raw
from sparknn_magic.data.vectors.fit import Fit, fit
from sparknn_magic.data.vectors.job import Feature, FittedStep, embedding_width, number_names, vector_inputs
from sparknn_magic.data.vectors.plan import VectorPlan
from sparknn_magic.data.vectors.steps import build_steps, stays_missing
from sparknn_magic.errors import DataError
from sparknn_magic.plugin import CategoryStep, VectorInputs

MAX_ONE_HOT = 16  # categories of a column that no step names; one with more is embedded


@dataclass(frozen=True)
class Inspected:
    """What the rows are."""

    features: tuple[Feature, ...]  # with their widths
    inputs: VectorInputs
    classes: tuple[str, ...]  # none where a number is learnt
    mean: float  # of the training labels, where a number is learnt
    std: float
    rows: dict[str, int]  # train, validation, test: as many as there are before unusable ones are dropped
    partitions: int  # that Spark reads the rows in
    missing: tuple[int, ...]  # of each of the numbers, among the training rows
    steps: tuple[FittedStep, ...]
    categories: tuple[tuple[str, ...], ...]  # of each categorical column what has a code of its own
    distinct: tuple[int, ...]  # of each how many different values there are


@contextmanager
def looked(plan: VectorPlan) -> Iterator[tuple[DataFrame, Inspected]]:
    """Give the rows, which Spark keeps until the block ends, and what they are.

    Raises: DataError where they are not what a network can be trained on.
    """
    features = _with_widths(plan)
    rows = plan.rows({f.name: f.width for f in features}).persist()
    try:
        yield rows, _inspect(plan, rows, features)
    finally:
        rows.unpersist()


def _with_widths(plan: VectorPlan) -> tuple[Feature, ...]:
    """Find the length that most training rows have, of each array and vector; no job where there are none."""
    unknown = [f for f in plan.features if f.width < 0]
    if not unknown:
        return plan.features
    lengths = [F.mode(F.when(raw(f).isNotNull(), F.size(raw(f)))).alias(f"n{i}") for i, f in enumerate(unknown)]
    found = plan.train.agg(*lengths).collect()[0]
    widths = dict(zip((f.name for f in unknown), found, strict=True))
    for name, width in widths.items():
        if not width:
            reason = "empty" if width == 0 else "null"
            raise rows_error(plan.experiment, "train", f"every training row's '{name}' is {reason}; leave it out.")
    return tuple(replace(f, width=widths.get(f.name, f.width)) for f in plan.features)


def _inspect(plan: VectorPlan, rows: DataFrame, features: tuple[Feature, ...]) -> Inspected:
    counts, partitions, classes, mean, std = (_numbers_learnt if plan.regression else _classes)(plan, rows)
    training = _usable(plan, rows)
    found = fit(training, features, plan.steps) if number_names(features) else Fit((), 0, ())
    _check_values(plan, features, found)
    categories, distinct = _categories(plan, training)
    embedded = [
        _width(plan.codings.get(f.name), len(values)) for f, values in zip(plan.categories, categories, strict=True)
    ]
    return Inspected(
        features=features,
        inputs=vector_inputs(features, categories, embedded),
        classes=classes,
        mean=mean,
        std=std,
        rows=counts,
        partitions=partitions,
        missing=found.missing,
        steps=found.steps,
        categories=categories,
        distinct=distinct,
    )


def _usable(plan: VectorPlan, rows: DataFrame) -> DataFrame:
    """Return the training rows that have a say in the statistics."""
    infinite = F.exists("numbers", lambda x: F.abs(x) == float("inf"))
    found = rows.where((F.col("split") == TRAIN) & F.col("label").isNotNull() & F.col("wrong").isNull())
    # Of numbers with a null among them it is null whether one is infinite.
    found = found.where(~F.coalesce(infinite, F.lit(False)))
    for i, name in enumerate(required_categories(plan)):
        found = found.where(F.col(f"c{i}") != "") if name is not None else found
    return found


Learnt = tuple[dict[str, int], int, tuple[str, ...], float, float]  # rows by split, partitions, classes, mean, std


def _classes(plan: VectorPlan, rows: DataFrame) -> Learnt:
    labels = (
        rows.select("split", "label", F.spark_partition_id().alias("partition"))
        .groupBy("label")
        .agg(
            *(F.count(F.when(F.col("split") == number, 1)).alias(name) for name, number in SPLITS.items()),
            F.max("partition").alias("partition"),
        )
        .limit(MAX_CLASSES + 2)  # the null label and one too many
        .collect()
    )
    counts = {name: sum(r[name] for r in labels) for name in SPLITS}
    check_splits(plan, counts)
    return counts, 1 + max(r.partition for r in labels), find_classes(plan, labels), 0.0, 1.0


def _numbers_learnt(plan: VectorPlan, rows: DataFrame) -> Learnt:
    label = F.when((F.col("split") == TRAIN) & F.col("wrong").isNull(), F.col("label"))
    seen = rows.select("split", label.alias("label"), F.spark_partition_id().alias("partition"))
    found = seen.agg(
        *(F.count(F.when(F.col("split") == number, 1)).alias(name) for name, number in SPLITS.items()),
        F.coalesce(F.max("partition"), F.lit(0)).alias("partition"),
        F.avg("label").alias("mean"),
        F.stddev_pop("label").alias("std"),
    ).collect()[0]
    counts = {name: found[name] for name in SPLITS}
    check_splits(plan, counts)
    name = plan.experiment.data.label
    if found.mean is None:
        raise rows_error(plan.experiment, "train", f"no training row has a number in the label column '{name}'.")
    if not found.std > 0:
        message = f"every training row has the label {found.mean:g}; there is nothing to learn in '{name}'."
        raise rows_error(plan.experiment, "train", message)
    return counts, 1 + found.partition, (), found.mean, found.std


def _check_values(plan: VectorPlan, features: Sequence[Feature], found: Fit) -> None:
    """Raise DataError where a column has no numbers, or missing ones that no step fills."""
    names, missing = number_names(features), np.array(found.missing)
    if not found.rows:
        return  # no usable row: what is written, and dropped, tells why
    for name in np.array(names, object)[missing == found.rows]:
        message = f"no training row has a number in '{name}': leave the column out."
        raise rows_error(plan.experiment, "train", message)
    steps = build_steps(found.steps, len(names))
    dropped = {i for each in steps if each.step.drops for i in each.columns}
    open_nulls = stays_missing(steps, len(names)) & (missing > 0)
    unfilled = [i for i in np.flatnonzero(open_nulls) if i not in dropped]
    if unfilled:
        n, others = int(missing[unfilled[0]]), len(unfilled) - 1
        more = f" (and {others} more column{'s' if others > 1 else ''})" if others else ""
        raise plan.experiment.error(
            ("preprocess",) if plan.experiment.where("preprocess") else ("data", "train"),
            f"'{names[unfilled[0]]}' is null in {n:,} of {found.rows:,} training rows{more}, and no step fills it.",
            hint="Add `- fill_nulls: mean` under preprocess (or median, or a number), or `- fill_nulls: drop`.",
            kind=DataError,
        )


def _categories(plan: VectorPlan, training: DataFrame) -> tuple[tuple[tuple[str, ...], ...], tuple[int, ...]]:
    """Return the values of each categorical column that get a code, sorted, and how many values there are."""
    count = len(plan.categories)
    if not count:
        return (), ()
    pairs = [F.struct(F.lit(i).alias("place"), F.col(f"c{i}").alias("value")) for i in range(count)]
    limits = F.array(*(F.lit(plan.codings.get(f.name, CategoryStep()).most) for f in plan.categories))
    seen = training.select(F.explode(F.array(*pairs)).alias("pair")).groupBy("pair.place", "pair.value").count()
    by_place = Window.partitionBy("place")
    ranked = seen.select(
        "place",
        "value",
        F.row_number().over(by_place.orderBy(F.desc("count"), "value")).alias("rank"),
        F.count(F.lit(1)).over(by_place).alias("distinct"),
    )
    found = ranked.where(F.col("rank") <= F.get(limits, F.col("place"))).select("place", "value", "distinct").collect()
    values = tuple(tuple(sorted(r.value for r in found if r.place == i)) for i in range(count))
    return values, tuple(max((r.distinct for r in found if r.place == i), default=0) for i in range(count))


def _width(coding: CategoryStep | None, values: int) -> int:
    """Return the width of a column's embedding; 0: one-hot."""
    if coding is None:
        return 0 if values <= MAX_ONE_HOT else embedding_width(values + 1)
    return embedding_width(values + 1) if coding.width is None else coding.width


def required_categories(plan: VectorPlan) -> tuple[str | None, ...]:
    """Return for each categorical column its name where rows without it are dropped, else None."""
    named = {name for step in plan.steps if step.step.drops for name in step.columns}
    return tuple(f.name if f.name in named else None for f in plan.categories)
