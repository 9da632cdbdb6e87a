"""A look at pictures with boxes before training: what other pictures have, and the boxes. Runs on the driver."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from sparknn_magic.data.boxes.job import BoxJob
from sparknn_magic.data.boxes.look import seen_rows
from sparknn_magic.data.boxes.plan import BoxPlan
from sparknn_magic.data.boxes.shards import shard_batches
from sparknn_magic.data.folder import spark_says
from sparknn_magic.data.preview.findings import Broken, Findings, Grid, Spread
from sparknn_magic.data.preview.pictures import SHOWN, Sample, small_pictures
from sparknn_magic.data.preview.rows import INSPECTING, Say, count_classes, inspected, spreads
from sparknn_magic.data.splits import TEST, TRAIN


def look(plan: BoxPlan, most: int | None, inspect: Callable[[Any], Any], say: Say) -> Findings:
    """Return what is found of pictures with boxes; at most about `most` pictures are decoded.

    Raises: DataError with the place in the cell where Spark cannot read the rows.
    """
    with spark_says(plan.experiment):
        sample = Sample(plan, most, say)
        say(INSPECTING)
        found, stops = inspected(inspect, sample.plan)
        say("looking at boxes")
        seen = seen_rows(sample.plan).persist()
        try:
            labels = seen.where(F.col("split") != TEST).select("split", F.explode("labels").alias("label"))
            classes = count_classes(labels, "classes of boxes")
            sizes = _sizes(seen)
        finally:
            seen.unpersist()
        with sample:
            common = sample.common()
            say("bringing a few pictures")
            grid = _grid(sample, found)
        return replace(
            common,
            classes=classes,
            spreads=(*sizes, *common.spreads),
            broken=(*common.broken, *_bad(found)),
            facts=_facts(found),
            stops=stops,
            notes=(*sample.notes, *(found.remarks if found else ())),
            grid=grid,
        )


def _sizes(seen: Any) -> list[Spread]:
    """Return how many boxes a picture has, and how large they are behind the steps."""
    used = seen.where((F.col("split") != TEST) & F.col("error").isNull())
    each = used.select(F.explode("sizes").alias("size"))
    counts = spreads(used.select(F.size("labels").alias("boxes")), {"boxes": ("boxes of a picture", "boxes")})
    return [*counts, *spreads(each, {"size": ("box size", "pixels after preprocessing, the root of the area")})]


def _bad(found: Any) -> list[Broken]:
    """Return why boxes are left out or cut, with one of each that is cut and one that is left out."""
    if found is None:
        return []
    counts = found.boxes
    example = counts.example_left or ""
    bad = [
        Broken(f"box {reason}", n, example if example.endswith(f": {reason}") else "")
        for reason, n in counts.left.items()
    ]
    if counts.clipped:
        bad.append(Broken("box cut at the picture's edges", counts.clipped, counts.example_clipped or ""))
    return bad


def _facts(found: Any) -> tuple[tuple[str, str], ...]:
    if found is None:
        return ()
    counts = found.boxes
    return (("boxes", f"{counts.boxes:,} good ones"), ("background", f"{counts.background:,} pictures without any"))


def _grid(sample: Sample, found: Any) -> Grid | None:
    """Return a few training pictures as they are, and as training is given them with their boxes."""
    plan: BoxPlan = sample.plan
    keys = sample.sample_keys(SHOWN)
    if not keys:
        return None
    rows = plan.rows.where((F.col("split") == TRAIN) & sample.key.isin(keys)).withColumn("key", sample.key)
    table = rows.dropDuplicates(["key"]).orderBy("key").drop("key").toArrow().combine_chunks()
    raw = tuple(p for p in small_pictures(table.column("image"), plan.shape) if p is not None)
    if found is None or not table.num_rows:
        return Grid(raw)
    job = BoxJob(plan.steps, found.inputs, plan.shape, found.classes, plan.rules)
    shards = pa.Table.from_batches(list(_prepared(table, job))).to_pylist()
    inputs = found.inputs
    good = [shard for shard in shards if shard["error"] is None]
    pixels = np.frombuffer(b"".join(shard["image"] for shard in good), np.uint8)
    boxes = tuple(np.frombuffer(shard["boxes"], np.float32).reshape(-1, 5) for shard in good)
    shape = (-1, inputs.height, inputs.width, inputs.channels)
    return Grid(raw, pixels.reshape(shape), boxes=boxes, classes=found.classes)


def _prepared(table: pa.Table, job: BoxJob) -> Iterator[pa.RecordBatch]:
    return shard_batches(iter(table.to_batches()), job)
