"""A perceptron on columns: sparknn-magic against MLlib's MultilayerPerceptronClassifier and a bare PyTorch loop.

    python -m tests.benchmarks.bench_vectors

The same net (784 inputs, 64 sigmoid units, 10 classes), the same rows (the Fashion-MNIST sample, pixels in 0..1), the
same cores. MLlib has L-BFGS, which passes all rows before each step; the other two have Adam in batches, so what counts
is not the passes but how long each takes to reach what MLlib reaches on the test rows. Its time in the loop is
that of `fit` on cached rows less what a `fit` of one pass takes beside the pass. Ours is the sum of its epochs, which
keep accuracy and loss, check every loss for NaN and report events. In all: from Parquet files to a model and its test
accuracy, in a session that is warm; ours prepares, trains, exports, checks parity and evaluates.
"""

import argparse
import io
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from pyspark.ml.classification import MultilayerPerceptronClassifier
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from torch import nn

from sparknn_magic import registry
from sparknn_magic.plugin import Part, Target, VectorInputs
from sparknn_magic.training.job import TRAIN, VALIDATION, Field, TrainJob, TrainRows
from sparknn_magic.training.worker import run_rank
from tests.benchmarks.rounds import local_session

PIXELS, HIDDEN, CLASSES = 784, 64, 10
BATCH, RATE = 128, 4e-3
NETWORK = Part(
    "sparknn_magic.layers:stack",
    {
        "layers": [
            {"name": "dense", "ref": "sparknn_zoo.layers.dense:dense", "options": {"units": HIDDEN}},
            {"name": "sigmoid", "ref": "sparknn_zoo.layers.activations:sigmoid", "options": {}},
            {"name": "dense", "ref": "sparknn_zoo.layers.dense:dense", "options": {"units": CLASSES}},
        ]
    },
)


@dataclass(frozen=True)
class Rows:
    """Numbers float32[N, 784] in 0..1 and class numbers int64[N]."""

    numbers: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Learnt:
    """After each epoch: seconds of training so far, and the accuracy on the test rows."""

    seconds: list[float]
    accuracy: list[float]
    rate: float  # rows a second

    def until(self, accuracy: float) -> tuple[int, float] | None:
        """Return the first epoch that reaches this accuracy, from 1, and the seconds up to its end."""
        return next(
            ((i + 1, s) for i, (s, a) in enumerate(zip(self.seconds, self.accuracy, strict=True)) if a >= accuracy),
            None,
        )


def sample(split: str) -> Rows:
    """Return the rows of the Fashion-MNIST sample."""
    table = pq.read_table(registry.get("sample", "fashion-mnist").build()[split])
    pixels = [np.asarray(Image.open(io.BytesIO(b))).ravel() for b in table["image"].to_pylist()]
    labels = table["label"].to_pylist()
    classes = sorted(set(labels))
    return Rows(np.stack(pixels).astype(np.float32) / 255, np.array([classes.index(label) for label in labels]))


def write(rows: Rows, folder: Path, files: int = 4) -> str:
    """Write features array<float> and label int as Parquet files; return the folder."""
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(rows.labels)), files)):
        values = pa.array(rows.numbers[part].ravel())
        lists = pa.FixedSizeListArray.from_arrays(values, PIXELS).cast(pa.list_(pa.float32()))
        pq.write_table(pa.table({"features": lists, "label": rows.labels[part]}), folder / f"{number}.parquet")
    return str(folder)


def mllib(frame: DataFrame, test: DataFrame, passes: int) -> tuple[float, float]:
    """Return the seconds of `fit` and the accuracy on the test rows; both frames have vectors and are cached."""
    started = time.perf_counter()
    # tol 0: it ends after the passes and not before.
    net = MultilayerPerceptronClassifier(layers=[PIXELS, HIDDEN, CLASSES], maxIter=passes, tol=0.0, seed=1).fit(frame)
    seconds = time.perf_counter() - started
    return seconds, MulticlassClassificationEvaluator(metricName="accuracy").evaluate(net.transform(test))


def ours(train: Rows, test: Rows, epochs: int, threads: int) -> Learnt:
    """Train as a rank does, with the test rows as validation rows."""
    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            attempt="bench",
            folder=folder,
            fingerprint="bench",
            architecture=NETWORK,
            rows=TrainRows(
                inputs=VectorInputs(PIXELS),
                fields=(Field("numbers", "float32", (PIXELS,)), Field("codes", "int32", (0,))),
                front=Part("sparknn_magic.training.network:Vectors"),
                target=Field("label", "int64"),
            ),
            outputs=CLASSES,
            target=Target(tuple(map(str, range(CLASSES)))),
            loss=Part("sparknn_zoo.losses.cross_entropy:cross_entropy"),
            optimizer=Part("sparknn_zoo.optimizers.of_torch:adam", {"lr": RATE}),
            schedule=Part("sparknn_zoo.schedules.constant:constant"),
            epochs=epochs,
            batch_size=BATCH,
            threads=threads,
        )
        results = run_rank(
            iter([_batch(train, TRAIN), _batch(test, VALIDATION)]), job, 0, 1, "127.0.0.1", lambda t: [t]
        )
        fitted = next(json.loads(data) for kind, _, data in results if kind == "fitted")
    history = fitted["history"]
    seconds = np.cumsum([epoch["seconds"] for epoch in history]).tolist()
    return Learnt(
        seconds, [epoch["validation_accuracy"] for epoch in history], len(train.labels) * epochs / seconds[-1]
    )


def _batch(rows: Rows, split: int) -> pa.RecordBatch:
    count = len(rows.labels)
    return pa.RecordBatch.from_pydict(
        {
            "split": pa.array(np.full(count, split, np.int32)),
            "row": pa.array(np.arange(count)),
            "label": pa.array(rows.labels.astype(np.int32)),
            "numbers": pa.array([row.tobytes() for row in rows.numbers], pa.binary()),
            "codes": pa.array([b""] * count, pa.binary()),
        }
    )


def bare(train: Rows, test: Rows, epochs: int, threads: int) -> Learnt:
    """Train by the shortest loop that one would write, in plain PyTorch."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x, y = torch.from_numpy(train.numbers), torch.from_numpy(train.labels)
    x_test, y_test = torch.from_numpy(test.numbers), torch.from_numpy(test.labels)
    network = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.Sigmoid(), nn.Linear(HIDDEN, CLASSES))
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    seconds, accuracy, spent = [], [], 0.0
    for _ in range(epochs):
        started = time.perf_counter()
        for index in torch.randperm(len(x)).split(BATCH):
            loss = nn.functional.cross_entropy(network(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        spent += time.perf_counter() - started
        seconds.append(spent)
        with torch.inference_mode():
            accuracy.append(float((network(x_test).argmax(1) == y_test).float().mean()))
    return Learnt(seconds, accuracy, len(x) * epochs / spent)


def compare_loops(train: Rows, test: Rows, frames: tuple[DataFrame, DataFrame], options: argparse.Namespace) -> None:
    """Print samples a second, and the seconds to reach MLlib's accuracy after each number of passes, in turn."""
    ours(train, test, 1, options.threads)  # warm
    mllib(*frames, 2)
    rounds = []
    for _ in range(options.runs):
        one = mllib(*frames, 1)[0]
        theirs = {passes: mllib(*frames, passes) for passes in options.passes}
        rounds.append(
            (
                one,
                theirs,
                ours(train, test, options.epochs, options.threads),
                bare(train, test, options.epochs, options.threads),
            )
        )
    most = max(options.passes)
    rates = {
        "MLlib": [len(train.labels) * (most - 1) / (theirs[most][0] - one) for one, theirs, _, _ in rounds],
        "bare PyTorch": [plain.rate for *_, plain in rounds],
        "sparknn-magic": [mine.rate for _, _, mine, _ in rounds],
    }
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(
        f"{PIXELS}-{HIDDEN}-{CLASSES}, {len(train.labels):,} rows, {options.cores} cores, batch {BATCH}, "
        f"medians of {options.runs} ({load})"
    )
    for name, found in rates.items():
        ratio = median(a / b for a, b in zip(found, rates["MLlib"], strict=True))
        print(f"  {name:<14} {median(found):9,.0f} rows/s in the loop   {ratio:5.2f} of MLlib's")
    for passes in options.passes:
        print(_reached(passes, rounds))


def _reached(passes: int, rounds: list) -> str:
    accuracy = rounds[0][1][passes][1]
    loop = [(theirs[passes][0] - one) * passes / (passes - 1) for one, theirs, _, _ in rounds]
    line = f"  MLlib, {passes:>3} passes: {median(loop):6.1f} s in the loop, accuracy {accuracy:.4f}"
    for name, place in (("bare", 3), ("ours", 2)):
        found = [each[place].until(accuracy) for each in rounds]
        if None in found:
            line += f"; {name} never"
            continue
        ratio = median(seconds / theirs for (_, seconds), theirs in zip(found, loop, strict=True))
        epochs, seconds = median(e for e, _ in found), median(s for _, s in found)
        line += f"; {name} {epochs:.0f} epochs, {seconds:.2f} s, {ratio:.3f} of it"
    return line


CELL = """\
task: vector-classification
data: {train: TRAIN, test: TEST}
model:
- dense: 64
- sigmoid
- dense
train:
  epochs: EPOCHS
  batch_size: 128
  optimizer: {adam: {lr: 1e-2}}
  workers: WORKERS
  seed: SEED
"""


def compare_whole(spark: SparkSession, folder: Path, epochs: int, options: argparse.Namespace) -> None:
    """Print the seconds from Parquet files to a model and its accuracy on the test rows, in turn."""
    import sparknn_magic

    found: dict[str, list[tuple[float, float]]] = {}
    for run in range(options.runs + 1):  # the first warms the session and is not counted
        for passes in [p for p in options.passes if p >= 100]:
            started = time.perf_counter()
            frames = [_vectors(spark.read.parquet(str(folder / split))) for split in ("train", "test")]
            accuracy = mllib(frames[0], frames[1], passes)[1]
            if run:
                found.setdefault(f"MLlib, {passes} passes", []).append((time.perf_counter() - started, accuracy))
        for workers in options.workers:
            cell = CELL.replace("TRAIN", str(folder / "train")).replace("TEST", str(folder / "test"))
            cell = cell.replace("EPOCHS", str(epochs)).replace("WORKERS", str(workers)).replace("SEED", str(run))
            cell += f"export: {folder / 'model'}\n"
            started = time.perf_counter()
            model = sparknn_magic.train(
                cell, name="bench", spark=spark, runs=folder / "runs", on_event=lambda event: None, fresh=True
            )
            if run:
                name = f"sparknn-magic, {epochs} epochs, {workers} worker{'s' * (workers != 1)}"
                found.setdefault(name, []).append((time.perf_counter() - started, model.metrics["accuracy"]))
    print(f"in all, from Parquet to a model and its test accuracy, warm session, medians of {options.runs}")
    for name, runs in found.items():
        seconds, accuracy = [s for s, _ in runs], median(a for _, a in runs)
        spread = f"{median(seconds):6.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"
        print(f"  {name:<36} {spread}   accuracy {accuracy:.4f}")


def _vectors(frame: DataFrame) -> DataFrame:
    return frame.select(array_to_vector("features").alias("features"), frame["label"].cast("double").alias("label"))


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--passes", type=int, nargs="+", default=[25, 100, 200], help="of MLlib over the rows")
    parser.add_argument("--epochs", type=int, default=20, help="of the others, in the loop")
    parser.add_argument("--whole-epochs", type=int, default=10, help="of ours, in all")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="of ours, in all")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="of Spark")
    parser.add_argument(
        "--threads", type=int, default=1, help="of the others, in the loop; in all, each worker has one"
    )
    parser.add_argument("--only", choices=["loop", "whole"])
    options = parser.parse_args()
    train, test = sample("train"), sample("test")
    spark = local_session(options.cores)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        write(train, folder / "train")
        write(test, folder / "test")
        if options.only != "whole":
            frames = tuple(_vectors(spark.read.parquet(str(folder / split))).cache() for split in ("train", "test"))
            for frame in frames:
                frame.count()
            compare_loops(train, test, frames, options)
            for frame in frames:
                frame.unpersist()
        if options.only != "loop":
            compare_whole(spark, folder, options.whole_epochs, options)
    spark.stop()


if __name__ == "__main__":
    main()
