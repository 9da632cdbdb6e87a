"""Steps on numbers, fitted by Spark: SQL aggregates of each column over the training rows. Runs on the driver.

A step is fitted to what the steps before it give. Those run on executors, by the same code that later prepares the
rows, so steps one after the other on the same columns take a Spark job each; steps on different columns share one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparknn_magic.data.vectors.job import Feature, FittedStep, number_names, positions
from sparknn_magic.data.vectors.plan import Numeric
from sparknn_magic.data.vectors.shards import Reasons, cleaned, read_numbers
from sparknn_magic.data.vectors.steps import build_steps


@dataclass(frozen=True)
class Fit:
    """What Spark found."""

    steps: tuple[FittedStep, ...]
    rows: int  # training rows with numbers
    missing: tuple[int, ...]  # of each number how many of these have none


def fit(rows: DataFrame, features: Sequence[Feature], steps: Sequence[Numeric]) -> Fit:
    """Fit the steps to rows with a column `numbers`, array<double>.

    What an aggregate of a column without any value comes to is NaN.
    """
    names = number_names(features)
    fitted: list[FittedStep] = []
    rows_seen, missing = 0, np.zeros(len(names), np.int64)
    for n, group in enumerate(_groups(steps, features)):
        found = _aggregate(_prepared(rows, fitted, names), [each.step.aggregates for each in group], len(names))
        if n == 0:
            rows_seen = int(found["rows"].max()) if len(names) else 0
            missing = rows_seen - found["present"].astype(np.int64)
        for k, each in enumerate(group):
            columns = positions(features, each.columns)
            values = {a: tuple(found[f"s{k}_{i}"][list(columns)].tolist()) for i, a in enumerate(each.step.aggregates)}
            fitted.append(FittedStep(each.part, columns, values))
    return Fit(tuple(fitted), rows_seen, tuple(missing.tolist()))


def _groups(steps: Sequence[Numeric], features: Sequence[Feature]) -> Iterator[list[Numeric]]:
    """Yield the steps in runs: none needs what another one of its run gives. The first run may be empty."""
    run: list[Numeric] = []
    changed: set[int] = set()
    for each in steps:
        columns = set(positions(features, each.columns))
        if each.step.aggregates and columns & changed:
            yield run
            run, changed = [], set()
        run.append(each)
        # A step that drops rows has a say in the aggregates of every column.
        changed |= set(range(len(number_names(features)))) if each.step.drops else columns
    yield run


def _prepared(rows: DataFrame, steps: Sequence[FittedStep], names: tuple[str, ...]) -> DataFrame:
    """Return the numbers after these steps, of the rows that they leave."""
    numbers = rows.select("numbers")
    if not steps:
        return numbers
    return numbers.mapInArrow(_applied(tuple(steps), names), "numbers array<double>")


def _applied(
    steps: tuple[FittedStep, ...], names: tuple[str, ...]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        built = build_steps(steps, len(names))
        for batch in batches:
            reasons = Reasons(batch.num_rows)
            x = read_numbers(batch.column("numbers"), len(names))
            x = cleaned(x, built, names, reasons, final=False)[reasons.none()]
            offsets = np.arange(len(x) + 1, dtype=np.int32) * len(names)
            lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(x.reshape(-1)))
            yield pa.RecordBatch.from_arrays([lists], names=["numbers"])

    return apply


def _aggregate(numbers: DataFrame, aggregates: Sequence[Mapping[str, str]], width: int) -> dict[str, np.ndarray]:
    """Return float64[width] for rows, present, and each SQL aggregate: `s0_0`, `s0_1`, `s1_0`, ...

    They are over a column `x` in which NaN is null.
    """
    each = numbers.select(F.posexplode("numbers").alias("place", "x"))
    each = each.select("place", F.nanvl("x", F.lit(None).cast("double")).alias("x"))
    wanted = {
        f"s{k}_{i}": F.expr(sql).cast("double")
        for k, of_step in enumerate(aggregates)
        for i, sql in enumerate(of_step.values())
    }
    found = (
        each.groupBy("place")
        .agg(
            F.count(F.lit(1)).cast("double").alias("rows"),
            F.count("x").cast("double").alias("present"),
            *(value.alias(name) for name, value in wanted.items()),
        )
        .toArrow()
    )
    place = found.column("place").to_numpy()
    result = {}
    for name in ("rows", "present", *wanted):
        values = np.full(width, 0.0 if name in ("rows", "present") else np.nan)
        values[place] = found.column(name).to_numpy(zero_copy_only=False)
        result[name] = values
    return result
