"""Scoring uint8 pictures of 32x32 from Parquet: our SQL function against what one would write by hand, and the limit.

    python -m tests.benchmarks.bench_scoring

- the limit: plain ONNX Runtime in one process with a thread a core, on arrays in memory, at the batch size that is
  fastest for it; no Parquet, no Spark
- ours: `model_udf` as users get it, whole struct out
- mapInArrow, pandas_udf, predict_batch_udf: by hand, as Spark's documentation shows them, each with one session a
  worker, one thread for it, and probabilities out; they read the same files

All of them write to Spark's `noop` sink and run in turn. Ratios are of rows per second, to the limit of the same round.
"""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.infer.job import InferJob
from sparknn_magic.infer.spark import model_udf
from sparknn_magic.plugin import ImageInputs, Part
from tests.benchmarks.rounds import export, interleaved, local_session, own_session, small_cnn, table, write_rows

SIZE = (32, 32, 3)
CLASSES = [f"class {k}" for k in range(10)]
HAND_BATCH = 256  # rows in one call of the sessions written by hand; 64 to 1,024 differ little for them
LIMIT_BATCHES = (32, 64, 128, 256, 1024)
# Minutes of work: in few tasks one core would wait for the other at the end. Spark packs small files together.
RESNET_FILES, RESNET_PART = 128, 4 * 2**20


def limit(path: str, pictures: np.ndarray, cores: int) -> tuple[Callable[[], None], int]:
    """Return a run of plain ONNX Runtime over all pictures, and the batch size that was found to be its fastest."""
    session = own_session(path, cores)

    def score(batch: int, count: int) -> float:
        started = time.perf_counter()
        for start in range(0, count, batch):
            session.run(None, {"image": pictures[start : start + batch]})
        return time.perf_counter() - started

    few = min(len(pictures), 2048)
    best = min(LIMIT_BATCHES, key=lambda batch: min(score(batch, few) for _ in range(3)))
    return lambda: score(best, len(pictures)), best


def ours(path: str, spark: SparkSession) -> Any:
    """Return the product's function."""
    height, width, channels = SIZE
    options = {"height": height, "width": width, "channels": channels, "shape": SIZE}
    job = InferJob(
        digest=hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        read=Part("sparknn_magic.data.worker:image_reader", options),
        write=Part("sparknn_magic.infer.worker:classification_writer", {"classes": CLASSES}),
    )
    return model_udf(job, path, spark)


def by_pandas_udf(path: str) -> Any:
    """Return an Iterator pandas UDF as Spark's guide has it: the model is loaded once, before the loop."""

    def score(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        session = own_session(path, 1)
        for series in batches:
            pixels = np.frombuffer(b"".join(series), np.uint8).reshape(-1, *SIZE)
            parts = [
                session.run(None, {"image": pixels[i : i + HAND_BATCH]})[0] for i in range(0, len(pixels), HAND_BATCH)
            ]
            yield pd.Series(list(np.concatenate(parts)))

    return F.pandas_udf(score, "array<float>")


def by_predict_batch_udf(path: str) -> Any:
    """Return pyspark.ml.functions.predict_batch_udf with a function that loads the model and returns `predict`."""
    from pyspark.ml.functions import predict_batch_udf

    def load() -> Callable[[np.ndarray], np.ndarray]:
        session = own_session(path, 1)

        def predict(values: np.ndarray) -> np.ndarray:
            return session.run(None, {"image": np.frombuffer(b"".join(values), np.uint8).reshape(-1, *SIZE)})[0]

        return predict

    from pyspark.sql.types import ArrayType, FloatType

    return predict_batch_udf(load, return_type=ArrayType(FloatType()), batch_size=HAND_BATCH)


def by_map_in_arrow(path: str, rows: DataFrame) -> DataFrame:
    """Return the probabilities by mapInArrow, from the column's buffer."""

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        session = own_session(path, 1)
        for batch in batches:
            pixels = np.frombuffer(b"".join(batch.column(0).to_pylist()), np.uint8).reshape(-1, *SIZE)
            parts = [
                session.run(None, {"image": pixels[i : i + HAND_BATCH]})[0] for i in range(0, len(pixels), HAND_BATCH)
            ]
            made = np.concatenate(parts)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(made.reshape(-1)), made.shape[1])
            yield pa.RecordBatch.from_arrays([lists.cast(pa.list_(pa.float32()))], ["probabilities"])

    return rows.mapInArrow(score, "probabilities array<float>")


def compare(name: str, path: str, pictures: np.ndarray, rows: DataFrame, options: argparse.Namespace) -> str:
    """Run all the ways in turn; return the table."""
    run_limit, best = limit(path, pictures, options.cores)
    frames = {
        "ours": rows.select(ours(path, rows.sparkSession)("image")),
        "mapInArrow, by hand": by_map_in_arrow(path, rows),
        "pandas_udf, by hand": rows.select(by_pandas_udf(path)("image")),
        "predict_batch_udf": rows.select(by_predict_batch_udf(path)("image")),
    }
    cases: dict[str, Callable[[], object]] = {"onnxruntime alone": run_limit}
    for key, frame in list(frames.items())[: 1 if options.ours else None]:
        cases[key] = lambda frame=frame: frame.write.format("noop").mode("overwrite").save()
    found = interleaved(cases, options.runs, options.warm)
    return table(f"{name} (the limit at batch {best})", found, len(pictures), "onnxruntime alone", "of the limit")


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="for the small CNN; 0 leaves it out")
    parser.add_argument("--resnet-rows", type=int, default=4_000, help="for resnet18; 0 leaves it out")
    parser.add_argument("--ours", action="store_true", help="leave out the ways by hand")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warm", type=int, default=2, help="rounds before the measured ones")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="threads of the limit, tasks of Spark")
    options = parser.parse_args()

    spark = local_session(options.cores)
    pictures = np.random.default_rng(0).integers(0, 256, (max(options.rows, options.resnet_rows), *SIZE), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        values = pa.array([picture.tobytes() for picture in pictures], pa.binary())
        if options.rows:
            part = values.slice(0, options.rows)
            rows = spark.read.parquet(write_rows(part, Path(folder, "all")))
            path = export(small_cnn(), Path(folder, "small.onnx"), SIZE[0])
            print(
                compare("small CNN (8/16/32 channels)", str(path), pictures[: options.rows], rows, options), flush=True
            )
        if options.resnet_rows:
            network = Part("sparknn_zoo.vision.resnet:resnet18", {}).build(ImageInputs(3, 32, 32), len(CLASSES))
            path = export(network, Path(folder, "resnet18.onnx"), SIZE[0])
            part = values.slice(0, options.resnet_rows)
            spark.conf.set("spark.sql.files.maxPartitionBytes", RESNET_PART)
            few = spark.read.parquet(write_rows(part, Path(folder, "few"), RESNET_FILES))
            print(compare("resnet18", str(path), pictures[: options.resnet_rows], few, options), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
