"""The k nearest of many vectors: `infer.search` on Spark against numpy's own matrix product in one process.

    python -m tests.benchmarks.bench_search

The vectors lie in Parquet, as float32 bytes, so that neither side runs a network. Bare numpy reads the files, divides
by the lengths, and for each 512 queries computes one product with all rows, takes the k best by argpartition and sorts
them; its threads are all cores. Ours is the Spark job from files to files: blocks, their Cartesian product, the exact
scores of the candidates in float64, the k best of all tasks with the row that each of them is. Both must find the same.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import arrow_udf

from sparknn_magic.infer.search import VECTOR, Side, search
from tests.benchmarks.rounds import Run, interleaved, local_session

CHUNK = 512  # queries in one product


def write(vectors: np.ndarray, folder: Path, files: int = 8) -> str:
    """Write id long and vector binary as so many Parquet files; return the folder."""
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(vectors)), files)):
        columns = {"id": pa.array(part), "vector": pa.array([row.tobytes() for row in vectors[part]], pa.binary())}
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", use_dictionary=False)
    return str(folder)


def read(folder: str, width: int) -> np.ndarray:
    """Return the vectors of a folder, float32[rows, width], divided by their lengths."""
    columns = pq.read_table(folder).sort_by("id").column("vector")
    vectors = np.frombuffer(b"".join(columns.to_pylist()), np.float32).reshape(-1, width)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def bare(rows: str, queries: str, k: int, width: int) -> np.ndarray:
    """Return the ids of the k nearest rows of each query, int64[queries, k], by numpy alone."""
    searched, asked = read(rows, width), read(queries, width)
    found = []
    for start in range(0, len(asked), CHUNK):
        scores = asked[start : start + CHUNK] @ searched.T
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        found.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(found)


def as_found(vectors: pa.Array) -> pa.Array:
    """In the place of a model's function: what a column holds."""
    return pa.StructArray.from_arrays([vectors, pa.nulls(len(vectors), pa.string())], names=["vector", "error"])


def ours(spark: SparkSession, rows: str, queries: str, k: int) -> DataFrame:
    """Return id, rank, match of the k nearest rows of each query, by Spark."""

    udf = arrow_udf(as_found, VECTOR).asNondeterministic()

    def side(folder: str) -> Side:
        return Side(spark.read.parquet(folder), ["vector"], udf)

    return search(side(rows), side(queries), k).select("id", "rank", "match.id")


def check(found: DataFrame, wanted: np.ndarray) -> str:
    """Return how many of the neighbours differ: those whose scores float32 cannot tell apart may."""
    got = np.zeros_like(wanted)
    rows = found.toDF("query", "rank", "match").toArrow()
    query, rank, match = (rows.column(name).to_numpy() for name in ("query", "rank", "match"))
    got[query, rank - 1] = match
    return f"{(got != wanted).sum():,} of {wanted.size:,} neighbours differ from bare numpy's, in float32"


def main() -> None:
    """Run both in turn and print the pairs a second, a pair being one query with one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=4_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()
    draw, spark = np.random.default_rng(0), local_session(options.cores)
    with tempfile.TemporaryDirectory() as home:
        counts = {"rows": options.rows, "queries": options.queries}
        rows, queries = (
            write(draw.normal(size=(count, options.width)).astype(np.float32), Path(home) / name)
            for name, count in counts.items()
        )
        wanted = bare(rows, queries, options.k, options.width)
        print(check(ours(spark, rows, queries, options.k), wanted))
        cases: dict[str, Any] = {
            "bare numpy": lambda: bare(rows, queries, options.k, options.width),
            "model.search": lambda: ours(spark, rows, queries, options.k).write.format("noop").mode("overwrite").save(),
        }
        found = interleaved(cases, options.runs, 1)
        print(f"{options.queries:,} queries x {options.rows:,} rows of {options.width} numbers, k {options.k}")
        print(figures(found, options.queries * options.rows))
    spark.stop()


def figures(found: Mapping[str, list[Run]], pairs: int) -> str:
    """Return a line for each case: seconds, CPU seconds, millions of pairs a second, and the ratio to bare numpy."""
    lines = [f"medians of {len(found['bare numpy'])}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"]
    for name, runs in found.items():
        seconds, cpu = median(run.seconds for run in runs), median(run.cpu_seconds for run in runs)
        ratios = [a.seconds / b.seconds for a, b in zip(found["bare numpy"], runs, strict=True)]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of bare numpy's"
        lines.append(
            f"  {name:<12} {seconds:6.1f} s, {cpu:6.1f} s of CPU, {pairs / seconds / 1e6:6.1f} M pairs/s, {spread}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
