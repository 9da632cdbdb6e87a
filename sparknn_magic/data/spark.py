"""Rows of pictures -> prepared Parquet shards, by Spark. Runs on the driver; what executors do is in `shards.py`.

Three jobs at most: one looks at labels and picture headers, one decodes and writes, one sums labels and pixels.
Nothing is collected but their aggregates.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from sparknn_magic.data.job import PrepareJob, check_image_type
from sparknn_magic.data.shards import DROPPED, pixel_sums, shard_batches
from sparknn_magic.data.sources import open_source
from sparknn_magic.data.store import read_text, write_text
from sparknn_magic.data.worker import picture_header
from sparknn_magic.errors import DataError, SparkNNError, did_you_mean
from sparknn_magic.plugin import ImageInputs, Part
from sparknn_magic.spec.experiment import Experiment
from sparknn_magic.spec.models import ColumnSplit, Fraction, Source
from sparknn_magic.spec.resolve import Resolved

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
BUCKETS = 10_000  # the hash of a row's key falls into one of these; a split takes a run of them
MAX_CLASSES = 10_000
LABEL_TYPES = ("string", "boolean", "tinyint", "smallint", "int", "bigint")
SHARDS = "split int, row long, label int, image binary, error string"
SUMS = "channel int, n long, total double, squares double"
FORMAT = 1  # of the prepared folder; a change of layout or of decoding makes old ones invalid


@dataclass(frozen=True)
class Plan:
    """What the cell's `data:` and `preprocess:` come to, before any row has been read."""

    experiment: Experiment
    spark: SparkSession
    rows: DataFrame  # split int, row long, label string, image: training and validation rows
    train: DataFrame  # the training rows as their source gives them, and so on
    validation: DataFrame | None
    test: DataFrame | None
    columns: list[tuple[str, str]]  # of the training source: name and type
    numeric_labels: bool
    steps: tuple[Part, ...]
    fingerprint: str

    @property
    def shape(self) -> tuple[int, ...] | None:
        return self.experiment.data.shape


@dataclass(frozen=True)
class Prepared:
    """Prepared shards and what is known of them."""

    uri: str
    inputs: ImageInputs
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # a channel, of training pixels in 0..1
    std: tuple[float, ...]
    rows: dict[str, int]  # train, validation
    dropped: list[dict[str, Any]]  # reason, rows
    class_rows: dict[str, int]  # training rows of each class
    reused: bool = False

    def frame(self, spark: SparkSession) -> DataFrame:
        """Return split int, row long, label int, image binary of the training and validation rows."""
        shards = spark.read.schema(SHARDS).parquet(f"{self.uri}/shards")
        return shards.where(f"split != {DROPPED}").select("split", "row", "label", "image")


def plan(spark: SparkSession, experiment: Experiment, resolved: Resolved, names: Iterable[str] = ()) -> Plan:
    """Open the sources, check columns and types, and lay out the splits. Runs no job over rows.

    `names` are the notebook's DataFrames. Raises: SpecError with the place in the cell.
    """
    data = experiment.data

    def opened(name: str) -> DataFrame:
        source: Source = getattr(data, name)
        frame = open_source(spark, source, lambda message, hint=None: _error(experiment, name, message, hint), names)
        _check_columns(frame, experiment, name)
        return frame

    source = opened("train")
    key = _key(source, experiment)
    split = _split_column(source, experiment, key)
    others = {name: opened(name) for name in ("validation", "test") if isinstance(getattr(data, name), Source)}
    assigned = source.withColumn("__split", split)
    held_out: dict[str, DataFrame | None] = {
        name: others.get(name, assigned.where(F.col("__split") == SPLITS[name]).drop("__split"))
        if getattr(data, name) is not None
        else None
        for name in ("validation", "test")
    }
    rows = _standard(assigned.where(F.col("__split") != TEST), F.col("__split"), experiment)
    if "validation" in others:
        rows = rows.unionAll(_standard(others["validation"], F.lit(VALIDATION), experiment))
    steps = tuple(step.part for step in resolved.preprocess)
    label_type = source.schema[data.label].dataType.simpleString()
    return Plan(
        experiment=experiment,
        spark=spark,
        rows=rows,
        train=assigned.where(F.col("__split") == TRAIN).drop("__split"),
        validation=held_out["validation"],
        test=held_out["test"],
        columns=[(field.name, field.dataType.simpleString()) for field in source.schema],
        numeric_labels=label_type not in ("string", "boolean"),
        steps=steps,
        fingerprint=_fingerprint(experiment, steps, [source, *others.values()]),
    )


def _error(experiment: Experiment, name: str, message: str, hint: str | None = None) -> SparkNNError:
    return experiment.error(("data", name), message, hint=hint)


def _check_columns(frame: DataFrame, experiment: Experiment, name: str) -> None:
    data = experiment.data
    types = {field.name: field.dataType.simpleString() for field in frame.schema}
    for role in ("image", "label"):
        column = getattr(data, role)
        if column not in types:
            path = ("data", role) if experiment.where("data", role) else ("data", name)
            raise experiment.error(
                path,
                f"data.{name} has no column '{column}' for the {role}.{did_you_mean(column, types)}",
                hint=f"Its columns are {', '.join(list(types)[:12])}. `{role}: NAME` under data chooses one.",
            )
    try:
        check_image_type(types[data.image], shape=data.shape, column=data.image)
    except DataError as error:
        raise _error(experiment, name, error.message, error.hint) from error
    if types[data.label] not in LABEL_TYPES:
        raise _error(
            experiment,
            name,
            f"the label column '{data.label}' is {types[data.label]}; classes are strings, integers or booleans.",
            f"In SQL: CAST({data.label} AS string) AS {data.label}.",
        )


def _key(frame: DataFrame, experiment: Experiment) -> Column:
    """Return the hash that decides a row's split: of the key columns, or of all of them."""
    names = experiment.data.key or tuple(frame.columns)
    for name in names:
        if name not in frame.columns:
            raise experiment.error(
                ("data", "key"), f"data.train has no column '{name}' for the key.{did_you_mean(name, frame.columns)}"
            )
    usable = [f.name for f in frame.schema if f.name in names and "map<" not in f.dataType.simpleString()]
    return F.xxhash64(*[_column(name) for name in usable])


def _column(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")


def _split_column(frame: DataFrame, experiment: Experiment, key: Column) -> Column:
    """Return the split of each training-source row: fractions by the key's hash, named values by a column."""
    split, start = F.lit(TRAIN), 0
    bucket = F.pmod(key, F.lit(BUCKETS))
    for name in ("test", "validation"):
        spec = getattr(experiment.data, name)
        if isinstance(spec, Fraction):
            end = start + round(spec.share * BUCKETS)
            split = F.when((bucket >= start) & (bucket < end), SPLITS[name]).otherwise(split)
            start = end
        elif isinstance(spec, ColumnSplit):
            if spec.column not in frame.columns:
                message = f"data.train has no column '{spec.column}'.{did_you_mean(spec.column, frame.columns)}"
                raise _error(experiment, name, message)
            chosen = _column(spec.column).cast("string") == _spark_text(spec.equals)
            split = F.when(chosen, SPLITS[name]).otherwise(split)
    return split


def _spark_text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _standard(frame: DataFrame, split: Column, experiment: Experiment) -> DataFrame:
    image, label = _column(experiment.data.image), _column(experiment.data.label).cast("string")
    row = F.xxhash64(image, label)
    return frame.select(
        split.cast("int").alias("split"), row.alias("row"), label.alias("label"), image.alias("image")
    )


def _fingerprint(experiment: Experiment, steps: tuple[Part, ...], frames: list[DataFrame]) -> str:
    """Return the identity of the prepared rows: the cell's `data:`, the steps, and what the sources hold now."""
    sources = []
    for frame in frames:
        files = sorted(frame.inputFiles())
        # Rows that come from no file (made in the notebook, or by a query without tables) are known by their content.
        content = [] if files else [str(value) for value in frame.select(
            F.count(F.lit(1)), F.sum(F.xxhash64(*[_column(c) for c in frame.columns]).cast("decimal(38,0)"))
        ).first()]
        sources.append([frame.schema.simpleString(), files, content])
    parts = [[step.ref, dict(step.options)] for step in steps]
    identity = [FORMAT, experiment.to_dict()["data"], parts, sources]
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()


# Preparing


def prepare(plan: Plan, folder: str, *, fresh: bool = False) -> Prepared:
    """Return the prepared shards below `folder` (a path or URI that Spark can write), making them where they are missing.

    Raises: DataError where there are no usable rows, one class only, or pictures of several sizes and no step
    that makes them equal.
    """
    uri = f"{folder}/{plan.fingerprint[:16]}"
    known = None if fresh else read_text(plan.spark, f"{uri}/meta.json")
    if known is not None:
        return _from_meta(uri, json.loads(known), reused=True)
    found = inspect(plan)
    inputs, classes = found.inputs, found.classes
    job = PrepareJob(plan.steps, inputs, plan.shape, classes)

    def shard(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return shard_batches(batches, job)

    plan.rows.mapInArrow(shard, SHARDS).write.mode("overwrite").partitionBy("split").parquet(f"{uri}/shards")
    meta = _summarize(plan, uri, inputs, classes)
    write_text(plan.spark, f"{uri}/meta.json", json.dumps(meta))
    return _from_meta(uri, meta, reused=False)


def _from_meta(uri: str, meta: dict[str, Any], *, reused: bool) -> Prepared:
    return Prepared(
        uri=uri,
        inputs=ImageInputs(**meta["inputs"]),
        classes=tuple(meta["classes"]),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        rows=meta["rows"],
        dropped=meta["dropped"],
        class_rows=meta["class_rows"],
        reused=reused,
    )


@dataclass(frozen=True)
class Inspected:
    """What the rows are, found without decoding a picture."""

    inputs: ImageInputs
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Headers:
    """The range of the pictures' sizes, from their headers."""

    height: tuple[int, int]
    width: tuple[int, int]
    colour: bool


def inspect(plan: Plan) -> Inspected:
    """Find the classes of the training rows, and the size and channels that the steps give, in one job.

    Raises: SpecError where there are no usable rows, one class only, or several sizes and no step that makes them equal.
    """
    classes, headers = _look(plan)
    return Inspected(_find_inputs(plan, headers), classes)


def _look(plan: Plan) -> tuple[tuple[str, ...], Headers]:
    shape = plan.shape

    @F.arrow_udf("struct<height: int, width: int, channels: int, error: string>")  # type: ignore[untyped-decorator]
    def header(images: pa.Array) -> pa.Array:
        return picture_header(images, shape)

    seen = plan.rows.select("split", "label", header("image").alias("h"))
    found = (
        seen.groupBy("split", "label")
        .agg(
            F.min("h.height").alias("h0"),
            F.max("h.height").alias("h1"),
            F.min("h.width").alias("w0"),
            F.max("h.width").alias("w1"),
            F.max("h.channels").alias("channels"),
            F.max("h.error").alias("error"),
        )
        .limit(2 * MAX_CLASSES + 2)
        .collect()
    )
    classes = _sorted({r.label for r in found if r.split == TRAIN and r.label is not None}, plan.numeric_labels)
    if not any(r.split == TRAIN for r in found):
        raise _error(plan.experiment, "train", "data.train has no rows left for training.")
    if len(classes) > MAX_CLASSES:
        raise _error(plan.experiment, "train", f"there are more than {MAX_CLASSES:,} classes; is the label right?")
    if len(classes) < 2:
        only = f"only the class '{classes[0]}'" if classes else "no label at all"
        raise _error(plan.experiment, "train", f"the training rows have {only}; a classifier needs two or more.")
    sized = [r for r in found if r.h0 is not None]
    if not sized:
        reason = next((r.error for r in found if r.error), "every value is null")
        raise _error(plan.experiment, "train", f"no value of column '{plan.experiment.data.image}' is a picture: {reason}.")
    return classes, Headers(
        height=(min(r.h0 for r in sized), max(r.h1 for r in sized)),
        width=(min(r.w0 for r in sized), max(r.w1 for r in sized)),
        colour=max(r.channels for r in sized) > 1,
    )


def _sorted(labels: set[str], numeric: bool) -> tuple[str, ...]:
    return tuple(sorted(labels, key=(lambda s: (int(s), s)) if numeric else None))


def _find_inputs(plan: Plan, headers: Headers) -> ImageInputs:
    """Return the size and channels that the steps give, by sending blank pictures through them."""
    steps = [step.build() for step in plan.steps]

    def outcome(size: tuple[int, int], mode: str) -> tuple[int, int, str]:
        image = Image.fromarray(np.zeros(size if mode == "L" else (*size, 3), np.uint8))
        for step in steps:
            image = step(image)
        return image.height, image.width, image.mode

    first, second = outcome((37, 53), "RGB"), outcome((64, 41), "RGB")
    if first[:2] == second[:2]:
        height, width = first[:2]
    elif headers.height[0] == headers.height[1] and headers.width[0] == headers.width[1]:
        height, width = outcome((headers.height[0], headers.width[0]), "RGB")[:2]
    else:
        sizes = " to ".join(f"{headers.height[i]}x{headers.width[i]}" for i in (0, 1))
        raise plan.experiment.error(
            ("preprocess",) if plan.steps else ("data", "train"),
            f"the pictures have several sizes ({sizes}) and no step makes them equal.",
            hint="Add a size, for example `preprocess: [{resize: 64}]`.",
        )
    grey = first[2] == "L" or (not headers.colour and outcome((37, 53), "L")[2] == "L")
    return ImageInputs(channels=1 if grey else 3, height=height, width=width)


def _summarize(plan: Plan, uri: str, inputs: ImageInputs, classes: tuple[str, ...]) -> dict[str, Any]:
    """Count the shards' rows and sum their training pixels."""
    shards = plan.spark.read.schema(SHARDS).parquet(f"{uri}/shards")
    counted = shards.groupBy("split", "label", "error").count().collect()
    rows = {name: sum(r["count"] for r in counted if r.split == SPLITS[name]) for name in ("train", "validation")}
    dropped: dict[str, int] = {}
    for r in counted:
        if r.split == DROPPED:
            dropped[r.error] = dropped.get(r.error, 0) + r["count"]
    if not rows["train"]:
        why = "; ".join(f"{n} rows: {reason}" for reason, n in dropped.items())
        raise _error(plan.experiment, "train", f"no training row is usable ({why}).")
    if plan.experiment.data.validation is not None and not rows["validation"]:
        raise _error(
            plan.experiment,
            "validation",
            f"no row is left for validation, and {rows['train']} for training.",
            "Give a larger part or another source, or write `validation: null` to train without.",
        )
    channels = inputs.channels

    def sums(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return pixel_sums(batches, channels)

    pixels = (
        shards.where(f"split = {TRAIN}")
        .select("image")
        .mapInArrow(sums, SUMS)
        .groupBy("channel")
        .agg(F.sum("n").alias("n"), F.sum("total").alias("total"), F.sum("squares").alias("squares"))
        .orderBy("channel")
        .collect()
    )
    mean = [r.total / r.n for r in pixels]
    variance = [max(r.squares / r.n - m * m, 0.0) for r, m in zip(pixels, mean, strict=True)]
    return {
        "inputs": {"channels": inputs.channels, "height": inputs.height, "width": inputs.width},
        "classes": list(classes),
        "mean": mean,
        # A channel that never changes is only shifted: dividing by its zero spread would make it infinite.
        "std": [v**0.5 if v > 1e-10 else 1.0 for v in variance],
        "rows": rows,
        "dropped": [{"reason": reason, "rows": n} for reason, n in sorted(dropped.items())],
        "class_rows": {
            name: sum(r["count"] for r in counted if r.split == TRAIN and r.label == i) for i, name in enumerate(classes)
        },
    }


def sample_rows(prepared: Prepared, spark: SparkSession, split: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring at most `limit` prepared rows of a split to the driver: uint8[n, H, W, C], int64[n]. For checks, not data."""
    inputs = prepared.inputs
    rows = prepared.frame(spark).where(f"split = {split}").limit(limit).select("image", "label").toArrow()
    pixels = np.frombuffer(b"".join(rows.column("image").to_pylist()), np.uint8)
    shape = (-1, inputs.height, inputs.width, inputs.channels)
    return pixels.reshape(shape), rows.column("label").to_numpy().astype(np.int64)
