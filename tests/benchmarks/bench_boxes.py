"""How well and how fast objects are learnt from nothing by the default detector: whole cells.

    python -m tests.benchmarks.bench_boxes --data FOLDER     # photos
    python -m tests.benchmarks.bench_boxes --only shelves    # scenes composed from the sample's pictures, only mirrored
    python -m tests.benchmarks.bench_boxes --only shelves --tilt 12 --hidden 0.3    # the same in heaps

FOLDER has train.parquet and test.parquet with the columns image, boxes (x1, y1, x2, y2 in pixels) and labels. Prints
mAP50 and mAP of the test rows, by Spark with the exported file, the seconds of the training loop with two workers of
one core each, and how many pictures passed in it. A tenth of the training rows choose the best epoch.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

import sparknn_magic
from tests.benchmarks.rounds import local_session

CELL = """\
task: object-detection
data: {train: NAME_train, test: NAME_test, validation: 10%}
preprocess: [letterbox: SIDE]
model: MODEL
train: {workers: 2, seed: SEED}
"""
# Scenes are many and all alike: fewer passes, and no need to make others of them.
MIRRORED = "augment: [random_horizontal_flip]\n"
SCENES, TEST_SCENES, SCENES_EPOCHS = 4000, 1000, 12


def cell_of(name: str, side: int, epochs: int | None, optimizer: str | None) -> str:
    """Return the cell of these views with pictures of this side, so many epochs and this optimizer.

    None: the task's own.
    """
    more = "" if epochs is None else f", epochs: {epochs}"
    more += "" if optimizer is None else f", optimizer: {optimizer}"
    return CELL.replace("NAME", name).replace("SIDE", str(side)).replace("workers: 2", f"workers: 2{more}")


def photos(spark: SparkSession, options: argparse.Namespace) -> str:
    """Register the views of a folder's rows; return the cell."""
    for split in ("train", "test"):
        rows = spark.read.parquet(str(options.data.absolute() / f"{split}.parquet"))
        rows.createOrReplaceTempView(f"photos_{split}")
    return cell_of("photos", options.side, options.epochs, options.optimizer)


def shelves(spark: SparkSession, options: argparse.Namespace) -> str:
    """Register the views of composed scenes; return the cell, with fewer passes over these many rows."""
    stand = {name: getattr(options, name) for name in ("tilt", "hidden") if getattr(options, name) is not None}
    for split, rows in (("train", options.scenes), ("test", TEST_SCENES)):
        scenes = sparknn_magic.shelf_scenes(spark, rows, split=split, **stand).persist()
        scenes.createOrReplaceTempView(f"shelves_{split}")
    return cell_of("shelves", options.side, options.epochs or SCENES_EPOCHS, options.optimizer) + MIRRORED


def run(spark: SparkSession, name: str, cell: str, options: argparse.Namespace) -> None:
    """Train the cell once for each seed and print a line."""
    for seed in range(options.seeds):
        epochs: list[dict[str, Any]] = []

        def hear(event: dict[str, Any], heard: list[dict[str, Any]] = epochs) -> None:
            if event["event"] == "epoch":
                heard.append(event)

        text = cell.replace("SEED", str(seed)).replace("MODEL", options.model)
        with tempfile.TemporaryDirectory() as folder:
            text += f"export: {folder}/model\n"
            model = sparknn_magic.train(text, name=name, spark=spark, runs=f"{folder}/runs", on_event=hear)
        passed = sum(e["rows_per_second"] * e["seconds"] for e in epochs)
        minutes, metrics = model.meta["training"]["seconds"] / 60, model.metrics
        print(
            f"{options.model} on {name}, seed {seed}: mAP50 {metrics['map50']:.4f}, mAP {metrics['map']:.4f} on "
            f"{metrics['rows']} test rows; {minutes:.1f} min in the loop, {len(epochs)} epochs, {passed:,.0f} pictures "
            f"(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)",
            flush=True,
        )


def main() -> None:
    """Print a line for each data set and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with train.parquet and test.parquet")
    parser.add_argument("--only", choices=("photos", "shelves"), help="without --data and --only nothing is run")
    parser.add_argument("--model", default="centernet")
    parser.add_argument(
        "--epochs", type=int, help=f"default: the task's; {SCENES_EPOCHS} for the shelves, which are many"
    )
    parser.add_argument("--side", type=int, default=320, help="pixels of the pictures' sides in the network")
    parser.add_argument(
        "--optimizer", help="as in a cell: '{adamw: {lr: 2e-3, weight_decay: 0.05}}'; default: the task's"
    )
    parser.add_argument("--scenes", type=int, default=SCENES, help="shelves to learn from")
    parser.add_argument("--tilt", type=float, help="degrees that products lean; default: as shelf_scenes has them")
    parser.add_argument("--hidden", type=float, help="share of a product that others may hide; likewise")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    if options.data is None and options.only is None:
        print("boxes are learnt in whole trainings: --data FOLDER, --only shelves")
        return
    if options.data is None and options.only == "photos":
        parser.error("--only photos needs --data")
    spark = local_session(2)
    if options.data is not None and options.only != "shelves":
        run(spark, "photos", photos(spark, options), options)
    if options.only != "photos":
        run(spark, "shelves", shelves(spark, options), options)
    spark.stop()


if __name__ == "__main__":
    main()
