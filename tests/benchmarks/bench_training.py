"""Training resnet8 on the Fashion-MNIST sample: the loop against bare PyTorch, and what a cell costs around the loop.

    python -m tests.benchmarks.bench_training

The bare loop is the shortest that one would write: pictures normalized beforehand as float32 in memory, the same
network, loss, optimizer, batches and threads, no figures kept but the loss. Ours starts from uint8 rows, normalizes in
each step, keeps accuracy and loss, checks every loss for NaN and reports events. They run in turn, in one process.
"""

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn

from sparknn_magic import registry
from sparknn_magic.plugin import ImageInputs, Part
from sparknn_magic.training.job import TRAIN, TrainJob, picture_rows
from sparknn_magic.training.worker import run_rank

BATCH = 128
INPUTS = ImageInputs(channels=1, height=28, width=28)
RESNET8 = Part("sparknn_zoo.vision.resnet_cifar:resnet8", {})


def sample(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8[count, 28, 28, 1] and int64[count] of the sample's training rows."""
    table = pq.read_table(registry.get("sample", "fashion-mnist").build()["train"]).slice(0, count)
    pixels = [np.asarray(Image.open(io.BytesIO(b)))[..., None] for b in table["image"].to_pylist()]
    labels = table["label"].to_pylist()
    classes = sorted(set(labels))
    return np.stack(pixels), np.array([classes.index(label) for label in labels])


def ours(images: np.ndarray, labels: np.ndarray, threads: int) -> float:
    """Train one epoch as a rank does; return rows per second in the loop."""
    mean, std = images.mean() / 255, images.std() / 255
    with tempfile.TemporaryDirectory() as folder:
        job = TrainJob(
            attempt="bench",
            folder=folder,
            fingerprint="bench",
            architecture=RESNET8,
            rows=picture_rows(INPUTS, (float(mean),), (float(std),)),
            outputs=10,
            loss=Part("sparknn_zoo.losses.cross_entropy:cross_entropy", {}),
            optimizer=Part("sparknn_zoo.optimizers.adamw:adamw", {}),
            schedule=Part("sparknn_zoo.schedules.constant:constant", {}),
            epochs=1,
            batch_size=BATCH,
            threads=threads,
        )
        batch = pa.RecordBatch.from_pydict(
            {
                "split": pa.array(np.full(len(labels), TRAIN, np.int32)),
                "row": pa.array(np.arange(len(labels))),
                "label": pa.array(labels.astype(np.int32)),
                "image": pa.array([p.tobytes() for p in images], pa.binary()),
            }
        )
        results = run_rank(iter([batch]), job, 0, 1, "127.0.0.1", lambda text: [text])
        fitted = next(json.loads(data) for kind, _, data in results if kind == "fitted")
    return fitted["history"][0]["rows_per_second"]


def bare(images: np.ndarray, labels: np.ndarray, threads: int, *, fused: bool) -> float:
    """Train one epoch by plain PyTorch; return rows per second."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    x = torch.from_numpy((images.transpose(0, 3, 1, 2) / 255 - images.mean() / 255) / (images.std() / 255)).float()
    y = torch.from_numpy(labels)
    network = RESNET8.build(INPUTS, 10).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05, fused=fused)
    started = time.perf_counter()
    for index in torch.randperm(len(x)).split(BATCH):
        loss = nn.functional.cross_entropy(network(x[index]), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(x) / (time.perf_counter() - started)


def loop(runs: int, count: int, threads: int) -> None:
    """Print rows per second of both loops, in turn, and the ratio run by run."""
    images, labels = sample(count)
    ours(images[:1000], labels[:1000], threads)  # warm
    found: dict[str, list[float]] = {"bare PyTorch": [], "bare PyTorch, fused AdamW": [], "sparknn-magic": []}
    for _ in range(runs):
        found["bare PyTorch"].append(bare(images, labels, threads, fused=False))
        found["bare PyTorch, fused AdamW"].append(bare(images, labels, threads, fused=True))
        found["sparknn-magic"].append(ours(images, labels, threads))
    print(f"training resnet8, {count:,} rows of 28x28, batch {BATCH}, {threads} thread(s), medians of {runs}")
    for name, rates in found.items():
        ratio = median(a / b for a, b in zip(found["sparknn-magic"], rates, strict=True))
        print(f"  {name:<26} {median(rates):8.0f} rows/s   ours / this {ratio:5.2f}")


CELL = """\
task: image-classification
data: {train: fashion_mnist, test: fashion_mnist_test}
model: resnet8
train: {epochs: 1, batch_size: 128, workers: 2, seed: SEED}
"""


def fixed_cost(runs: int) -> None:
    """Print the seconds from the call to the first step, and from the last step to the published model."""
    import sparknn_magic

    spark = sparknn_magic.session()
    sparknn_magic.sample("fashion-mnist", spark)
    before, after = [], []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs + 1):  # the first prepares the rows and warms the session; it is not counted
            events: list[dict] = []
            started = time.time()
            cell = CELL.replace("SEED", str(run)) + f"export: {Path(folder) / 'model'}\n"
            sparknn_magic.train(cell, name="bench", spark=spark, runs=Path(folder) / "runs", on_event=events.append)
            ended = time.time()
            if run:
                before.append(next(e["time"] for e in events if e["event"] == "step") - started)
                after.append(ended - next(e["time"] for e in events if e["event"] == "epoch"))
    print(f"around the loop, warm session, prepared rows, 2 workers, medians of {runs}")
    print(f"  from the call to the first step               {median(before):5.1f} s (slowest {max(before):.1f})")
    print(f"  from the last step to the published model     {median(after):5.1f} s (slowest {max(after):.1f})")


def main() -> None:
    """Run both parts."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--rows", type=int, default=5000)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--only", choices=["loop", "fixed"])
    read = options.parse_args()
    if read.only != "fixed":
        loop(read.runs, read.rows, read.threads)
    if read.only != "loop":
        fixed_cost(read.runs)


if __name__ == "__main__":
    main()
