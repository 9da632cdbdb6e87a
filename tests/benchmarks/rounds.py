"""What the scoring benchmarks share: interleaved rounds, a table of ratios, models, and Parquet written for Spark."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pyspark.sql import SparkSession
from torch import nn

from sparknn_magic.java import java_for_spark
from sparknn_magic.sessions import adopt, local_settings

CPU = ["CPUExecutionProvider"]


@dataclass(frozen=True)
class Run:
    """What one run of a case took."""

    seconds: float
    cpu_seconds: float  # of this process and all below it: Spark's JVM, its Python workers


def interleaved(cases: Mapping[str, Callable[[], object]], runs: int, warm: int) -> dict[str, list[Run]]:
    """Run every case in turn, `warm` rounds unmeasured and `runs` measured."""
    found: dict[str, list[Run]] = {name: [] for name in cases}
    for number in range(warm + runs):
        for name, run in cases.items():
            started, cpu = time.perf_counter(), cpu_seconds()
            run()
            if number >= warm:
                found[name].append(Run(time.perf_counter() - started, cpu_seconds() - cpu))
    return found


_ticks: dict[tuple[int, str], int] = {}  # of every process seen below this one, by its number and its start


def cpu_seconds() -> float:
    """Return the CPU time that this process and all below it have taken so far; from Linux's /proc.

    Spark ends Python workers between two runs: what they had taken by the last call stays counted.
    """
    found: dict[int, tuple[str, int]] = {}
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # one that has just ended
            fields = stat.read_text().rpartition(")")[2].split()
            found[int(stat.parent.name)] = fields[19], sum(map(int, fields[11:13]))
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    below = [os.getpid()]
    while below:
        process = below.pop()
        if process in found:
            started, ticks = found[process]
            _ticks[process, started] = ticks
        below += children.get(process, [])
    return sum(_ticks.values()) / os.sysconf("SC_CLK_TCK")


def table(title: str, found: Mapping[str, list[Run]], rows: int, against: str, what: str) -> str:
    """Return rows/s of each case and the ratio to the case `against`, taken round by round: median (least to most).

    On a machine that others use too, the CPU time says more than the clock.
    """
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    lines = [f"{title}, {rows:,} rows, medians of {len(found[against])} ({load})"]
    width = max(map(len, found))
    for name, runs in found.items():
        ratios = [a.seconds / b.seconds for a, b in zip(found[against], runs, strict=True)]
        spread = f"{median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        cpu = median(run.cpu_seconds for run in runs) / rows * 1e6
        rate = rows / median(run.seconds for run in runs)
        lines.append(f"  {name:<{width}} {rate:9,.0f} rows/s   {what} {spread}   {cpu:8,.1f} us of CPU a row")
    return "\n".join(lines)


def small_cnn(classes: int = 10) -> nn.Module:
    """Return 3x3 convolutions of 8, 16 and 32 channels, each with ReLU and 2x2 pooling, and a dense layer."""
    return nn.Sequential(
        *(
            layer
            for a, b in ((3, 8), (8, 16), (16, 32))
            for layer in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        ),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, classes),
    )


def export(body: nn.Module, path: Path, size: int) -> Path:
    """Write the network as the product does: uint8[N, size, size, 3] -> probabilities, index."""
    from sparknn_magic.export.graph import CLASSIFICATION, IMAGE, Classifier, export_onnx
    from sparknn_magic.training.network import Network, Pixels

    torch.manual_seed(0)
    model = Classifier(Network(Pixels(mean=[0.5] * 3, std=[0.25] * 3), body)).eval()
    example = {IMAGE: torch.zeros(2, size, size, 3, dtype=torch.uint8)}
    export_onnx(model, example, CLASSIFICATION, path, {})
    return path


def write_rows(values: pa.Array, folder: Path, files: int = 8) -> str:
    """Write one column `image` as so many Parquet files, so that Spark has work for all cores; return the folder."""
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(values)), files)):
        piece = pa.table({"image": values.slice(part[0], len(part))})
        pq.write_table(piece, folder / f"{number}.parquet", use_dictionary=False)
    return str(folder)


def local_session(cores: int) -> SparkSession:
    """Return a session with the settings that the product gives one of its own, on so many cores."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = local_settings() | {"spark.master": f"local[{cores}]"}
    with java_for_spark():
        return adopt(SparkSession.builder.config(map=settings).getOrCreate())


def own_session(path: str, threads: int) -> ort.InferenceSession:
    """Return the session that one writes by hand, with so many threads for each operator."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=CPU)
