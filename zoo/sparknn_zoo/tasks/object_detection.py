"""The task `object-detection`: a picture in, the objects in it out, each with a box."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sparknn_magic.plugin import Part, Target, task
from sparknn_magic.shipping import described_part
from sparknn_magic.task import Task
from sparknn_zoo.detection.defaults import DEFAULTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparknn_magic.data.boxes.spark import BoxPlan, BoxPrepared, Inspected
    from sparknn_magic.data.preview.findings import Findings
    from sparknn_magic.infer.job import InferJob
    from sparknn_magic.show.boxes import Scenes
    from sparknn_magic.show.examples import Examples
    from sparknn_magic.spec.experiment import Experiment
    from sparknn_magic.spec.resolve import Resolved
    from sparknn_magic.training.job import TrainJob, TrainRows

PARITY_ROWS = 256
PARITY_BYTES = 2**25  # of pictures that are brought to the driver for the parity check
JUDGED = 2000  # rows whose boxes are looked through for the report's examples
SIDE = 640  # pixels of the longer side of a picture in the report


@task(
    "object-detection",
    source="Lin et al. 2014, Microsoft COCO: Common Objects in Context, arXiv:1405.0312",
)
class ObjectDetection(Task):
    """A picture -> struct<objects: array<struct<label, score, box: struct<x1, y1, x2, y2>>>, error>.

    Columns `image`, `boxes` (array<array<number>>, four numbers each, see `format` and `units`) and `labels`
    (array<string>). Boxes of found objects are in pixels of the upright picture, whatever the steps made of it.
    """

    roles: ClassVar = {"image": "a picture", "boxes": "boxes", "labels": "the boxes' classes"}
    features = False
    own_loss = True
    defaults = DEFAULTS
    figure = "picture_ap50"  # each validation picture's own average precision at IoU 0.5
    measure = "sparknn_magic.training.picture_ap:picture_ap50"
    choice = 8  # rows for each one shown
    watch = "validation_picture_ap50"

    def plan(
        self, spark: "SparkSession", experiment: "Experiment", resolved: "Resolved", names: Iterable[str]
    ) -> "BoxPlan":
        """Open the sources, check the columns of pictures, boxes and labels; run no job over rows."""
        from sparknn_magic.data.boxes.average_precision import library
        from sparknn_magic.data.boxes.spark import plan

        library()  # which judges what was trained: better missed now than then
        return plan(spark, experiment, resolved, names)

    def inspect(self, plan: "BoxPlan") -> "Inspected":
        """Find the classes, the size of the pictures after the steps, and those of the boxes; nothing is decoded."""
        from sparknn_magic.data.boxes.spark import inspect

        return inspect(plan)

    def details(self, plan: "BoxPlan", found: "Inspected") -> list[tuple[str, str]]:
        """Return what a dry run says of the boxes."""
        from sparknn_magic.data.boxes.spark import details

        return details(plan, found)

    def preview(self, plan: "BoxPlan", most: int | None, say: Callable[[str], None]) -> "Findings":
        """Look at boxes, sizes, formats, copies and broken pictures, and bring a few pictures with their boxes."""
        from sparknn_magic.data.preview.boxes import look

        return look(plan, most, self.inspect, say)

    def prepare(self, plan: "BoxPlan", folder: str, *, fresh: bool) -> "BoxPrepared":
        """Write uint8[height, width, channels] and float32[n, 5] of boxes as Parquet, or find them again."""
        from sparknn_magic.data.boxes.spark import prepare

        return prepare(plan, folder, fresh=fresh)

    def training_rows(self, prepared: "BoxPrepared") -> "TrainRows":
        """Return the size of the pictures, the statistics that normalize them, and boxes of any number a row."""
        from sparknn_magic.training.job import scene_rows

        return scene_rows(prepared.inputs, prepared.mean, prepared.std)

    def target(self, prepared: "BoxPrepared") -> Target:
        """Return the classes and how many training boxes each has."""
        return Target(prepared.classes, tuple(prepared.class_rows[name] for name in prepared.classes))

    def describe(self, prepared: "BoxPrepared") -> dict[str, Any]:
        """Return the classes, the size of a picture, its pixels' mean and deviation, and what is known of the boxes."""
        return {
            "classes": list(prepared.classes),
            "input": {key: getattr(prepared.inputs, key) for key in ("height", "width", "channels")},
            "statistics": {"mean": list(prepared.mean), "std": list(prepared.std)},
            "boxes": dict(prepared.boxes),
        }

    def columns(self, meta: Mapping[str, Any]) -> list[str]:
        """Return the one column of pictures."""
        return [meta["spec"]["data"]["image"]]

    def export(
        self,
        job: "TrainJob",
        weights: bytes,
        prepared: "BoxPrepared",
        spark: "SparkSession",
        folder: Path,
        meta: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write model.onnx (uint8[N,H,W,C] -> boxes, scores, labels and count of each picture) and the weights.

        Parity is checked on validation rows, or on training rows where there are none.
        """
        from sparknn_magic.bundle.folder import MODEL, WEIGHTS
        from sparknn_magic.data.boxes.look import most_objects
        from sparknn_magic.data.boxes.spark import sample_rows
        from sparknn_magic.data.splits import TRAIN, VALIDATION
        from sparknn_magic.export.detections import Rules, candidates_of, detector, export_detector
        from sparknn_magic.export.graph import trained_network
        from sparknn_magic.export.parity_detections import compare_detections, run_both

        model = detector(job, trained_network(job, weights))
        inputs = prepared.inputs
        size = (inputs.height, inputs.width, inputs.channels)
        rules = Rules(most=most_objects(prepared.boxes["most"]), nms=model.nms).within(candidates_of(model, size))
        steps = [{"name": step["name"], "options": step["options"]} for step in meta["preprocess"]]
        metadata = {key: meta[key] for key in ("name", "task", "classes", "input")}
        metadata |= {"preprocess": steps, "detections": rules.to_plain()}
        opset = export_detector(model, size, folder / MODEL, metadata, rules)
        (folder / WEIGHTS).write_bytes(weights)
        limit = min(PARITY_ROWS, PARITY_BYTES // (inputs.height * inputs.width * inputs.channels) + 1)
        split = VALIDATION if prepared.rows["validation"] else TRAIN
        pixels, boxes = sample_rows(prepared, spark, split, limit)
        here, there = run_both(model, folder / MODEL, pixels, rules)
        parity = compare_detections(here, there, boxes, prepared.classes, rules)
        return {"opset": opset, "parity": parity, "detections": rules.to_plain()}

    def inference(self, meta: Mapping[str, Any]) -> "InferJob":
        """Return the reader of picture columns and the writer of the objects."""
        from sparknn_magic.infer.job import DETECTED, DETECTION, InferJob

        # Some may have been applied already, before an SQL step.
        steps = [described_part("preprocessor", step) for step in meta["preprocess"][meta.get("done", 0) :]]
        shape = meta["spec"]["data"].get("shape")
        return InferJob(
            digest="",
            read=Part(
                "sparknn_magic.data.boxes.reader:scene_reader", {"steps": steps, **meta["input"], "shape": shape}
            ),
            write=Part("sparknn_magic.infer.detections:detection_writer", {"classes": list(meta["classes"])}),
            result=DETECTION,
            outputs=DETECTED,
        )

    def evaluate(self, predictions: "DataFrame", meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return COCO's figures: mAP, mAP at IoU 0.5 and 0.75, of small, medium and large boxes, and of each class."""
        from sparknn_magic.evaluate.detection import detection_metrics

        return detection_metrics(predictions, meta)

    def examples(self, predictions: "DataFrame", meta: Mapping[str, Any], count: int) -> "Examples":
        """Return pictures with their true and predicted boxes, and those with the worst misses."""
        from sparknn_magic.show.examples import scene_examples

        return scene_examples(_scenes(predictions, meta, count, math.ceil(count / 3)))

    def explained(self, predictions: "DataFrame", meta: Mapping[str, Any], folder: Path, count: int) -> "Examples":
        """Return the most confident false boxes, one of a picture, with a map of what each score hangs on."""
        from sparknn_zoo.detection.explained import explained

        return explained(*_boxed(predictions, meta), self.inference(meta).read.build(), meta, folder, count)

    def report(self, path: Path, predictions: "DataFrame", meta: Mapping[str, Any]) -> None:
        """Write one HTML file: curves, the classes, and pictures with true and predicted boxes."""
        from sparknn_magic.show.report import write_report

        write_report(path, meta, scenes=_scenes(predictions, meta))


def _scenes(predictions: "DataFrame", meta: Mapping[str, Any], examples: int = 9, misses: int = 8) -> "Scenes":
    """Bring a few pictures to the driver: a spread of them, and those with the worst misses."""
    from pyspark.sql import functions as F

    from sparknn_magic.show.boxes import Scenes
    from sparknn_magic.show.misses import picked

    rows, both, frame = _boxed(predictions, meta)
    chosen = picked(both, examples=examples, misses=misses)
    wanted = sorted({rows[n].key for n in (*chosen.examples, *chosen.misses)})
    pictures = _pictures(frame.where(F.col("key").isin(wanted)), meta)

    def scenes(places: Iterable[int]) -> list[Any]:
        return [_scene(*pictures[rows[n].key], *both[n]) for n in places if rows[n].key in pictures]

    return Scenes(scenes(chosen.examples), scenes(chosen.misses), chosen.score, meta["classes"], looked_at=len(rows))


def _boxed(predictions: "DataFrame", meta: Mapping[str, Any]) -> "tuple[list[Any], list[Any], DataFrame]":
    """Return rows with a key each, their true and predicted boxes, and the frame of the keys and pictures."""
    from pyspark.sql import functions as F

    from sparknn_magic.evaluate.detection import with_truth

    image = F.col("`" + meta["spec"]["data"]["image"].replace("`", "``") + "`")
    key = F.xxhash64(image).alias("key")
    scored = predictions.where("prediction.objects IS NOT NULL")
    rows = with_truth(scored, meta, key).where("truth.error IS NULL").orderBy("key").limit(JUDGED).collect()
    return rows, [_boxes(row) for row in rows], scored.select(key, image.alias("image"))


def _boxes(row: Any) -> tuple[list[Any], list[Any]]:
    """Return a row's true and predicted boxes."""
    from sparknn_magic.show.boxes import Box

    corners = row.truth.boxes
    true = [Box(label, *corners[4 * n : 4 * n + 4]) for n, label in enumerate(row.truth.labels)]
    return true, [Box(o.label, o.box.x1, o.box.y1, o.box.x2, o.box.y2, o.score) for o in row.objects]


def _pictures(frame: "DataFrame", meta: Mapping[str, Any]) -> dict[int, tuple[Any, float]]:
    """Return the pictures by their keys, uint8[height, width, channels] of at most `SIDE` pixels, and their scale."""
    import numpy as np

    from sparknn_magic.data.worker import map_pictures

    def small(position: int, image: Any) -> tuple[Any, float]:
        scale = min(1.0, SIDE / max(image.size))
        size = tuple(max(1, round(side * scale)) for side in image.size)
        pixels = np.asarray(image if scale == 1.0 else image.resize(size))
        return pixels.reshape(*pixels.shape[:2], -1), scale

    table = frame.toArrow().combine_chunks()
    if not table.num_rows:
        return {}
    found = map_pictures(table.column("image").chunk(0), small, shape=meta["spec"]["data"].get("shape"))
    keys = table.column("key").to_pylist()
    return {key: picture for key, picture in zip(keys, found, strict=True) if picture is not None}


def _scene(pixels: Any, scale: float, true: list[Any], predicted: list[Any]) -> Any:
    from dataclasses import replace

    from sparknn_magic.show.boxes import Scene

    def scaled(boxes: list[Any]) -> list[Any]:
        return [replace(b, x1=b.x1 * scale, y1=b.y1 * scale, x2=b.x2 * scale, y2=b.y2 * scale) for b in boxes]

    return Scene(pixels, scaled(true), scaled(predicted), scale)
