"""Detection from JPEG bytes to boxes in the pictures' own pixels: our SQL function against ONNX Runtime by hand.

    python -m tests.benchmarks.bench_detection
    python -m tests.benchmarks.bench_detection --folder photos    # JPEGs, or Parquet files with a column `image`

Without a folder the pictures are shelf scenes. Every way decodes with Pillow, letterboxes (bilinear), runs the same
file, which has threshold and top-k inside, and brings the boxes back to the picture's own pixels. By hand:

- session on all cores: one process; its threads share each picture of the network, others decode ahead
- a thread a core: one process with one session; each thread decodes a picture and runs the network on it alone
- pool: a process for each core, each with a session of one thread, as Spark's workers are; started before the clock

Those read the files from memory, ours reads Parquet; all run in turn, and the ratio is to the fastest of them. The
network is centernet as it is by default, its weights drawn; the bias of its scores is set so that a picture has about
25 objects, with guesses, as after a training on shelf scenes. As README advises for such networks, a task of Spark
takes 16 MB of the files. Starting a query and its tasks takes the same time for any number of rows: with few of them
(`--rows`) that counts for much.
"""

import argparse
import hashlib
import io
import math
import multiprocessing
import os
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from pyspark.sql import SparkSession

from sparknn_magic import registry, shelf_scenes
from sparknn_magic.export.detections import DETECTION as OUTPUTS
from sparknn_magic.export.detections import Detector, Rules, export_detector
from sparknn_magic.infer.job import DETECTED, DETECTION, InferJob
from sparknn_magic.infer.spark import model_udf
from sparknn_magic.infer.worker import predict
from sparknn_magic.plugin import DetectionInputs, Part
from sparknn_magic.training.network import Pixels
from tests.benchmarks.rounds import interleaved, local_session, own_session, table, write_rows

CLASSES = [f"class {k}" for k in range(6)]
GREY = 114  # of the letterbox's bars
OBJECTS = 25  # that are given of a picture, on average, guesses among them: of shelf scenes, a third of them is there
SPREAD = 2.0  # standard deviation of the scores' logits: those of a trained network lie apart
CHUNK = 16  # files that a process of the pool takes at a time
BATCHES = (1, 2, 4, 8)  # that the session on all cores is tried with
TRIED = 48  # pictures
SCENES = 500  # that are composed
PART = 16 * 2**20  # bytes of Parquet that a task takes: some seconds of work, beside which its start is little

Found = tuple[np.ndarray, np.ndarray, np.ndarray]  # of a picture boxes float32[n, 4], scores and labels [n]


def detector(size: int, path: Path, pixels: np.ndarray) -> None:
    """Write the default detector, weights drawn: `pixels` uint8[N, size, size, 3] have `OBJECTS` each on average."""
    torch.manual_seed(0)
    body = registry.get("architecture", "centernet").build(DetectionInputs(3, size, size), len(CLASSES)).eval()
    model = Detector(Pixels(mean=[0.5] * 3, std=[0.25] * 3), body).eval()
    rules = Rules(nms=model.nms)
    with torch.no_grad():
        images = torch.from_numpy(pixels)
        body.heat[-1].weight *= SPREAD / body(*model.front(images))[0].std()
        heat, sides, _ = body(*model.front(images))

        def too_many(bias: float) -> bool:
            sure = body.certainty((heat + bias).amax(1, keepdim=True))
            return int((body.detections((heat + bias, sides, sure))[1] >= rules.score).sum()) > OBJECTS * len(pixels)

        body.heat[-1].bias += bisect_left(range(-2000, 2000), True, key=lambda n: too_many(n / 100)) / 100 - 20
    export_detector(model, (size, size, 3), path, {}, rules)


def letterboxed(data: bytes, size: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return uint8[size, size, 3], and scale x and y, left, top, width and height of the picture in it."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    scale = min(size / width, size / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    whole = Image.new("RGB", (size, size), (GREY, GREY, GREY))
    whole.paste(image.resize(inner, Image.Resampling.BILINEAR), (left, top))
    return np.asarray(whole), (inner[0] / width, inner[1] / height, left, top, width, height)


def detected(session: ort.InferenceSession, pictures: list[tuple[np.ndarray, tuple[float, ...]]]) -> list[Found]:
    """Run the network on a batch; return the objects in the pixels of each picture."""
    batch = np.stack([pixels for pixels, _ in pictures])
    boxes, scores, labels, counts = session.run(list(OUTPUTS), {"image": batch})
    found = []
    for n, (_, (across, down, left, top, width, height)) in enumerate(pictures):
        count = counts[n]
        moved = (boxes[n, :count] - [left, top, left, top]) / [across, down, across, down]
        inside = np.clip(moved, 0, [width, height, width, height]).astype(np.float32)
        there = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
        found.append((inside[there], scores[n, :count][there], labels[n, :count][there]))
    return found


def on_all_cores(path: str, files: list[bytes], size: int, cores: int) -> tuple[Callable[[], object], int]:
    """Return a run in which threads decode for a session on all cores, and the batch that it was fastest with."""
    session = own_session(path, cores)

    def run(batch: int, some: list[bytes]) -> list[Found]:
        found: list[Found] = []
        with ThreadPoolExecutor(cores) as threads:
            made = threads.map(lambda data: letterboxed(data, size), some)
            waiting = []
            for picture in made:
                waiting.append(picture)
                if len(waiting) == batch:
                    found += detected(session, waiting)
                    waiting = []
            return found + (detected(session, waiting) if waiting else [])

    def seconds(batch: int) -> float:
        started = time.perf_counter()
        run(batch, files[:TRIED])
        return time.perf_counter() - started

    best = min(BATCHES, key=lambda batch: min(seconds(batch) for _ in range(2)))
    return lambda: run(best, files), best


def a_thread_a_core(path: str, files: list[bytes], size: int, cores: int) -> Callable[[], list[Found]]:
    """Return a run in which each thread does all of a picture, with one session of one thread a call."""
    session = own_session(path, 1)

    def run() -> list[Found]:
        with ThreadPoolExecutor(cores) as threads:
            return list(threads.map(lambda data: detected(session, [letterboxed(data, size)])[0], files))

    return run


_session: ort.InferenceSession
_size: int


def _start(path: str, size: int) -> None:
    global _session, _size
    _session, _size = own_session(path, 1), size


def _score(files: list[bytes]) -> list[Found]:
    return [detected(_session, [letterboxed(data, _size)])[0] for data in files]


def our_job(path: Path, size: int) -> InferJob:
    """Return the job that the task makes of a model with this letterbox."""
    steps = [Part("sparknn_zoo.preprocess.letterbox:letterbox", {"size": size})]
    options = {"steps": steps, "height": size, "width": size, "channels": 3}
    return InferJob(
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        read=Part("sparknn_magic.data.boxes.reader:scene_reader", options),
        write=Part("sparknn_magic.infer.detections:detection_writer", {"classes": CLASSES}),
        result=DETECTION,
        outputs=DETECTED,
    )


def require_same(job: InferJob, path: Path, files: list[bytes], size: int) -> float:
    """Return the mean count of objects; AssertionError where ours and those by hand are not the same."""
    session = own_session(str(path), 1)
    by_hand = [detected(session, [letterboxed(data, size)])[0] for data in files]
    (ours,) = predict(iter([(pa.array(files, pa.binary()),)]), replace(job, threads=1), str(path))
    for row, (boxes, scores, labels) in zip(ours.to_pylist(), by_hand, strict=True):
        assert [each["label"] for each in row["objects"]] == [CLASSES[k] for k in labels]
        np.testing.assert_allclose([each["score"] for each in row["objects"]], scores, atol=1e-5)
        corners = [list(each["box"].values()) for each in row["objects"]]
        np.testing.assert_allclose(np.reshape(corners, (-1, 4)), boxes, atol=1e-2)
    return float(np.mean([len(scores) for _, scores, _ in by_hand]))


def photos(folder: Path) -> list[bytes]:
    """Return the JPEGs of a folder, or those in the column `image` of its Parquet files."""
    tables = sorted(folder.glob("*.parquet"))
    if tables:
        return [data for file in tables for data in pq.read_table(file, columns=["image"])["image"].to_pylist()]
    return [file.read_bytes() for file in sorted(folder.glob("*.jp*g"))]


def compare(spark: SparkSession, pictures: list[bytes], folder: Path, options: argparse.Namespace) -> str:
    """Run all ways in turn; return the table, its ratios to the fastest by hand."""
    size, cores = options.size, options.cores
    files = (pictures * math.ceil(options.rows / len(pictures)))[: options.rows]
    path = folder / "model.onnx"
    detector(size, path, np.stack([letterboxed(data, size)[0] for data in pictures[:TRIED]]))
    job = our_job(path, size)
    objects = require_same(job, path, files[:TRIED], size)
    spark.conf.set("spark.sql.files.maxPartitionBytes", PART)
    rows = spark.read.parquet(write_rows(pa.array(files, pa.binary()), folder / "photos"))
    frame = rows.select(model_udf(job, path, spark)("image"))
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    run, batch = on_all_cores(str(path), files, size, cores)
    with multiprocessing.get_context("spawn").Pool(cores, _start, (str(path), size)) as pool:
        cases: dict[str, Callable[[], object]] = {
            f"session on all cores, batch {batch}": run,
            "a thread a core": a_thread_a_core(str(path), files, size, cores),
            "pool": lambda: pool.map(_score, chunks, chunksize=1),
        }
        by_hand = list(cases)
        cases["ours"] = lambda: frame.write.format("noop").mode("overwrite").save()
        found = interleaved(cases, options.runs, options.warm)
    fastest = min(by_hand, key=lambda name: median(run.seconds for run in found[name]))
    name = f"JPEG to boxes, centernet at {size}x{size}, {objects:.0f} objects a picture"
    return table(name, found, len(files), fastest, "of the fastest by hand")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="JPEGs, or Parquet files with a column `image`")
    parser.add_argument("--rows", type=int, default=2000, help="pictures; those that there are come again and again")
    parser.add_argument("--size", type=int, default=320, help="pixels of the network's side")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--warm", type=int, default=1, help="rounds before the measured ones")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="threads, processes, tasks of Spark")
    options = parser.parse_args()
    spark = local_session(options.cores)
    if options.folder:
        pictures = photos(options.folder)
        if not pictures:
            parser.error(f"there are no JPEGs and no Parquet files in {options.folder}.")
    else:
        pictures = shelf_scenes(spark, min(options.rows, SCENES)).select("image").toArrow()["image"].to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        print(compare(spark, pictures, Path(folder), options), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
