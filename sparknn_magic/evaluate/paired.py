"""Are two models different, or is it chance? Tests on the same rows, from counts and sums that Spark makes in one pass.

Only what a Spark Connect client has too. The counting does not filter the rows: a filter on a prediction can be pushed
below it, and then the model runs twice on each row.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

EXACT_BELOW = 25  # rows in which the two differ: the chi-square distribution is no good stand-in for fewer
LEAST_ROWS = 30  # for the interval of a mean, whose distribution is then near to the normal one
CONFIDENCE = 0.95

Outcomes = list[tuple[tuple[int | None, ...], int]]  # of each model 1 right, 0 wrong, None not counted; and the rows


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two classifiers on the same rows."""

    both_right: int
    only_first: int  # rows that the first alone has right
    only_second: int
    both_wrong: int
    statistic: float | None  # chi-square with continuity correction; None: the binomial distribution was used
    p: float  # of a difference as large as this or larger, were both equally good

    @property
    def rows(self) -> int:
        """Rows that count for both."""
        return self.both_right + self.only_first + self.only_second + self.both_wrong

    @property
    def difference(self) -> float:
        """Accuracy of the first less that of the second, on these rows."""
        return (self.only_first - self.only_second) / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class ErrorDifference:
    """The squared errors of two models of numbers on the same rows: those of the first less those of the second."""

    rows: int
    mean: float
    low: float | None  # of the 95 % interval of the mean; None: fewer than `LEAST_ROWS` rows
    high: float | None


def right_or_wrong(frame: DataFrame, right: Sequence[Column]) -> Outcomes:
    """Count the rows by which models are right in them; `right` are booleans, null where a row does not count."""
    names = [f"r{i}" for i in range(len(right))]
    seen = frame.select(*(each.cast("int").alias(name) for each, name in zip(right, names, strict=True)))
    return [(tuple(row[name] for name in names), row["count"]) for row in seen.groupBy(*names).count().collect()]


def mcnemar(outcomes: Outcomes, first: int, second: int) -> McNemar:
    """Return the test of two of the models, by their places.

    Below 25 rows in which one alone is right the two-sided exact binomial test, else chi-square with continuity
    correction, |b - c| - 1 squared over b + c, which is 0 where b is c. A row that does not count for one of the two
    counts for neither.

    Sources: McNemar 1947, Note on the sampling error of the difference between correlated proportions or percentages;
    Edwards 1948 (the correction); Dietterich 1998, Approximate Statistical Tests for Comparing Supervised
    Classification Learning Algorithms.
    """
    counts = {(a, b): 0 for a in (0, 1) for b in (0, 1)}
    for right, rows in outcomes:
        a, b = right[first], right[second]
        if a is not None and b is not None:
            counts[a, b] += rows
    statistic, p = discordant_test(counts[1, 0], counts[0, 1])
    return McNemar(counts[1, 1], counts[1, 0], counts[0, 1], counts[0, 0], statistic, p)


def discordant_test(b: int, c: int) -> tuple[float | None, float]:
    """Return the statistic (None for the exact test) and p of rows that the first alone, or the second, has right."""
    n = b + c
    if n < EXACT_BELOW:
        tail = sum(math.comb(n, i) for i in range(min(b, c) + 1)) / 2**n
        return None, min(1.0, 2 * tail)
    statistic = max(0, abs(b - c) - 1) ** 2 / n
    # A chi-square of one degree of freedom is a squared normal variable.
    return statistic, math.erfc(math.sqrt(statistic / 2))


def error_differences(
    frame: DataFrame, errors: Sequence[Column], pairs: Sequence[tuple[int, int]]
) -> list[ErrorDifference]:
    """Return for each pair the mean difference of squared errors, with its 95 % interval (normal distribution).

    `errors` are prediction - label of each model, null where a row does not count.
    """
    squares = frame.select(*((error * error).alias(f"e{i}") for i, error in enumerate(errors)))
    wanted = []
    for n, (a, b) in enumerate(pairs):
        difference = F.col(f"e{a}") - F.col(f"e{b}")
        wanted += [F.count(difference).alias(f"n{n}"), F.avg(difference).alias(f"m{n}")]
        wanted.append(F.stddev_samp(difference).alias(f"s{n}"))
    found = squares.agg(*wanted).collect()[0]
    return [_difference(found[f"n{n}"], found[f"m{n}"], found[f"s{n}"]) for n in range(len(pairs))]


def _difference(rows: int, mean: float | None, deviation: float | None) -> ErrorDifference:
    if rows < LEAST_ROWS or mean is None or deviation is None:
        return ErrorDifference(rows, mean or 0.0, None, None)
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * deviation / math.sqrt(rows)
    return ErrorDifference(rows, mean, mean - half, mean + half)
